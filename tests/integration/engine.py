#!/usr/bin/python3
"""Private, throw-away Docker engines made from Debian's own packages.

Each runs in a root tree (debootstrap) inside its own mount, pid and network namespace. The tree is
the lower layer of an overlay, so engines share it and leave it as it was. The pid namespace has an
init of its own: when that dies, the kernel ends every process and mount of the engine, and it dies
with the thread that started the engine.
"""
from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import http.client
import io
import json
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

CACHE = Path(os.environ.get("WPCACHE_TEST_CACHE", "/var/cache/wpcache-test"))
TREES = {  # suite, or suite+purpose: packages on top of a minimal system
    "bookworm": ("docker.io", "containerd", "runc", "tini", "busybox-static"),
    "trixie": ("docker.io", "containerd", "runc", "tini"),
    "testing": ("docker.io", "docker-buildx", "containerd", "runc", "tini"),
    # What test_systemd.py boots, with what the package depends on.
    "bookworm+systemd": ("systemd", "systemd-sysv", "dbus", "man-db", "libcjson1", "libcurl4",
                         "libinih1", "libsqlite3-0"),
    "trixie+systemd": ("systemd", "systemd-sysv", "dbus", "man-db", "libcjson1", "libcurl4t64",
                       "libinih1", "libsqlite3-0"),
}
ENGINES = {  # name: suite, further options of dockerd
    "20": ("bookworm", ()),
    "26": ("trixie", ()),
    "28": ("testing", ()),
    "28c": ("testing", ("--feature", "containerd-snapshotter=true")),
}
# A mirror's copy of testing can be past its date, or younger than the clock.
APT = ("-o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false"
       " -o Acquire::Languages=none -o Dpkg::Options::=--force-unsafe-io")
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
APPLETS = ("sh", "cat", "cp", "dd", "echo", "false", "ls", "mkdir", "mv", "rm", "sleep", "true")


class EngineError(Exception):
    """An engine or its tree that cannot be had; the text is for a person."""


# Trees

def tree(suite: str) -> Path:
    """Where the finished tree of a suite is, or will be. Another recipe makes another tree."""
    recipe = hashlib.sha256(" ".join((suite, *TREES[suite])).encode()).hexdigest()[:6]
    return CACHE / f"{suite}-{recipe}"


def cli() -> Path:
    """Debian 12's docker: needs libc alone, and drives every engine without plugins."""
    return tree("bookworm") / "usr/bin/docker"


def buildx() -> Path:
    """Debian testing's plugin, of Go alone."""
    return tree("testing") / "usr/libexec/docker/cli-plugins/docker-buildx"


def busybox() -> Path:
    return tree("bookworm") / "bin/busybox"


def mirror() -> str:
    """The Debian mirror of the host's own apt sources."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)",
         "Created-By: Packages"], capture_output=True, text=True).stdout
    for release, component, uri in (line.split(" ", 2) for line in targets.splitlines()):
        if component != "main" or release not in (codename, "stable", "oldstable", "testing"):
            continue
        if uri.startswith("mirror+file:"):  # cloud images: a list of mirrors in a file
            uri = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().split()[0]
        if uri.startswith(("http://", "https://", "file:")):
            return uri
    raise EngineError("this host's apt sources name no Debian mirror for 'main'")


def alone(*command: str | Path) -> list[str]:
    """COMMAND in a mount and a pid namespace of its own, ended with the thread that starts it."""
    return ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private",
            "--pid", "--fork", "--kill-child", *map(str, command)]


def bootstrap(suite: str, into: Path) -> None:
    """A tree of SUITE with its packages, at INTO; nothing in it is ever started."""
    proxy = subprocess.run(["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"],
                           capture_output=True, text=True).stdout
    env = ENV | {"DEBIAN_FRONTEND": "noninteractive"}
    env |= {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}
    if match := re.search(r"http_proxy='(.+)'", proxy):
        env["http_proxy"] = match[1]
    script = f"""set -e
        debootstrap --variant=minbase {suite.partition("+")[0]} "$0" "$1"
        printf '#!/bin/sh\\nexit 101\\n' >"$0/usr/sbin/policy-rc.d"
        chmod 755 "$0/usr/sbin/policy-rc.d"
        mount -t proc proc "$0/proc"
        chroot "$0" apt-get {APT} update
        chroot "$0" apt-get {APT} install -y --no-install-recommends {' '.join(TREES[suite])}
        rm -rf "$0"/var/cache/apt/* "$0"/var/lib/apt/lists/*"""
    with open(f"{into}.log", "w") as log:
        done = subprocess.run(alone("sh", "-c", script, into, mirror()), env=env,
                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    if done.returncode:
        tail = "".join(open(f"{into}.log").readlines()[-15:])
        raise EngineError(f"cannot build a tree of {suite}, see {into}.log:\n{tail}")
    os.unlink(f"{into}.log")


def prepare(names: list[str] | tuple[str, ...]) -> None:
    """Builds the trees that these engines (and the client) need and that are not there yet."""
    prepare_trees("bookworm", *(ENGINES[name][0] for name in names))


def prepare_trees(*suites: str) -> None:
    for suite in dict.fromkeys(suites):
        final = tree(suite)
        if final.is_dir():
            continue
        if os.geteuid() != 0:
            raise EngineError("only root can build root trees")
        if not shutil.which("debootstrap", path=ENV["PATH"]):
            raise EngineError("debootstrap is missing: apt-get install debootstrap")
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(CACHE / f".{suite}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if final.is_dir():  # somebody else's, while this one waited
                continue
            print(f"building a tree of Debian {suite} in {final} (a minute or so)",
                  file=sys.stderr, flush=True)
            part = CACHE / f".{suite}.part"
            subprocess.run(["rm", "-rf", "--one-file-system", part], check=True)
            bootstrap(suite, part)
            part.rename(final)


# Images without a registry

def rootfs(directory: Path) -> Path:
    """Writes a busybox system into DIRECTORY, for a build's COPY on top of scratch."""
    (directory / "bin").mkdir(parents=True)
    shutil.copy2(busybox(), directory / "bin/busybox")
    for applet in APPLETS:
        (directory / "bin" / applet).symlink_to("busybox")
    return directory


def rootfs_tar(note: str = "") -> bytes:
    """The same system as a tar for `docker import`; another NOTE makes another image."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as temporary, tarfile.open(fileobj=buffer, mode="w") as tar:
        root = rootfs(Path(temporary) / "root")
        (root / "note").write_text(note)
        tar.add(root, arcname=".")
    return buffer.getvalue()


# Engines

HOLD = r"""set -e
tree=$1 dir=$2
read -r pid rest </proc/self/stat     # this /proc still tells the pid that the host sees
mount -t tmpfs -o mode=755 wpcache "$tree/mnt"
cd "$tree/mnt"
mkdir up work root
mount -t overlay -o "lowerdir=$tree,upperdir=$PWD/up,workdir=$PWD/work" wpcache root
cd root
mount -t proc proc proc
mount -t sysfs sysfs sys              # of the new network namespace
[ ! -d /sys/fs/cgroup ] || mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mkdir -p "./$dir"
mount --bind "$dir" "./$dir"          # so that the socket has one path inside and out
pivot_root . mnt
cd /
umount -l /mnt
echo "$pid"
exec tini -- sleep infinity >/dev/null 2>&1
"""


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float):
        super().__init__("docker", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    """One engine; NAME is a key of ENGINES, DIRECTORY (made if missing) holds its socket and data.

    `with Engine("28", path) as engine:` leaves neither process, mount nor file of it behind.
    stop(), kill() and restart() act on dockerd alone: namespace and data stay until close().
    """

    def __init__(self, name: str, directory: str | Path, *options: str):
        self.name = name
        self.suite, built_in = ENGINES[name]
        self.options = (*built_in, *options)
        self.dir = Path(directory).resolve()
        self.socket = f"{self.dir}/docker.sock"
        self.log = self.dir / "engine.log"
        self.cli = str(cli())
        self.env = ENV | {"DOCKER_HOST": f"unix://{self.socket}", "HOME": str(self.dir),
                          "DOCKER_CONFIG": f"{self.dir}/client"}
        self.cgroup = f"wpcache-{os.getpid()}-{id(self):x}"
        self.holder: subprocess.Popen[str] | None = None
        self.init = 0
        self.daemon: subprocess.Popen[bytes] | None = None
        self.pid = 0

    def __enter__(self) -> Engine:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hold(self) -> None:
        if os.geteuid() != 0:
            raise EngineError("only root can run a private engine")
        if len(self.socket) > 80:  # sun_path has 108, and containerd's socket lies deeper
            raise EngineError(f"{self.dir}: path too long for unix sockets")
        prepare([self.name])
        self.dir.mkdir(parents=True, exist_ok=True)
        command = alone("--net", "sh", "-c", HOLD, "sh", tree(self.suite), self.dir)
        with open(self.log, "a") as log:
            self.holder = subprocess.Popen(
                command, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                text=True, start_new_session=True)
        assert self.holder.stdout
        with self.holder.stdout as out:
            line = out.readline()
        if not line:
            raise EngineError(f"no namespace for engine {self.name}:\n{self.tail()}")
        self.init = int(line)

    def start(self, timeout: float = 60) -> None:
        """Starts dockerd and returns when it answers; where it does not, everything is ended."""
        try:
            if not self.holder:
                self._hold()
            self._start_daemon(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    def _start_daemon(self, until: float) -> None:
        for stale in ("docker.sock", "pid"):
            (self.dir / stale).unlink(missing_ok=True)
        with open(self.log, "a") as log:
            self.daemon = subprocess.Popen(
                ["nsenter", "--target", str(self.init), "--mount", "--pid", "--net", "dockerd",
                 "-H", f"unix://{self.socket}", "-p", f"{self.dir}/pid",
                 "--data-root", f"{self.dir}/data", "--exec-root", f"{self.dir}/run",
                 "--cgroup-parent", f"/{self.cgroup}",
                 "--bridge=none", "--iptables=false", "--ip6tables=false", *self.options],
                env=ENV, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        while not self.answers():
            if self.daemon.poll() is not None or time.monotonic() > until:
                raise EngineError(f"engine {self.name} does not start:\n{self.tail()}")
            time.sleep(0.05)
        with socket.socket(socket.AF_UNIX) as peer:  # the child is nsenter; who listens is dockerd
            peer.connect(self.socket)
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid = struct.unpack("3i", credentials)[0]

    def answers(self) -> bool:
        try:
            return self.api("GET", "/_ping", timeout=5)[0] == 200
        except OSError:
            return False

    def _signal(self, number: int) -> None:
        if self.daemon and self.daemon.poll() is None and self.pid:
            os.kill(self.pid, number)
            self.daemon.wait()
        self.pid = 0

    def stop(self) -> None:
        """dockerd ends in good order, its running containers too."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """dockerd alone dies at once (kill -9)."""
        self._signal(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends everything and removes what the engine made in its directory."""
        if self.holder:
            if self.holder.poll() is None:  # the kernel takes the whole pid namespace with its init
                os.kill(self.init or self.holder.pid, signal.SIGKILL)
            self.holder.wait()
            if self.daemon:
                self.daemon.wait()
            self.holder, self.daemon, self.init, self.pid = None, None, 0, 0
        # Path.glob() fails where a group of another engine goes meanwhile; os.walk() does not.
        groups = [path for path, _, _ in os.walk("/sys/fs/cgroup") if self.cgroup in path.split("/")]
        for group in sorted(groups, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(group)
        for entry in ("data", "run", "client"):
            shutil.rmtree(self.dir / entry, ignore_errors=True)
        for entry in ("docker.sock", "pid", "engine.log"):
            (self.dir / entry).unlink(missing_ok=True)
        if self.dir.is_dir() and not any(self.dir.iterdir()):
            self.dir.rmdir()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def docker(self, *args: str | Path, check: bool = True, input: bytes = b"",
               env: dict[str, str] | None = None, timeout: float = 300,
               ) -> subprocess.CompletedProcess[str]:
        """Runs the docker client on this engine; stdout and stderr come back as text."""
        done = subprocess.run([self.cli, *args], env=self.env | (env or {}), input=input,
                              capture_output=True, timeout=timeout)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        if check and done.returncode:
            said = f"exit {done.returncode}\n{out}{err}"
            raise EngineError(f"engine {self.name}: docker {' '.join(map(str, args))}: {said}")
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def api(self, method: str, path: str, timeout: float = 60, body: bytes | None = None,
            headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """One request: status and body of the answer."""
        connection = UnixHTTP(self.socket, timeout)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def look(self, path: str) -> Any:
        """The answer to a GET, which has to be JSON. What fails for the moment is asked again."""
        # engine 20, while wpcached asks; 28c, while it removes
        passing = re.compile(b"disk usage operation is already running|NotFound|not found|does not exist")
        until = time.monotonic() + 30
        while True:
            status, body = self.api("GET", path)
            if status == 200:
                return json.loads(body)
            if not passing.search(body) or time.monotonic() > until:
                raise EngineError(f"engine {self.name}: GET {path}: {status} {body.decode(errors='replace')}")
            time.sleep(0.01)

    def post(self, path: str, **members: Any) -> Any:
        """A request that has to succeed, with MEMBERS as its JSON; the answer, None if it is empty."""
        status, body = self.api("POST", path, body=json.dumps(members).encode() if members else None,
                                headers={"Content-Type": "application/json"})
        if status >= 400:
            raise EngineError(f"engine {self.name}: POST {path}: {status} {body.decode(errors='replace')}")
        return json.loads(body) if body else None

    def run(self, name: str, image: str, *command: str, **host: Any) -> str:
        """`docker run --detach --network none`; HOST are members of HostConfig. The id of the container."""
        container = self.post(f"/containers/create?name={name}", Image=image, Cmd=command, StopTimeout=0,
                              HostConfig={"NetworkMode": "none", **host})["Id"]
        self.post(f"/containers/{container}/start")
        return container

    @property
    def version(self) -> str:
        return self.docker("version", "--format", "{{.Server.Version}}").stdout.strip()

    def reset(self) -> None:
        """Removes every container, image, build record, volume and network."""
        until = time.monotonic() + 10
        while left := self._remove_all():
            if time.monotonic() > until:  # records of a cancelled build are in use for a moment
                raise EngineError(f"engine {self.name} cannot be emptied: {left}")
            time.sleep(0.1)

    def _remove_all(self) -> list[Any]:
        """Removes what can be removed now; returns what is left. By the API: the client takes ten times as long."""
        def remove(kind: str, name: str, entries: list[Any] | None, options: str = "") -> None:
            for entry in entries or ():
                self.api("DELETE", f"/{kind}/{entry[name]}?{options}")

        remove("containers", "Id", self.look("/containers/json?all=1"), "force=1&v=1")
        remove("volumes", "Name", self.look("/volumes")["Volumes"], "force=1")
        remove("networks", "Id", self.look("/networks?filters=" + quote('{"type":["custom"]}')))
        self.api("POST", "/images/prune?filters=" + quote('{"dangling":["false"]}'))
        self.api("POST", "/build/prune?all=1")
        return [*self.look("/containers/json?all=1"), *self.look("/images/json?all=1"),
                *(self.look("/volumes")["Volumes"] or ()), *(self.look("/system/df")["BuildCache"] or ())]

    def import_base(self, name: str, note: str = "") -> str:
        """An image NAME with a busybox system, its id."""
        status, body = self.api("POST", f"/images/create?fromSrc=-&repo={quote(name)}", body=rootfs_tar(note))
        if status != 200 or b'"errorDetail"' in body:
            raise EngineError(f"engine {self.name}: cannot import {name}: {body.decode(errors='replace')}")
        return json.loads(body.splitlines()[-1])["status"]


def run(name: str, directory: str) -> None:
    """Holds an engine until SIGTERM, SIGINT or SIGHUP."""
    stops = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def stop(*_: object) -> None:
        for number in stops:
            signal.signal(number, lambda *_: None)  # a second one must not disturb the cleaning up
        raise SystemExit(0)

    for number in stops:
        signal.signal(number, stop)
    with Engine(name, directory) as engine:
        print(engine.socket, flush=True)
        while True:
            signal.pause()


def main() -> int:
    parser = argparse.ArgumentParser(description="Private, throw-away Docker engines.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser(
        "prepare", help="build what these engines need; print the path of their docker client")
    verb.add_argument("names", nargs="+", choices=ENGINES, metavar="NAME")
    verb = verbs.add_parser(
        "run", help="hold an engine until SIGTERM or SIGINT; print its socket when it answers")
    verb.add_argument("name", choices=ENGINES)
    verb.add_argument("directory")
    verb = verbs.add_parser(
        "rootfs", help="write a busybox system for a build's COPY on top of scratch")
    verb.add_argument("directory", type=Path)
    options = parser.parse_args()
    try:
        match options.verb:
            case "prepare":
                prepare(options.names)
                print(cli())
            case "run":
                run(options.name, options.directory)
            case "rootfs":
                prepare([])
                rootfs(options.directory)
    except EngineError as error:
        print(f"engine.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
