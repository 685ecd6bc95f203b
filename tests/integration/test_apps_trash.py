"""Caches of applications: whatever is in them, and whatever happens while they go."""
from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps import (POLLING, app, clear, ext4, mounted, plan_of, project, remaining, removed,
                  section, tmpfs, trash, tree, without_engine, write)
from helpers import Daemon, receipts, start, wait_until
from policies import ctl_json, status

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and owns all files")

FOREIGN = "0123456789abcdef" * 2  # what could be a name of the trash


@pytest.fixture
def root(short_path: Path) -> Path:
    """One cache, and what must not be touched beside it."""
    return write(short_path / "frontend", "package.json", "src/index.js", ".next/BUILD_ID")


# What may be in a cache

def test_anything(short_path: Path, root: Path) -> None:
    outside = write(short_path / "outside", "linked", "directory/file")
    cache = root / ".next"
    os.link(outside / "linked", cache / "hard-link")
    (cache / "link").symlink_to(outside / "linked")
    (cache / "link-to-directory").symlink_to(outside / "directory")
    (cache / "link-to-nothing").symlink_to("nowhere")
    os.mkfifo(cache / "fifo")
    os.mknod(cache / "device", stat.S_IFBLK | 0o600, os.makedev(7, 200))
    os.mknod(cache / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(cache / "socket"))
    for name in (b"new\nline", b"\xff\xfe invalid", b"-rf", b" ", b"\x1b[31m", b"x" * 255):
        (Path(os.fsdecode(os.fsencode(cache) + b"/" + name)) / "d").mkdir(parents=True)
    (cache / "closed/inner").mkdir(parents=True)
    (cache / "closed/inner/file").touch()
    (cache / "closed/inner").chmod(0)
    (cache / "closed").chmod(0)
    (cache / "read-only").touch(0o444)
    cache.chmod(0)
    before, inode = tree(outside), (outside / "linked").stat().st_ino
    with without_engine(short_path, section(root)) as daemon:
        receipt = clear(daemon)
        assert trash(daemon) == []
    assert removed(receipt) == {".next"} and not cache.exists()
    after = tree(outside)
    assert after == before and (outside / "linked").stat().st_ino == inode
    assert (outside / "linked").stat().st_nlink == 1
    assert sorted(path.name for path in root.iterdir()) == ["package.json", "src"]


def test_names_that_are_no_text(short_path: Path, root: Path) -> None:
    """Of the cache itself, its path and its name in the configuration: shown, and no other is."""
    odd = os.fsencode(root) + b"/a\nb\xff\\"
    os.makedirs(odd + b"/.next/deep")
    with without_engine(short_path, section(root)) as daemon:
        plan = plan_of(daemon, "frontend")
        assert {cache["path"] for cache in plan["caches"]} == {".next", "a\\nb\\xff\\\\/.next"}
        assert removed(clear(daemon)) == {".next", "a\\nb\\xff\\\\/.next"}
        assert trash(daemon) == []
    assert os.listdir(odd) == []


@pytest.mark.parametrize("below", [".next", "src"])
def test_depth(short_path: Path, below: str) -> None:
    """10,000 directories, in a cache and above one."""
    with tmpfs(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", ".next/BUILD_ID", "src/index.js")
        at = os.open(root / below, os.O_RDONLY)
        for i in range(10_000):
            os.mkdir("d", dir_fd=at)
            deeper = os.open("d", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = deeper
        os.mkdir(".turbo", dir_fd=at)
        os.close(os.open(".turbo/file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        try:
            with without_engine(short_path, section(root)) as daemon:
                receipt = clear(daemon)
                assert trash(daemon, disk / ".wpcache-trash") == []
            assert not (root / ".next").exists()
            step, = (step for step in receipt["removed"] if step["step"] == "caches")
            assert step["objects"] == (1 if below == ".next" else 2)
            assert os.listdir(at) == []
        finally:
            os.close(at)


def test_immutable(short_path: Path) -> None:
    """The path is clean at once, and what is left of it is told, until it is gone."""
    with ext4(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", ".next/BUILD_ID", ".next/a/fixed")
        subprocess.run(["chattr", "+i", root / ".next/a/fixed"], check=True)
        place = disk / ".wpcache-trash"
        fixed: list[Path] = []
        try:
            with without_engine(short_path, section(root)) as daemon:
                for again in range(2):
                    receipt = clear(daemon, expect=3)
                    assert receipt["outcome"] == "notCleared"
                    assert not (root / ".next").exists()
                    fixed = list(place.glob("*/a/fixed"))
                    assert [str(path) for path in fixed] == list(remaining(receipt))
                    assert "chattr -i" in receipt["remaining"][0]["remedy"]
                    assert not list(place.glob("*/BUILD_ID"))
                    assert removed(receipt) == set()
                    assert daemon.stop() == 0
                    daemon.start()
                subprocess.run(["chattr", "-i", fixed[0]], check=True)
                assert clear(daemon)["outcome"] == "cleared"
                assert os.listdir(place) == []
        finally:
            subprocess.run(["chattr", "-R", "-i", disk], check=True, stderr=subprocess.DEVNULL)


def test_immutable_cache(short_path: Path) -> None:
    """One that can't even be renamed stays where it is."""
    with ext4(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", ".next/BUILD_ID", ".turbo/log")
        before = tree(root / ".next")
        subprocess.run(["chattr", "+i", root / ".next"], check=True)
        try:
            with without_engine(short_path, section(root)) as daemon:
                receipt = clear(daemon, expect=3)
                assert set(remaining(receipt)) == {str(root / ".next")}
                assert removed(receipt) == {".turbo"} and tree(root / ".next") == before
                subprocess.run(["chattr", "-i", root / ".next"], check=True)
                assert removed(clear(daemon)) == {".next"}
        finally:
            subprocess.run(["chattr", "-R", "-i", disk], check=True, stderr=subprocess.DEVNULL)


def test_mount_inside(short_path: Path, root: Path) -> None:
    """Not entered, wherever the cache is by then."""
    outside = write(short_path / "outside", "kept", "directory/kept")
    before = tree(outside)
    (root / ".next/a").mkdir()
    (root / ".next/a/mount").mkdir()
    with without_engine(short_path, section(root)) as daemon:
        with mounted(root / ".next/a/mount", "--bind", outside):
            receipt = clear(daemon, expect=3)
            assert receipt["outcome"] == "notCleared"
            place, = remaining(receipt)
            assert place.endswith("/a/mount") and tree(outside) == before
            assert not (root / ".next/BUILD_ID").exists()
            subprocess.run(["umount", "--lazy", place], check=True)
            assert clear(daemon)["remaining"] == []
            assert trash(daemon) == [] and not (root / ".next").exists()
    assert tree(outside) == before


def test_mount_on_a_cache(short_path: Path, root: Path) -> None:
    outside = write(short_path / "outside", "kept")
    before = tree(outside)
    (root / ".turbo").mkdir()
    with (mounted(root / ".turbo", "--bind", outside),
          without_engine(short_path, section(root)) as daemon):
        receipt = clear(daemon, expect=3)
        assert list(remaining(receipt)) == [str(root / ".turbo")]
        assert removed(receipt) == {".next"} and tree(outside) == before


@pytest.mark.parametrize("ignored", [False, True])
def test_mount_below(short_path: Path, root: Path, ignored: bool) -> None:
    """Another file system is not searched. A build that sees it may find a cache in it."""
    if ignored:
        (root / ".dockerignore").write_text("disk\n")
    (root / "disk").mkdir()
    with tmpfs(root / "disk"), without_engine(short_path, section(root)) as daemon:
        write(root, "disk/.next/BUILD_ID")
        receipt = clear(daemon, expect=0 if ignored else 3)
        assert (root / "disk/.next/BUILD_ID").exists() and removed(receipt) == {".next"}
        assert list(remaining(receipt)) == [] if ignored else [str(root / "disk")]
        assert any(f"{root}/disk is another file system" in note for note in receipt["notes"]
                   ) == ignored


def test_mount_on_the_way(short_path: Path, root: Path) -> None:
    """To a cache that is named by its path."""
    (root / ".dockerignore").write_text("*\n")
    (root / "node_modules").mkdir(exist_ok=True)
    with tmpfs(root / "node_modules"), without_engine(short_path, section(root)) as daemon:
        write(root, "node_modules/.cache/a")
        assert list(remaining(clear(daemon, expect=3))) == [str(root / "node_modules")]


def test_left_over_of_another_application(short_path: Path) -> None:
    """Is told by every clear, and fails those that are about it."""
    with ext4(short_path / "disk") as disk:
        roots = {name: write(disk / name, "package.json", ".next/fixed")
                 for name in ("frontend", "other")}
        subprocess.run(["chattr", "+i", roots["frontend"] / ".next/fixed"], check=True)
        sections = "".join(section(root, name, caches=".next") for name, root in roots.items())
        try:
            with without_engine(short_path, sections) as daemon:
                clear(daemon, "frontend", expect=3)
                receipt = clear(daemon, "other")
                assert removed(receipt) == {".next"} and receipt["remaining"] == []
                assert any("of frontend's .next" in note for note in receipt["notes"])
                clear(daemon, "apps", expect=3)
        finally:
            subprocess.run(["chattr", "-R", "-i", disk], check=True, stderr=subprocess.DEVNULL)


def test_another_number_of_the_device(short_path: Path, root: Path) -> None:
    """As after a start of the host: the name, the inode and the trash's own device tell it is it."""
    (root / ".next/mount").mkdir()
    with without_engine(short_path, section(root)) as daemon:
        with tmpfs(root / ".next/mount"):
            place, = remaining(clear(daemon, expect=3))
            subprocess.run(["umount", "--lazy", place], check=True)
            assert daemon.stop() == 0
            with sqlite3.connect(daemon.state / "wpcache.db") as store:
                assert store.execute("UPDATE trash SET dev = dev + 1").rowcount == 1
            store.close()
            daemon.start()
            wait_until(lambda: trash(daemon) == [])


def test_rollback_of_what_took_no_name(short_path: Path, root: Path) -> None:
    with without_engine(short_path, section(root)) as daemon:
        receipt = clear(daemon)
        done = daemon.ctl("rollback", receipt["id"])
        assert done.returncode == 1 and "took no names" in done.stderr, done.stdout + done.stderr
        assert status(daemon)["lastClear"]["target"] == "frontend"


def test_writer(short_path: Path, root: Path) -> None:
    """Somebody makes the cache again and again, as a build that runs does: that is told, unless he
    gets no turn on the processor until the daemon has looked again."""
    writer = subprocess.Popen([sys.executable, "-c", """if True:
        import os, sys
        while True:
            try:
                os.makedirs(sys.argv[1] + "/deeper", exist_ok=True)
            except OSError:
                pass""", root / ".next"])
    try:
        wait_until(lambda: (root / ".next/deeper").exists())
        with without_engine(short_path, section(root)) as daemon:
            for _ in range(200):
                done = daemon.ctl("clear", "--target", "frontend")
                if done.returncode:
                    break
            receipt = receipts(daemon)[-1]
            assert done.returncode == 3 and receipt["outcome"] == "notCleared"
            assert list(remaining(receipt)) == [str(root / ".next")]
            writer.kill()
            writer.wait()
            assert clear(daemon)["outcome"] == "cleared"
            assert trash(daemon) == []
    finally:
        writer.kill()
        writer.wait()
    assert not (root / ".next").exists()


# Left-overs

@pytest.fixture
def large(short_path: Path) -> Iterator[Path]:
    """A root with a cache that takes a while; the trash is beside it."""
    with tmpfs(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", "src/index.js")
        for i in range(100):
            (root / f".next/{i}").mkdir(parents=True)
            for k in range(400):
                os.mknod(root / f".next/{i}/{k}")
        yield root


def test_killed(short_path: Path, large: Path) -> None:
    place = large.with_name(".wpcache-trash")
    with without_engine(short_path, section(large)) as daemon:
        client = start(daemon, "clear", "--target", "frontend")
        wait_until(lambda: trash(daemon, place), pause=0.001)
        daemon.kill()
        assert client.wait(30) == 1, client.communicate()
        client.communicate()
        assert not (large / ".next").exists()
        assert len(trash(daemon, place)) == 1, "it was too late to be killed"
        write(place, f"{FOREIGN}/file", "notes/file", "file")
        daemon.start()
        wait_until(lambda: trash(daemon, place) == sorted([FOREIGN, "notes", "file"]))
        receipt, = receipts(daemon)
        assert receipt["outcome"] == "interrupted" and removed(receipt) == {".next"}
        history = ctl_json(daemon, "history")
        assert [run["outcome"] for run in history["runs"]] == ["interrupted"]
        assert clear(daemon)["outcome"] == "cleared"
        assert (place / FOREIGN / "file").exists() and (place / "notes/file").exists()
    assert tree(large).keys() == {os.fsencode(large / path) for path in (
        "package.json", "src", "src/index.js")}


def test_stopped(short_path: Path, large: Path) -> None:
    """SIGTERM in the midst of it: the daemon ends in good order and soon, and goes on later."""
    place = large.with_name(".wpcache-trash")
    with without_engine(short_path, section(large)) as daemon:
        client = start(daemon, "clear", "--target", "frontend")
        wait_until(lambda: trash(daemon, place), pause=0.001)
        assert daemon.stop(timeout=10) == 0
        assert client.wait(30) != 0
        client.communicate()
        assert trash(daemon, place), "it was too late to be stopped"
        daemon.start()
        wait_until(lambda: not trash(daemon, place))
        assert receipts(daemon)[0]["outcome"] == "interrupted"


def test_left_over_of_another(short_path: Path, root: Path) -> None:
    """What bears a stored name, but is not what was stored, is left."""
    with ext4(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", ".next/fixed")
        subprocess.run(["chattr", "+i", root / ".next/fixed"], check=True)
        with without_engine(short_path, section(root)) as daemon:
            clear(daemon, expect=3)
            name, = os.listdir(disk / ".wpcache-trash")
            taken = disk / ".wpcache-trash" / name
            subprocess.run(["chattr", "-i", taken / "fixed"], check=True)
            taken.rename(disk / "aside")
            write(taken, "mine")
            receipt = clear(daemon)
            assert [note for note in receipt["notes"] if str(taken) in note], receipt["notes"]
            assert daemon.stop() == 0
            daemon.start()
            clear(daemon)
            assert (taken / "mine").exists() and (disk / "aside/fixed").exists()


def test_swept_before_a_clear(short_path: Path) -> None:
    """What is left of one application goes with a clear of another."""
    with ext4(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json", ".next/fixed")
        other = project(disk / "backend", "backend")
        subprocess.run(["chattr", "+i", root / ".next/fixed"], check=True)
        with without_engine(short_path, section(root) + section(other, "backend")) as daemon:
            clear(daemon, expect=3)
            fixed, = (disk / ".wpcache-trash").glob("*/fixed")
            subprocess.run(["chattr", "-i", fixed], check=True)
            clear(daemon, "backend")
            assert os.listdir(disk / ".wpcache-trash") == []


# Where the trash is

@pytest.fixture
def immobile(root: Path) -> Iterator[Path]:
    """A directory in the cache that can't be removed, so that where the trash is can be seen."""
    place = root / ".next/mount"
    place.mkdir()
    with tmpfs(place):
        yield place


def place_of(of: Daemon) -> Path:
    """Where something was left."""
    left, = remaining(clear(of, expect=3))
    assert left.endswith("/mount"), left
    return Path(left)


def test_trash_of_the_configuration(short_path: Path, root: Path, immobile: Path) -> None:
    place = short_path / "my-trash"
    with without_engine(short_path, section(root, trash=str(place))) as daemon:
        assert place_of(daemon).parents[1] == place
        assert stat.S_IMODE(place.stat().st_mode) == 0o700 and trash(daemon) == []


def test_trash_of_the_state(short_path: Path, root: Path, immobile: Path) -> None:
    with without_engine(short_path, section(root)) as daemon:
        assert place_of(daemon).parents[1] == daemon.state / "trash"
        assert stat.S_IMODE((daemon.state / "trash").stat().st_mode) == 0o700


@pytest.mark.parametrize("place", ["{tmp}/way/trash", "{tmp}/way/src/trash", "{tmp}/open/trash",
                                   "{tmp}/disk/trash", "{tmp}/missing/trash"])
def test_trash_that_is_none(short_path: Path, root: Path, place: str) -> None:
    """In a build's way, writable for others, elsewhere or nowhere: removed in place, and said."""
    (short_path / "open").mkdir()
    (short_path / "open").chmod(0o777)
    (short_path / "way").symlink_to(root)
    path = place.format(tmp=short_path)
    with (tmpfs(short_path / "disk"),
          without_engine(short_path, section(root, trash=path)) as daemon):
        receipt = clear(daemon)
        assert removed(receipt) == {".next"} and not (root / ".next").exists()
        assert receipt["appBytes"] > 0
        assert [note for note in receipt["notes"] if "where they lay" in note], receipt["notes"]
        assert not Path(path).exists()


def test_in_place_with_something_left(short_path: Path, root: Path, immobile: Path) -> None:
    with without_engine(short_path, section(root, trash=str(short_path / "missing/trash"))) as daemon:
        receipt = clear(daemon, expect=3)
        assert str(immobile) in remaining(receipt)
        assert not (root / ".next/BUILD_ID").exists()
        subprocess.run(["umount", immobile], check=True)
        assert clear(daemon)["remaining"] == []
        assert not (root / ".next").exists()


def test_other_file_system(short_path: Path) -> None:
    """The trash is made at the top of it, as far as that is nobody else's."""
    with tmpfs(short_path / "disk") as disk:
        root = write(disk / "srv/party/frontend", "package.json", ".next/BUILD_ID")
        write(disk / "srv/party", "compose.yaml")
        with without_engine(short_path, section(root) + POLLING) as daemon:
            wait_until(lambda: app(daemon).get("state") == "ok")
            assert removed(clear(daemon)) == {".next"}
            place = disk / ".wpcache-trash"
            assert os.listdir(place) == [] and stat.S_IMODE(place.stat().st_mode) == 0o700
            shutil.rmtree(place)
            disk.chmod(0o1777)
            write(root, ".next/BUILD_ID")
            assert removed(clear(daemon)) == {".next"}
            assert os.listdir(disk) == ["srv"] and os.listdir(disk / "srv/.wpcache-trash") == []
            (disk / "srv/.wpcache-trash").rmdir()
            disk.chmod(0o777)  # whatever is in it may be moved into a build's context
            write(root, ".next/BUILD_ID")
            receipt = clear(daemon)
            assert removed(receipt) == {".next"} and os.listdir(disk / "srv") == ["party"]
            assert [note for note in receipt["notes"] if "where they lay" in note]


def test_root_is_a_file_system(short_path: Path) -> None:
    with (tmpfs(short_path / "frontend") as root,
          without_engine(short_path, section(root)) as daemon):
        write(root, "package.json", ".next/BUILD_ID", "src/index.js")
        receipt = clear(daemon)
        assert removed(receipt) == {".next"} and sorted(os.listdir(root)) == ["package.json", "src"]
        assert [note for note in receipt["notes"] if "where they lay" in note], receipt["notes"]
