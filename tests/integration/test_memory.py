"""A clear in which an allocation fails, each in turn: no name is lost, and no success is told that was
not seen."""
from __future__ import annotations

import json
import mmap
import os
import random
import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import BUILD as RUN_BUILD
from engine import Engine
from helpers import ONE, Daemon, Project, load, names, receipts, records, tag
from scenarios import BACKEND

ROUNDS = int(os.environ.get("WPCACHE_ROUNDS", "40"))
ALL = 1000  # so many mean every allocation
BUILD = Path(os.environ.get("WPCACHE_BUILD_DIR", Path(__file__).parents[2] / "build/dev"))
PRELOAD = BUILD / "tests/libfailmalloc.so"
SEED = 20261120
SECOND, THIRD = "watchparty-backend:previous", "watchparty-frontend:0"
# Polls would be counted with the clear.
CONFIG = "[poll]\ninterval=1h\nevents=no\n"

pytestmark = [ONE, pytest.mark.skipif(
    any(word in (BUILD / "wpcached").read_bytes() for word in (b"__asan_init", b"__tsan_init")),
    reason="a sanitizer has an allocator of its own")]


class Orders:
    """What libfailmalloc does in a daemon."""

    def __init__(self, file: Path):
        self.file = file
        file.write_bytes(bytes(40))
        with open(file, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 40)

    def arm(self, first: int = 0, last: int = 0) -> None:
        """Counts from here on; allocations of these numbers fail."""
        self._map[8:] = struct.pack("4Q", first, last, 0, 0)
        self._map[:8] = struct.pack("Q", 1)

    def disarm(self) -> tuple[int, int]:
        """How many there were, and how many failed."""
        self._map[:8] = bytes(8)
        return struct.unpack("2Q", self._map[24:])


@pytest.fixture
def orders(short_path: Path) -> Orders:
    return Orders(short_path / "orders")


@pytest.fixture
def failing(engine: Engine, short_path: Path, orders: Orders) -> Iterator[Daemon]:
    build = short_path / "build"
    build.mkdir()
    (build / "wpcached").write_text(
        f"#!/bin/sh\nLD_PRELOAD={shlex.quote(str(PRELOAD))} WPCACHE_FAIL_MALLOC={orders.file} "
        f'exec {shlex.quote(str(RUN_BUILD))}/wpcached "$@"\n')
    (build / "wpcached").chmod(0o755)
    (build / "wpcachectl").symlink_to(RUN_BUILD / "wpcachectl")
    with Daemon(engine.socket, short_path / "daemon", CONFIG, build) as daemon:
        yield daemon


def on_record(daemon: Daemon, name: str, image: str) -> list[str]:
    """The receipts that have this name with this image, newest first."""
    return [receipt["id"] for receipt in reversed(receipts(daemon))
            if {"name": name, "imageId": image} in [
                {key: entry[key] for key in ("name", "imageId")} for entry in receipt["names"]]]


def prepare(engine: Engine, project: Project, image: str) -> dict[str, str]:
    """The same before each clear: records, and names; one image is in use, one is not."""
    for name in (BACKEND, SECOND):
        if name not in names(engine):
            tag(engine, image, *name.split(":"))
    if THIRD not in names(engine):
        load(engine, 1, "watchparty-frontend")
    if not records(engine):
        project.build(name="elsewhere:1")
    return names(engine)


@pytest.mark.parametrize("span", [1, 3, 1000], ids=["one", "three", "all-that-follow"])
def test_allocations_of_a_clear(engine: Engine, failing: Daemon, orders: Orders, short_path: Path,
                                span: int) -> None:
    daemon, project = failing, Project(engine, short_path / "project")
    image = project.deploy("one")
    prepare(engine, project, image)
    orders.arm()
    assert daemon.ctl("clear", "all").returncode == 0
    amount, _ = orders.disarm()
    assert amount > 300, "the allocations of a clear are not seen"
    rounds = max(3, ROUNDS // 3) if span > 1 else ROUNDS
    numbers = (range(1, amount + 1) if rounds >= ALL else
               sorted(random.Random(SEED + span).sample(range(1, amount + 1), rounds)))
    outcomes: dict[int, int] = {}
    for number in numbers:
        before = prepare(engine, project, image)
        orders.arm(number, number + span - 1)
        try:
            done = daemon.ctl("clear", "all", "--wait", "5s")
        finally:
            _, failed = orders.disarm()
        where = f"allocation {number} of {amount}: {done.stdout}{done.stderr}"
        outcomes[done.returncode] = outcomes.get(done.returncode, 0) + 1
        assert daemon.process and daemon.process.poll() is None, where
        gone = {name: id for name, id in before.items()
                if names(engine).get(name) != id and "wpcache-rollback" not in name}
        if done.returncode == 0:
            assert not records(engine) and not {BACKEND, SECOND, THIRD} & set(names(engine)), where
        else:
            assert failed, where
        for name, id in gone.items():
            assert on_record(daemon, name, id), f"{name} is lost; {where}"
        check_rollback(engine, daemon, gone, where)
    print(f"{len(numbers)} of {amount} allocations, {span} in a row; exit status: {outcomes}")
    assert daemon.stop() == 0


def check_rollback(engine: Engine, daemon: Daemon, gone: dict[str, str], where: str) -> None:
    """The receipt with a name puts it back, as far as its image is there."""
    there = set(names(engine).values())
    for name, id in gone.items():
        if id not in there:
            continue
        receipt = on_record(daemon, name, id)[0]
        done = daemon.ctl("rollback", receipt)
        assert names(engine).get(name) == id, f"{name} is not put back: {done.stdout}{done.stderr}; {where}"


def test_allocations_of_a_rollback(engine: Engine, failing: Daemon, orders: Orders,
                                   short_path: Path) -> None:
    """One that fails can be done again."""
    daemon, project = failing, Project(engine, short_path / "project")
    image = project.deploy("one")
    assert daemon.ctl("clear", "all").returncode == 0
    orders.arm()
    assert daemon.ctl("rollback").returncode == 0
    amount, _ = orders.disarm()
    for number in random.Random(SEED).sample(range(1, amount + 1), min(amount, max(5, ROUNDS // 2))):
        if BACKEND in names(engine):
            engine.docker("rmi", BACKEND)
        orders.arm(number, number)
        try:
            done = daemon.ctl("rollback")
        finally:
            orders.disarm()
        if done.returncode == 0:
            assert names(engine).get(BACKEND) == image, f"allocation {number}: {done.stdout}"
        assert daemon.ctl("rollback").returncode == 0 and names(engine)[BACKEND] == image
    assert json.loads(daemon.ctl("status", "--json").stdout)["alarms"] == []
