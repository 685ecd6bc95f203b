"""A user to whom an application's tree belongs against root's daemon that clears caches in it:
nothing outside of the tree changes, whatever he does. The attacker is hostile.c. A round is a pass
of a clear that found caches, took and removed them, while he was at work; $WPCACHE_ROUNDS says how
many, on a disk a quarter of them."""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import Daemon
from varlink_client import Wire, message

ROUNDS = int(os.environ.get("WPCACHE_ROUNDS", "60"))
HOSTILE = Path(os.environ.get("WPCACHE_BUILD_DIR",
                              Path(__file__).parents[2] / "build/dev")) / "tests/hostile"
ATTACKER = 65533
CACHES = ".next, cache, node_modules/.cache"
NAMED_MAX = 100  # of caches and notes in a receipt
PLANT_PASSES = 8
ROUND_TIMEOUT, CLEAR_TIMEOUT = 60, 120
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IMMUTABLE_FL = 0x80086601, 0x40086602, 0x10


# What is attacked, and what must not change

def snapshot(top: Path, *left_out: Path) -> dict[bytes, tuple[Any, ...]]:
    """Everything at and below TOP but for times of access and change, and numbers of links. Of what
    is LEFT_OUT only whose it is."""
    found: dict[bytes, tuple[Any, ...]] = {}

    def add(path: bytes) -> bool:
        st = os.lstat(path)
        found[path] = st.st_mode, st.st_uid, st.st_gid, st.st_ino
        if any(path == os.fsencode(out) for out in left_out):
            return False
        content: object = st.st_rdev
        if stat.S_ISREG(st.st_mode):
            with open(path, "rb") as file:
                content = hashlib.sha256(file.read()).hexdigest()
        elif stat.S_ISLNK(st.st_mode):
            content = os.readlink(path)
        found[path] += st.st_size, st.st_mtime_ns, content
        return stat.S_ISDIR(st.st_mode)

    todo = [os.fsencode(top)]
    while todo:
        path = todo.pop()
        if add(path):
            todo += [entry.path for entry in os.scandir(path)]
    return found


class Site:
    """BASE/home/app, the attacker's; beside it a canary with all that his links may lead to, and an
    application that is not cleared."""

    def __init__(self, base: Path, home_too: bool = False):
        self.base = base
        self.app, self.canary = base / "home/app", base / "outside"
        self.other, self.trash = base / "other", base / "daemon/state/trash"
        for directory in ("", ".next", ".next/d", ".next/d/e", "b", "b/.next", "d", "d/e", "d/d",
                          "d/.next", "d/cache", "e", "lib", "lib/.next", "m", "cache", "t", "t/d",
                          "node_modules", "node_modules/.cache", "drop", "his"):
            self.fill(self.canary / directory)
        (self.canary / "package.json").write_text("{}")
        (self.canary / "b/link").symlink_to("/etc/passwd")
        (self.canary / "b/f0").chmod(0o4755)
        os.mkfifo(self.canary / "fifo")
        os.mknod(self.canary / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        for directory in ("", "a/b/.next", "__pycache__", "lib/__pycache__"):
            self.fill(self.other / directory)
        (self.other / "manage.py").touch()
        self.app.mkdir(parents=True)
        (self.app / "package.json").write_text("{}")
        for his in (self.canary / "drop", self.canary / "his", *(self.canary / "his").iterdir(),
                    self.app, self.app / "package.json"):
            os.chown(his, ATTACKER, ATTACKER)
        if home_too:
            os.chown(self.app.parent, ATTACKER, ATTACKER)
        (base / "open").mkdir()
        (base / "open").chmod(0o777)
        self.before = self.look()

    @staticmethod
    def fill(directory: Path) -> None:
        directory.mkdir(parents=True)
        for i in range(3):
            (directory / f"f{i}").write_text(f"{directory} {i}")
            (directory / f"file{i}").write_text("of a name that caches have too")

    def look(self) -> dict[bytes, tuple[Any, ...]]:
        return snapshot(self.canary, self.canary / "drop") | snapshot(self.other)

    def untouched(self) -> bool:
        after = self.look()
        for path in self.before.keys() | after.keys():
            if self.before.get(path) != after.get(path):
                print(f"CANARY {path!r}: {self.before.get(path)} -> {after.get(path)}")
        return after == self.before

    def config(self, in_place: bool = False) -> str:
        trash = f"trash={self.base}/open/trash\n" if in_place else ""
        return (f"[app frontend]\nroot={self.app}\ncaches={CACHES}\n{trash}"
                f"[app backend]\nroot={self.other}\ncaches=__pycache__\n")

    def mounts(self) -> list[str]:
        """Below the site, those on top first."""
        paths = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        return [path.encode().decode("unicode_escape") for path in reversed(paths)
                if path.startswith((f"{self.app}/", f"{self.trash}/"))]

    def unmount(self) -> None:
        for path in self.mounts():
            subprocess.run(["umount", "--lazy", path], check=True)

    def in_trash(self) -> list[str]:
        return os.listdir(self.trash) if self.trash.exists() else []

    def remove(self) -> None:
        """What the standard library's recursion is not deep enough for."""
        self.unmount()
        subprocess.run(["chattr", "-R", "-f", "-i", self.trash, self.app],
                       check=False, capture_output=True)
        subprocess.run(["rm", "-rf", self.app, self.canary / "drop", self.trash], check=True)


@pytest.fixture(params=["memory"])
def place(short_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A directory on a disk or, where nobody waits for a journal, in memory."""
    path = short_path / "site"
    path.mkdir()
    if request.param == "memory":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "site", path], check=True)
    yield path
    if request.param == "memory":
        subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(params=[""])
def site(place: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    made = Site(place, home_too=request.param == "root")
    yield made
    made.remove()


class Hostile:
    """The attacker at work."""

    def __init__(self, site: Site, attack: str):
        program = site.base / "hostile"
        shutil.copy(HOSTILE, program)  # a build directory may be root's alone
        self.process = subprocess.Popen(
            [program, attack, site.app, site.canary], user=ATTACKER, group=ATTACKER,
            extra_groups=[], cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.paused = False

    def __enter__(self) -> Hostile:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    def pause(self) -> None:
        """Returns when he does nothing any more."""
        if not self.paused:
            assert self.process.poll() is None, f"he ended: {self.process.returncode}"
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)
        self.paused = True

    def go_on(self) -> None:
        self.paused = False
        self.process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self.process.terminate()

    def figures(self) -> dict[str, int]:
        """What he did, in all."""
        out, _ = self.process.communicate(timeout=60)
        assert self.process.returncode == 0
        return json.loads(out)


# The daemon's side

def check(receipt: dict[str, Any]) -> None:
    """That a receipt is one that can be."""
    removed = {step["step"]: step["objects"] for step in receipt["removed"]}.get("caches", 0)
    assert receipt["outcome"] in ("cleared", "notCleared"), receipt
    assert (receipt["outcome"] == "cleared") == (receipt["remaining"] == []), receipt
    assert receipt["target"] == "frontend" and "error" not in receipt, receipt
    assert receipt["startedAt"] <= receipt["finishedAt"], receipt
    # Of many only the first are named, and of those perhaps not all could be removed.
    assert len(receipt["caches"]) <= min(removed, NAMED_MAX), receipt
    assert len(receipt["caches"]) == removed or removed > NAMED_MAX / 2, receipt
    assert sum(cache["bytes"] for cache in receipt["caches"]) <= receipt["appBytes"], receipt
    assert receipt["passes"] > 0 or receipt["caches"] == [], receipt
    for cache in receipt["caches"]:
        assert cache["app"] == "frontend", receipt
        assert cache["path"].split("/")[-1] in (".next", "cache", ".cache"), receipt
    for remaining in receipt["remaining"]:
        assert remaining["kind"] in ("cache", "app") and remaining["reason"], receipt


def clear(wire: Wire, on_pass: Callable[[int], None] | None = None) -> dict[str, Any]:
    """The receipt; ON_PASS is told each pass when it begins to remove."""
    wire.send(message("Clear", more=True, target="frontend", waitSec=0))
    told = 0
    while True:
        reply = wire.receive()
        assert reply is not None, "the connection ended"
        assert "error" not in reply, reply
        if not reply.get("continues"):
            receipt = reply["parameters"]["receipt"]
            check(receipt)
            return receipt
        progress = reply["parameters"]["progress"]
        if on_pass and progress["step"] == "apps" and progress["pass"] > told:
            told = progress["pass"]
            on_pass(told)


class Played:
    """Rounds, and what was seen in them."""

    def __init__(self) -> None:
        self.clears = self.rounds = self.removed = self.cleared = self.bytes = 0
        self.notes: set[str] = set()
        self.began = time.monotonic()

    def add(self, receipt: dict[str, Any]) -> None:
        self.clears += 1
        self.rounds += receipt["passes"]
        self.removed += sum(step["objects"] for step in receipt["removed"])
        self.cleared += receipt["outcome"] == "cleared"
        self.bytes += receipt["appBytes"]
        self.notes |= set(receipt["notes"])

    def tell(self, attack: str, did: dict[str, int], kept: int) -> None:
        took = time.monotonic() - self.began
        print(f"{attack}: {self.rounds} rounds in {self.clears} clears ({self.cleared} cleared), "
              f"{self.removed} caches of {did['caches']} removed, {did['swaps']} swaps, "
              f"{kept} kept in the trash, {took:.1f} s, {took * 1000 / self.rounds:.1f} ms a round")


def play(wire: Wire, hostile: Hostile, rounds: int) -> Played:
    played = Played()

    def on_pass(n: int) -> None:
        if played.rounds + n >= rounds:
            hostile.end()

    until = time.monotonic() + ROUND_TIMEOUT
    while played.rounds < rounds:
        before = played.rounds
        played.add(clear(wire, on_pass))
        if played.rounds > before:
            until = time.monotonic() + ROUND_TIMEOUT
        else:
            time.sleep(0.002)
        assert time.monotonic() < until, "he makes no caches any more"
        assert hostile.process.poll() in (None, 0)
    hostile.end()
    return played


def check_end(daemon: Daemon, site: Site, wire: Wire) -> int:
    """With the attacker gone, the next clear leaves nothing but what it tells: things that were put
    in a cache's place in the moment of its rename, and could not be put back."""
    last = clear(wire)
    text = "\n".join(last["notes"])
    kept = site.in_trash()
    assert last["outcome"] == "cleared", last
    assert sum(name in text for name in kept) == min(len(kept), NAMED_MAX), (kept, last)
    assert daemon.process and daemon.process.poll() is None
    assert site.untouched()
    return len(kept)


MEMORY = ("walk", "rename", "rename in place", "unlink", "unlink in place", "climb", "links",
          "names", "deep", "deep in place", "root")
DISK = "rename", "unlink", "names"


@pytest.mark.parametrize("place, site, attack", [
    pytest.param(where, *[attack.split()[0]] * 2, id=f"{attack}, {where}")
    for where, attacks in (("memory", MEMORY), ("disk", DISK)) for attack in attacks],
    indirect=["place", "site"])
def test_attack(site: Site, attack: str, request: pytest.FixtureRequest) -> None:
    in_place = "in place" in request.node.name
    rounds = ROUNDS // (4 if "disk" in request.node.name else 1)
    with (Daemon(site.base / "no engine", site.base / "daemon", site.config(in_place)) as daemon,
          Wire(daemon.socket, timeout=CLEAR_TIMEOUT) as wire):
        with Hostile(site, attack) as hostile:
            played = play(wire, hostile, rounds)
            did = hostile.figures()
        kept = check_end(daemon, site, wire)
        played.tell(request.node.name, did, kept)
        assert did["swaps"] >= rounds
        assert did["caches"] >= rounds / 2 and played.removed >= rounds / 2
        assert in_place == any("removed where they lay" in note for note in played.notes)
        assert in_place != site.trash.exists()


# What root alone can put into a cache

def immutable(path: Path, on: bool) -> bool:
    """False where the file system knows no such files."""
    with open(path, "rb") as file:
        try:
            flags, = struct.unpack("i", fcntl.ioctl(file, FS_IOC_GETFLAGS, bytes(4)))
            flags = flags | FS_IMMUTABLE_FL if on else flags & ~FS_IMMUTABLE_FL
            fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("i", flags))
        except OSError:
            return False
    return True


def plant(site: Site, n: int) -> list[str]:
    """A cache with devices, mounts, and an immutable file; what must be left of it."""
    cache = site.app / f"planted{n}/.next"
    (cache / "deep/er").mkdir(parents=True)
    (cache / "mounted").mkdir()
    for name in ("mounted file", "immutable", "deep/er/file"):
        (cache / name).touch()
    os.mknod(cache / "block", stat.S_IFBLK | 0o666, os.makedev(7, 0))
    os.mknod(cache / "console", stat.S_IFCHR | 0o666, os.makedev(5, 1))
    os.mknod(cache / "deep/er/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    subprocess.run(["chown", "-R", f"{ATTACKER}", cache.parent], check=True)
    left = ["mounted", "mounted file"]
    if immutable(cache / "immutable", True):
        left.append("immutable")
    subprocess.run(["mount", "--bind", site.canary, cache / "mounted"], check=True)
    subprocess.run(["mount", "--bind", site.canary / "f0", cache / "mounted file"], check=True)
    return left


@pytest.mark.parametrize("place", ["memory", "disk"], indirect=True)
def test_planted(site: Site, request: pytest.FixtureRequest) -> None:
    """Mounts and immutable files are left and told, each clear anew; devices are only names."""
    played, n, left = Played(), 0, 0
    with (Daemon(site.base / "no engine", site.base / "daemon", site.config()) as daemon,
          Wire(daemon.socket, timeout=CLEAR_TIMEOUT) as wire):
        with Hostile(site, "links") as hostile:
            while played.rounds < ROUNDS:
                hostile.pause()
                expected = plant(site, n)
                hostile.go_on()
                receipt = clear(wire, lambda p: hostile.pause() if p == PLANT_PASSES else None)
                hostile.pause()
                played.add(receipt)
                assert receipt["outcome"] == "notCleared"
                # What he was still writing to when he was paused is there as a whole
                objects = [remaining["object"] for remaining in receipt["remaining"]
                           if "writing" not in remaining["reason"]]
                for name in expected:
                    assert len([o for o in objects if o.endswith(f"/{name}")]) == 1, objects
                assert len(objects) == len(expected), objects
                assert all((Path(o).parent / "block").exists() is False for o in objects)
                assert len(site.mounts()) == 2 and site.untouched()
                site.unmount()
                for o in objects:
                    if o.endswith("/immutable"):
                        assert immutable(Path(o), False)
                n, left = n + 1, left + len(expected)
                hostile.go_on()
            hostile.end()
            did = hostile.figures()
        kept = check_end(daemon, site, wire)
        played.tell(request.node.name, did, kept)
        assert kept == 0 and left >= 2 * n
        assert did["swaps"] >= ROUNDS
