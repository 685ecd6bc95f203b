"""A real sshd on loopback with keys of its own, and an ssh(1) in PATH that knows it."""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from daemon import BUILD

SSHD = "/usr/sbin/sshd"
SERVER = """Port {port}
ListenAddress 127.0.0.1
HostKey {dir}/host
AuthorizedKeysFile {dir}/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment PATH
PrintMotd no
"""
CLIENT = """Host *
HostName 127.0.0.1
HostKeyAlias box
User root
IdentitiesOnly yes
IdentityFile {dir}/%n
UserKnownHostsFile {dir}/known
GlobalKnownHostsFile /dev/null
StrictHostKeyChecking yes
BatchMode yes
ServerAliveCountMax 1
Host *
Port {port}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Between ssh and sshd: can cut connections, and can fall silent."""

    def __init__(self, port: int):
        self.to = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.silent = threading.Event()
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                return
            self.pairs.append((client, server))
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                if not self.silent.is_set():
                    sink.sendall(data)
            if not self.silent.is_set():
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def cut(self) -> None:
        for pair in self.pairs:
            for end in pair:
                with contextlib.suppress(OSError):  # it may have ended meanwhile
                    end.shutdown(socket.SHUT_RDWR)
        self.pairs.clear()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


class Sshd:
    """`ssh NAME` logs in with the key NAME, which authorize() has to have been told of."""

    def __init__(self, directory: Path):
        self.dir = directory
        self.port = free_port()
        self.log = directory / "log"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.entries: dict[str, str] = {}
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        self._keygen("host")
        (directory / "known").write_text("box " + (directory / "host.pub").read_text())
        (directory / "server").write_text(SERVER.format(port=self.port, dir=directory))
        (directory / "authorized").touch()
        self.reach_by(self.port)
        ssh = shutil.which("ssh")
        assert ssh, "openssh-client is missing"
        (self.bin / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {directory}/client "$@"\n')
        (self.bin / "ssh").chmod(0o755)
        self.path = f"{self.bin}:{os.environ['PATH']}"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", directory / "server"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        until = time.monotonic() + 10
        while True:
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)

    def _keygen(self, name: str) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.dir / name], check=True)

    def reach_by(self, port: int, more: str = "") -> None:
        (self.dir / "client").write_text(more + CLIENT.format(port=port, dir=self.dir))

    def authorize(self, name: str, options: str = "", build: Path | None = BUILD) -> None:
        """The key NAME may log in, with OPTIONS of authorized_keys(5) and a PATH that has BUILD, if any."""
        if name not in self.entries:
            self._keygen(name)
        path = f"{build}:/usr/bin:/bin" if build else "/usr/bin:/bin"
        key = (self.dir / f"{name}.pub").read_text()
        self.entries[name] = ",".join(filter(None, (f'environment="PATH={path}"', options))) + " " + key
        (self.dir / "authorized").write_text("".join(self.entries.values()))

    def close(self) -> None:
        """The group has the sessions, too."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(10)
