"""A booted Debian: systemd as a host has it, in a container of systemd-nspawn.

Its root is a tree of engine.py below a tmpfs, so that it begins as new each time and the tree stays
as it was. It is in no network, and known to no machined.
"""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from engine import ENV, EngineError, prepare_trees, tree


class Machine:
    """`with Machine("bookworm", {"/host/dir": "/dir"}) as machine:` boots it, with these bound into it."""

    def __init__(self, suite: str, binds: dict[str | Path, str | Path] | None = None):
        self.suite = suite
        self.binds = binds or {}
        self.dir = Path(tempfile.mkdtemp(prefix="wpcache-nspawn-"))
        self.console = self.dir / "console"
        self.process: subprocess.Popen[bytes] | None = None
        self.leader = 0
        self.groups = [Path(line.split()[0]) / f"wpcache-nspawn-{os.getpid()}-{id(self):x}"
                       for line in self._hierarchies()]

    @staticmethod
    def _hierarchies() -> list[str]:
        """Where control groups are mounted. A container of its own name in each: two with one name
        would be in each other's units."""
        with open("/proc/self/mounts") as mounts:
            return [line.split()[1] for line in mounts if line.split()[2] in ("cgroup", "cgroup2")]

    def __enter__(self) -> Machine:
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _boot(self) -> None:
        if os.geteuid() != 0:
            raise EngineError("only root can boot a container")
        if not shutil.which("systemd-nspawn", path=ENV["PATH"]):
            raise EngineError("systemd-nspawn is missing: apt-get install systemd-container")
        prepare_trees(f"{self.suite}+systemd")
        for group in self.groups:
            group.mkdir()
            for file in ("cpuset.cpus", "cpuset.mems"):  # version 1: nothing enters it without
                if (group / file).exists() and (group.parent / file).exists():
                    (group / file).write_text((group.parent / file).read_text())

        def enter() -> None:
            for group in self.groups:
                (group / "cgroup.procs").write_text("0")

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self.dir / "notify"))
            notify.settimeout(60)
            with open(self.console, "wb") as console:
                self.process = subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--mount-proc", "--fork",
                     "--kill-child", "systemd-nspawn", "--quiet",
                     "--directory", tree(f"{self.suite}+systemd"), "--volatile=overlay", "--boot",
                     "--private-network", "--register=no", "--keep-unit", "--notify-ready=yes",
                     "--console=pipe", "--machine=wpcache-test", "--link-journal=no",
                     *(f"--bind={host}:{inside}" for host, inside in self.binds.items())],
                    env=ENV | {"NOTIFY_SOCKET": str(self.dir / "notify"),
                               "SYSTEMD_NSPAWN_LOCK": "0"},  # nothing is written to the tree
                    preexec_fn=enter,
                    stdin=subprocess.DEVNULL, stdout=console, stderr=console)
            try:
                while "READY=1" not in notify.recv(65536).decode().split():
                    pass
            except TimeoutError:
                raise EngineError(f"{self.suite} does not boot:\n{self.tail()}") from None
        nspawn, = self._children(self.process.pid)
        self.leader, = self._children(nspawn)

    @staticmethod
    def _children(pid: int) -> list[int]:
        return [int(child) for child in
                Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def close(self) -> None:
        """It is turned off, and nothing of it stays."""
        if self.process:
            if self.process.poll() is None:
                self.process.kill()  # and the kernel ends all that is in its pid namespace
            self.process.wait()
        for group in self.groups:
            until = time.monotonic() + 10
            while group.exists():
                for inner in sorted(group.glob("**/"), key=lambda path: -len(path.parts)):
                    try:
                        inner.rmdir()
                    except OSError:
                        pass
                if time.monotonic() > until:
                    raise EngineError(f"{group} is still in use")
                time.sleep(0.02)
        shutil.rmtree(self.dir, ignore_errors=True)

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])

    def command(self, *args: str | Path, user: str = "") -> list[str]:
        """ARGS as a command that runs in it; as USER with that user's groups."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return ["nsenter", "--target", str(self.leader), "--mount", "--uts", "--ipc", "--net",
                "--pid", "--cgroup", "--root", "--wdns=/", *become, *map(str, args)]

    def run(self, *args: str | Path, user: str = "", check: bool = True, timeout: float = 120,
            ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.command(*args, user=user), env=ENV | {"DEBIAN_FRONTEND": "noninteractive"},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(map(str, args))}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def start(self, *args: str | Path, user: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(self.command(*args, user=user), env=ENV, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    def path(self, inside: str | Path) -> Path:
        """A path of it, as the host reaches it."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        self.path(inside).write_text(text)
        self.path(inside).chmod(0o644)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()
