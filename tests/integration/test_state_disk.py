"""The disk of the state directory is full, read-only, or without inodes: root filled it, and the daemon
is another user. Build cache is cleared all the same, and no name is taken that is not on record."""
from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import proxy as proxy_module
from apps import caches, project, section
from daemon import BUILD
from engine import Engine
from helpers import ONE, Daemon, Project, load, names, receipts, records, wait_until
from policies import HASTY, ctl_json, fill, poll, polls, private_bytes, status
from proxy import Exchange, Fault, Proxy, answer
from scenarios import BACKEND
from test_apps_user import USER, own

pytestmark = [ONE, pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")]

proxy = proxy_module.proxy  # the fixture
NO_LIMIT = "[builder]\nmax_size=off\n"


class Disk:
    """A small file system at a path, and how it stops taking anything."""

    def __init__(self, path: Path, *mount: str):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", *mount, path], check=True)

    def fill(self) -> None:
        """By blocks, root's own reserve included."""
        for size, count in ((1 << 16, ""), (1 << 10, "")):
            subprocess.run(["dd", "if=/dev/zero", f"of={self.path}/filler{size}", f"bs={size}"],
                           check=False, stderr=subprocess.DEVNULL)
        os.sync()

    def fill_inodes(self) -> None:
        (self.path / "inodes").mkdir(exist_ok=True)
        for i in itertools.count():
            try:
                (self.path / f"inodes/{i}").touch()
            except OSError:
                return

    def empty(self) -> None:
        for file in self.path.glob("filler*"):
            file.unlink()
        shutil.rmtree(self.path / "inodes", ignore_errors=True)
        os.sync()

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", self.path], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=True)


@contextmanager
def ext4(path: Path, directory: Path) -> Iterator[Disk]:
    """With the reserve for root that file systems have."""
    image = directory / "image"
    with open(image, "wb") as file:
        file.truncate(48 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "5", image], check=True)
    try:
        disk = Disk(path, "-o", "loop", str(image))
    except subprocess.CalledProcessError:
        pytest.skip("no loop device")
    try:
        yield disk
    finally:
        disk.unmount()


class ThinDisk(Disk):
    """A file system with room, on storage without any: each write is taken, and fsync(2) fails."""

    def __init__(self, path: Path, backing: Disk):
        self.backing = backing
        image = backing.path / "image"
        with open(image, "wb") as file:
            file.truncate(48 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", image], check=True)
        super().__init__(path, "-o", "loop", str(image))

    def fill(self) -> None:
        self.backing.fill()

    def empty(self) -> None:
        self.backing.empty()


@contextmanager
def tmpfs(path: Path, options: str) -> Iterator[Disk]:
    disk = Disk(path, "-t", "tmpfs", "-o", options, "wpcache-test")
    try:
        yield disk
    finally:
        disk.unmount()


def daemon_of_user(socket: str, directory: Path, extra: str = NO_LIMIT) -> Daemon:
    """Started as USER; its state directory is daemon/state of DIRECTORY."""
    build = directory / "build"
    build.mkdir()
    daemon = Daemon(socket, directory / "daemon", HASTY + extra, build)
    (build / "wpcached").write_text(
        f"#!/bin/sh\nexec setpriv --reuid {USER} --regid {USER} --clear-groups "
        f'{shlex.quote(str(BUILD))}/wpcached "$@"\n')
    (build / "wpcached").chmod(0o755)
    (build / "wpcachectl").symlink_to(BUILD / "wpcachectl")
    own(daemon.dir, USER)
    os.chmod(socket, 0o666)
    os.chmod(Path(socket).parent, 0o755)
    os.chmod(Path(socket).parent.parent, 0o755)
    return daemon


@pytest.fixture
def state(short_path: Path) -> Path:
    return short_path / "daemon/state"


def alarms(daemon: Daemon) -> set[str]:
    return {alarm["kind"] for alarm in status(daemon)["alarms"]}


def receipt_of(daemon: Daemon, target: str, expect: int) -> dict[str, Any]:
    done = daemon.ctl("clear", "--json=short", "--target", target)
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def store_remains(receipt: dict[str, Any], state: Path) -> str:
    entry, = (left for left in receipt["remaining"] if left["kind"] == "store")
    assert entry["object"] == str(state) and str(state) in entry["remedy"]
    return entry["reason"]


def test_full_after_the_start(engine: Engine, short_path: Path, state: Path) -> None:
    """What a store needs for its writes it has: nothing is different, not even a start."""
    with ext4(state, short_path) as disk, daemon_of_user(engine.socket, short_path) as daemon:
        poll(daemon)
        disk.fill_inodes()
        disk.fill()
        with pytest.raises(OSError):
            (state / "more").touch()
        for release in range(3):
            Project(engine, short_path / f"project{release}").build()
            image = names(engine)[BACKEND]
            receipt = receipt_of(daemon, "all", 0)
            assert [(name["name"], name["imageId"]) for name in receipt["names"]] == [
                (BACKEND, image)]
            assert not any("memory" in note for note in receipt["notes"])
            assert not records(engine) and BACKEND not in names(engine)
            assert alarms(daemon) == set() and status(daemon)["store"] == {
                "directory": str(state), "state": "stored", "unwritten": 0}
            assert daemon.stop() == 0
            assert [known["id"] for known in receipts(daemon)][-1] == receipt["id"]
            daemon.start()
            assert status(daemon)["lastClear"]["id"] == receipt["id"]
            poll(daemon)


BLOCKS = "size=1m", Disk.fill, Disk.empty
INODES = "size=8m,nr_inodes=12", Disk.fill_inodes, Disk.empty
READ_ONLY = ("size=8m", lambda disk: disk.remount("ro"), lambda disk: disk.remount("rw"))
Change = Callable[[Disk], None]


@pytest.mark.parametrize("options, fault, mend", [BLOCKS, INODES, READ_ONLY],
                         ids=["blocks", "inodes", "read-only"])
def test_never_any_room(engine: Engine, short_path: Path, state: Path, options: str, fault: Change,
                        mend: Change) -> None:
    with tmpfs(state, options) as disk:
        daemon = daemon_of_user(engine.socket, short_path)
        fault(disk)
        with daemon:
            check_never_any_room(engine, short_path, daemon, disk, mend)


def test_never_any_room_but_the_reserve(engine: Engine, short_path: Path, state: Path) -> None:
    with ext4(state, short_path) as disk:
        daemon = daemon_of_user(engine.socket, short_path)
        disk.fill()
        with daemon:
            check_never_any_room(engine, short_path, daemon, disk, Disk.empty)


def plan_of(daemon: Daemon, target: str = "all") -> dict[str, Any]:
    """What a dry run says."""
    return ctl_json(daemon, "clear", "--dry-run", "--target", target)


def check_remedies(receipt: dict[str, Any], planned: dict[str, Any], state: Path,
                   name: str = BACKEND) -> None:
    """No image lost a name, since the disk of the state directory fails: that is the reason and the remedy
    of each, and the dry run said so."""
    assert planned["names"] == [] and planned["rollbackTags"] == []
    left = [(left["kind"], left["object"], left["remedy"]) for left in receipt["remaining"]]
    assert left == [(left["kind"], left["object"], left["remedy"]) for left in planned["remaining"]]
    assert ("image", name) in [entry[:2] for entry in left]
    assert len({remedy for _, _, remedy in left}) == 1 and str(state) in left[0][2]


def test_never_any_room_below(engine: Engine, short_path: Path, state: Path) -> None:
    """A thin volume, or a virtual machine's disk on a host's that is full."""
    with tmpfs(short_path / "backing", "size=4m") as backing:
        try:
            disk = ThinDisk(state, backing)
        except subprocess.CalledProcessError:
            pytest.skip("no loop device")
        try:
            daemon = daemon_of_user(engine.socket, short_path)
            disk.fill()
            with daemon:
                check_never_any_room(engine, short_path, daemon, disk, ThinDisk.empty)
        finally:
            disk.unmount()


def check_never_any_room(engine: Engine, directory: Path, daemon: Daemon, disk: Disk,
                         mend: Change) -> None:
    """It has memory alone, says so, and clears the build cache; and it goes over to the file once it
    can, without a restart."""
    Project(engine, directory / "project").build()
    image = names(engine)[BACKEND]
    wait_until(lambda: alarms(daemon) == {"storeFailed"})
    told = status(daemon)["store"]
    assert told["state"] == "memory" and told["directory"] == str(daemon.state) and told["reason"]
    done = daemon.ctl("status")
    assert done.returncode == 8 and "Store: in memory alone" in done.stdout, done.stdout
    assert str(daemon.state) in done.stdout

    planned = plan_of(daemon)
    clear = daemon.ctl("clear", "--target", "all")
    assert clear.returncode == 3 and "SUCCESS" not in clear.stdout, clear.stdout + clear.stderr
    assert f"REMAINING: store {daemon.state}: images were left alone" in clear.stdout
    assert f"NOT FRESH: 1 source of cached layers left: image {BACKEND}, " in clear.stderr
    assert not records(engine) and names(engine) == {BACKEND: image}
    receipt = receipt_of(daemon, "all", 3)
    assert "names are taken only once" in store_remains(receipt, daemon.state)
    assert receipt["names"] == [] and receipt["rollbackTags"] == []
    check_remedies(receipt, planned, daemon.state)
    assert any("in memory alone" in note for note in receipt["notes"])
    wait_until(lambda: f"Receipt {receipt['id']}, part 1: {{" in daemon.log)  # it follows the answer
    Project(engine, directory / "another").build(name="elsewhere:1")
    assert records(engine) and receipt_of(daemon, "builder", 0)["outcome"] == "cleared"
    assert not records(engine)

    history = ctl_json(daemon, "history")
    assert history["incomplete"] and len(history["runs"]) == 3
    assert ctl_json(daemon, "history", receipt["id"])["receipt"]["id"] == receipt["id"]
    assert status(daemon)["store"]["unwritten"] == 3
    done = daemon.ctl("rollback")
    assert done.returncode == 1 and "receipts cannot be read: " in done.stderr, done.stderr

    mend(disk)
    wait_until(lambda: status(daemon)["store"]["state"] == "stored")
    wait_until(lambda: not alarms(daemon))
    assert status(daemon)["store"]["unwritten"] == 0
    assert len(receipts(daemon)) == 3
    history = ctl_json(daemon, "history")
    assert "incomplete" not in history and len(history["runs"]) == 3
    taken = receipt_of(daemon, "all", 0)
    assert [name["name"] for name in taken["names"]] == [BACKEND]
    assert daemon.stop() == 0
    daemon.start()
    assert status(daemon)["lastClear"]["id"] == taken["id"]


def test_build_cache_first(engine: Engine, proxy: Proxy, short_path: Path, state: Path) -> None:
    """The disk is that of the build cache: once it is pruned, there is room for the receipt."""
    def on_prune(method: str, path: str) -> None:
        if method == "POST" and path.startswith("/build/prune"):
            disk.empty()

    with tmpfs(state, "size=1m") as disk:
        daemon = daemon_of_user(proxy.socket, short_path)
        disk.fill()
        with daemon:
            Project(engine, short_path / "project").build()
            image = names(engine)[BACKEND]
            wait_until(lambda: alarms(daemon) == {"storeFailed"})
            proxy.before = on_prune
            receipt = receipt_of(daemon, "images", 3)
            assert BACKEND in names(engine) and receipt["names"] == []
            receipt = receipt_of(daemon, "all", 0)
            assert [(name["name"], name["imageId"]) for name in receipt["names"]] == [
                (BACKEND, image)]
            assert not records(engine) and BACKEND not in names(engine)
            pruned = [i for i, (_, path) in enumerate(proxy.changes) if "/build/prune" in path]
            taken = [i for i, (how, _) in enumerate(proxy.changes) if how == "DELETE"]
            assert pruned[0] < taken[0]
            assert receipts(daemon)[-1]["names"] == receipt["names"]
            assert receipt_of(daemon, "all", 0)["outcome"] == "fresh"


def test_build_cache_on_the_same_disk(engine: Engine, proxy: Proxy, short_path: Path,
                                      state: Path) -> None:
    """A dry run then says that the names go if the build cache makes room. (The engine's data root is
    made one on that disk by the proxy.)"""
    def data_root(exchange: Exchange) -> None:
        body = exchange.forward()[1]
        info = json.loads(body[body.index(b"{"):body.rindex(b"}") + 1])  # it comes in chunks
        info["DockerRootDir"] = str(state)
        exchange.client.sendall(answer(200, json.dumps(info).encode()))

    def before(method: str, path: str) -> Fault | None:
        if method == "POST" and path.startswith("/build/prune"):
            disk.empty()
        return data_root if path == "/info" else None

    proxy.before = before
    with tmpfs(state, "size=1m") as disk:
        daemon = daemon_of_user(proxy.socket, short_path)
        disk.fill()
        with daemon:
            Project(engine, short_path / "project").build()
            wait_until(lambda: alarms(daemon) == {"storeFailed"})
            planned = plan_of(daemon, "images")
            assert planned["names"] == [] and planned["remaining"]
            planned = plan_of(daemon)
            assert [name["name"] for name in planned["names"]] == [BACKEND]
            assert planned["remaining"] == []
            assert any("if removing the build cache makes room" in note for note in planned["notes"])
            assert receipt_of(daemon, "all", 0)["remaining"] == []
            assert not records(engine) and BACKEND not in names(engine)


def test_read_only_while_it_runs(engine: Engine, short_path: Path, state: Path) -> None:
    """What is remembered is there, and receipts of before; a clear of images waits for the disk."""
    with tmpfs(state, "size=8m") as disk, daemon_of_user(engine.socket, short_path) as daemon:
        load(engine, 1, "watchparty-backend")
        assert receipt_of(daemon, "all", 0)["names"]
        daemon.stop()
        disk.remount("ro")
        daemon.start()
        wait_until(lambda: alarms(daemon) == {"storeFailed"})
        assert status(daemon)["store"]["state"] == "unwritable"
        load(engine, 1, "watchparty-frontend")
        before = names(engine)
        for target in ("all", "images"):
            planned = plan_of(daemon, target)
            receipt = receipt_of(daemon, target, 3)
            assert "images were left alone" in store_remains(receipt, state)
            check_remedies(receipt, planned, state, "watchparty-frontend:0")
            assert "writable" in receipt["remaining"][0]["remedy"]
        assert names(engine) == before
        assert len(ctl_json(daemon, "history")["runs"]) == 3
        assert receipt_of(daemon, "builder", 0)["outcome"] == "cleared"
        disk.remount("rw")
        wait_until(lambda: not alarms(daemon))
        assert receipt_of(daemon, "all", 0)["names"]


def test_a_program_that_holds_the_file(engine: Engine, short_path: Path, state: Path) -> None:
    """Not the disk is at fault, and not the engine."""
    load(engine, 1, "watchparty-backend")
    before = names(engine)
    with daemon_of_user(engine.socket, short_path) as daemon:
        poll(daemon)
        with closing(sqlite3.connect(state / "wpcache.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            receipt = receipt_of(daemon, "images", 3)
            other.execute("ROLLBACK")
        assert names(engine) == before and "images were left alone" in store_remains(receipt, state)
        assert {f"end the program that holds {state}/wpcache.db (fuser -v {state}/wpcache.db), then clear again"} == {
            left["remedy"] for left in receipt["remaining"]}
        assert receipt_of(daemon, "images", 0)["names"]


def test_policy(engine: Engine, short_path: Path, state: Path) -> None:
    """The build cache is held to its size; of images none goes, however old."""
    fill(engine, short_path / "cache")
    load(engine, 5, "watchparty-backend")
    with tmpfs(state, "size=1m") as disk:
        daemon = daemon_of_user(engine.socket, short_path,
                                "[builder]\nmax_size=2MB\n[images]\nmax_age=1d\nkeep_last=0\n")
        config = daemon.config.read_text()
        assert "grace=0\n" in config
        daemon.config.write_text(config.replace("grace=0\n", "grace=24h\n"))
        disk.fill()
        with daemon:
            wait_until(lambda: private_bytes(engine) < 2_000_000)
            daemon.clock.go_on(days=60)
            polls(daemon)
            assert len(names(engine)) == 5
            plan = ctl_json(daemon, "plan")["policy"]
            assert {image["rule"] for image in plan["images"] if image["names"]} == {"unknown"}
            assert "hold" not in plan["policy"]
            wait_until(lambda: {run["kind"] for run in ctl_json(
                daemon, "history", "--since", "1000d")["runs"]} == {"policy"})
            disk.empty()
            wait_until(lambda: not alarms(daemon))
            assert status(daemon)["policy"]["hold"] == "grace"


def test_application_caches(engine: Engine, short_path: Path, state: Path) -> None:
    """What can't be recorded is not renamed, but removed where it lies."""
    root = own(project(short_path / "frontend"), USER)
    with tmpfs(state, "size=1m") as disk:
        daemon = daemon_of_user(engine.socket, short_path, NO_LIMIT + section(root))
        disk.fill()
        with daemon:
            receipt = receipt_of(daemon, "frontend", 0)
            assert caches(root) == set() and receipt["caches"]
            assert any("where they lay" in note for note in receipt["notes"])
            assert not list(short_path.glob("**/.wpcache-trash*/*"))
            disk.empty()
            wait_until(lambda: not alarms(daemon))
            assert receipts(daemon)[-1]["id"] == receipt["id"]
