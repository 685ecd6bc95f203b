"""wpcached and wpcachectl of a build, with configuration, state and socket of their own."""
from __future__ import annotations

import atexit
import mmap
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path



def reachable(build: Path) -> Path:
    """BUILD, or a copy of its programs that any user may run: a checkout may lie in a directory that
    is root's alone."""
    if all(directory.stat().st_mode & 1 for directory in (build, *build.parents)):
        return build
    copy = Path(tempfile.mkdtemp(prefix="wpcache-build-"))
    atexit.register(shutil.rmtree, copy)
    os.chmod(copy, 0o755)
    (copy / build.name).mkdir()
    for program in ("wpcached", "wpcachectl"):
        shutil.copy(build / program, copy / build.name)
    return copy / build.name


BUILD = reachable(Path(os.environ.get("WPCACHE_BUILD_DIR",
                                      Path(__file__).parents[2] / "build/dev")).absolute())
CONFIG = """[docker]
host=unix://{engine}
[images]
protect=watchparty-protected
[control]
socket={socket}
"""


class Clock:
    """What a daemon takes for the time: moved by tests, in builds with WPCACHE_TEST_CLOCK."""

    def __init__(self, file: Path):
        self.file = file
        file.write_bytes(bytes(16))
        with open(file, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 16)

    def move(self, wall: float, uptime: float) -> None:
        """By so many seconds each."""
        now = struct.unpack("2q", self._map[:])
        self._map[:] = struct.pack("2q", now[0] + int(wall * 1e6), now[1] + int(uptime * 1e6))

    def go_on(self, days: float = 0, minutes: float = 0) -> None:
        """Time passes."""
        seconds = days * 86400 + minutes * 60
        self.move(seconds, seconds)


class DaemonError(Exception):
    """wpcached that does not do what a test needs of it."""


class Daemon:
    """`with Daemon("/run/docker.sock", path) as daemon:` runs wpcached on the engine of that socket.

    DIRECTORY (made if missing) keeps its configuration, state and log; EXTRA is appended to the
    configuration.
    """

    def __init__(self, engine_socket: str | Path, directory: str | Path, extra: str = "",
                 build: Path = BUILD):
        self.dir = Path(directory).resolve()
        self.socket = self.dir / "wpcache.sock"
        self.config = self.dir / "wpcached.conf"
        self.state = self.dir / "state"
        self.state.mkdir(parents=True, exist_ok=True)
        self.build = build
        self.clock = Clock(self.dir / "clock")
        self.process: subprocess.Popen[bytes] | None = None
        self.config.write_text(CONFIG.format(engine=engine_socket, socket=self.socket) + extra)

    def __enter__(self) -> Daemon:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process and self.process.poll() is None:
            self.stop()

    def start(self, timeout: float = 30) -> None:
        """Starts wpcached and returns when its socket takes connections."""
        self.socket.unlink(missing_ok=True)
        env = {**os.environ, "STATE_DIRECTORY": str(self.state),
               "WPCACHE_TEST_CLOCK": str(self.clock.file)}
        env.pop("NOTIFY_SOCKET", None)
        with open(self.dir / "wpcached.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.build / "wpcached", "--config", self.config], env=env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until = time.monotonic() + timeout
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill()
                status = self.process.returncode
                raise DaemonError(f"wpcached does not start (exit {status}):\n{self.log}")
            time.sleep(0.01)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def ctl(self, *args: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs wpcachectl on this daemon, as in a pipe."""
        return subprocess.run([self.build / "wpcachectl", "--socket", self.socket, *args],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout)

    def clear(self) -> subprocess.CompletedProcess[str]:
        """The main job. The wait is longer than the minute for which a classic build's last image
        counts as a build still running."""
        return self.ctl("clear", "--target", "all", "--wait", "120s", timeout=240)

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; its exit status."""
        assert self.process
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonError(f"wpcached does not stop:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return (self.dir / "wpcached.log").read_text(errors="replace")
