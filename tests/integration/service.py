"""wpcached as systemd would start it."""
from __future__ import annotations

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daemon import Daemon
from varlink_client import call

# What sd_listen_fds(3) expects of whoever passes a socket: argv is its number, then the command.
PASS_SOCKET = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])"""


def passing(listener: socket.socket) -> tuple[str, ...]:
    return (sys.executable, "-c", PASS_SOCKET, str(listener.fileno()))


class Service(Daemon):
    """A daemon started as systemd would start it; what it tells systemd is kept."""

    def __init__(self, directory: Path, extra: str = ""):
        super().__init__(directory.parent / "e", directory, extra)
        self.heard: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.dir / "notify"))
        (self.dir / "notify").chmod(0o666)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while text := self.notify.recv(65536):  # an empty one is close()'s
            for line in text.decode().splitlines():
                self.heard.put(line)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self.dir / "notify"))

    def launch(self, *before: str, env: dict[str, str] | None = None, **options: Any) -> None:
        """Starts it, with BEFORE in front of its command, and does not wait."""
        with open(self.dir / "wpcached.log", "ab") as log:
            self.process = subprocess.Popen(
                [*before, str(self.build / "wpcached"), "--config", str(self.config)],
                env=os.environ | {"STATE_DIRECTORY": str(self.state), "NOTIFY_SOCKET": str(self.dir / "notify")}
                | (env or {}), stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    def start(self, *before: str, env: dict[str, str] | None = None, **options: Any) -> None:
        """The same, and returns when it says that it is ready."""
        self.launch(*before, env=env, **options)
        self.hear("READY=1")

    def hear(self, text: str, timeout: float = 30) -> list[str]:
        """Waits for a line that begins with TEXT; all those since the last call, it included."""
        lines: list[str] = []
        until = time.monotonic() + timeout
        while not (lines and lines[-1].startswith(text)):
            try:
                lines.append(self.heard.get(timeout=max(until - time.monotonic(), 0)))
            except queue.Empty:
                pytest.fail(f"no {text} among {lines}\n{self.log}")
        return lines

    def rest(self) -> list[str]:
        """What was told since the last call."""
        return [self.heard.get() for _ in range(self.heard.qsize())]

    def change(self, old: str, new: str) -> None:
        """Edits the configuration."""
        assert old in self.config.read_text()
        self.config.write_text(self.config.read_text().replace(old, new))

    def status(self) -> dict[str, Any]:
        return call(self.socket, "GetStatus")["parameters"]["status"]

    def wait_for_engine(self, state: str, timeout: float = 30) -> dict[str, Any]:
        until = time.monotonic() + timeout
        while (engine := self.status()["engine"])["state"] != state:
            assert time.monotonic() < until, (engine, self.log)
            time.sleep(0.05)
        return engine
