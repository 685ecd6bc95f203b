"""A clear in which an allocation fails, each in turn: no name is lost, and no success is told that was
not seen."""
from __future__ import annotations

import json
import mmap
import os
import random
import re
import shlex
import sqlite3
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import proxy as proxy_module
from daemon import BUILD as RUN_BUILD
from engine import Engine
from helpers import ONE, Daemon, Project, build_cache, build_records, load, names, records, tag
from proxy import Proxy
from scenarios import BACKEND
from varlink_client import call

proxy = proxy_module.proxy  # the fixture
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

    def fail(self, number: int) -> None:
        """This one as well, while it counts."""
        self._map[8:24] = struct.pack("2Q", number, number)

    @property
    def count(self) -> int:
        """So far."""
        return struct.unpack("Q", self._map[24:32])[0]

    def disarm(self) -> tuple[int, int]:
        """How many there were, and how many failed."""
        self._map[:8] = bytes(8)
        return struct.unpack("2Q", self._map[24:])


@pytest.fixture
def orders(short_path: Path) -> Orders:
    return Orders(short_path / "orders")


@pytest.fixture
def failing(proxy: Proxy, short_path: Path, orders: Orders) -> Iterator[Daemon]:
    build = short_path / "build"
    build.mkdir()
    (build / "wpcached").write_text(
        f"#!/bin/sh\nLD_PRELOAD={shlex.quote(str(PRELOAD))} WPCACHE_FAIL_MALLOC={orders.file} "
        f'exec {shlex.quote(str(RUN_BUILD))}/wpcached "$@"\n')
    (build / "wpcached").chmod(0o755)
    (build / "wpcachectl").symlink_to(RUN_BUILD / "wpcachectl")
    with Daemon(proxy.socket, short_path / "daemon", CONFIG, build) as daemon:
        yield daemon


def on_record(receipt: dict[str, Any], name: str, image: str) -> bool:
    return any((entry["name"], entry["imageId"]) == (name, image) for entry in receipt["names"])


def query(daemon: Daemon, sql: str, *values: str) -> list[str]:
    """The first column of what the daemon's file answers."""
    file = daemon.state / "wpcache.db"
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as store:
        return [row[0] for row in store.execute(sql, values)]


def stored_ids(daemon: Daemon) -> list[str]:
    return query(daemon, "SELECT id FROM runs WHERE kind = 'clear'")


def known_ids(daemon: Daemon) -> set[str]:
    """Of all clears so far: those in the file, and those that are in memory until they can be written
    (the newest runs, 64 at most)."""
    reply = call(daemon.socket, "GetHistory", limit=64)
    newest = {run["id"] for run in reply["parameters"]["runs"] if run["kind"] == "clear"}
    return newest | set(stored_ids(daemon))


def prepare(engine: Engine, image: str) -> dict[str, str]:
    """The same before each clear: records, and names; one image is in use, one is not."""
    if any(record["InUse"] for record in build_cache(engine)):  # 20.10 lost count: see conftest's engine()
        engine.kill()
        engine.start()
    for name in (BACKEND, SECOND):
        if name not in names(engine):
            tag(engine, image, *name.split(":"))
    if THIRD not in names(engine):
        load(engine, 1, "watchparty-frontend")
    if not records(engine):
        build_records(engine, "elsewhere:1")
    return names(engine)


def check_clear(engine: Engine, daemon: Daemon, orders: Orders, before: dict[str, str],
                where: str) -> str:
    """One clear with an allocation that fails; its exit status, and the kind of what first remained."""
    known = known_ids(daemon)
    try:
        done = daemon.ctl("clear", "all", "--wait", "5s")
    finally:
        _, failed = orders.disarm()
    where = f"{where}: {done.stdout}{done.stderr}"
    assert daemon.process and daemon.process.poll() is None, where
    now = names(engine)
    gone = {name: id for name, id in before.items()
            if now.get(name) != id and "wpcache-rollback" not in name}
    if done.returncode == 0:
        left = {BACKEND, SECOND, THIRD} & set(now)
        kept = "".join(line for line in done.stdout.splitlines() if line.startswith("NOTE: kept: serves no build: "))
        assert not records(engine) and all(name in kept for name in left), where
    else:
        assert failed, where
    assert ": (and" not in done.stderr, where
    if done.returncode not in (0, 3):
        assert "annot allocate memory" in done.stderr or "out of memory" in done.stderr, where
    # A receipt of an earlier clear that was in memory may have been written as well.
    made = [id for id in stored_ids(daemon) if id not in known]
    assert len(made) <= 1 and (made or not gone), where
    assert known <= known_ids(daemon), f"an earlier receipt is lost; {where}"
    if gone:
        receipt = json.loads(query(
            daemon, "SELECT json FROM runs JOIN details USING (n) WHERE id = ?", made[0])[0])
        for name, id in gone.items():
            assert on_record(receipt, name, id), f"{name} is lost; {where}"
        check_rollback(engine, daemon, made[0], gone, where)
    kind = re.search(r"^REMAINING: (\w+ [\w-]*)", done.stdout, re.MULTILINE)
    return f"{done.returncode} {kind[1]}" if kind else str(done.returncode)


@pytest.mark.parametrize("span", [1, 3, 1000], ids=["one", "three", "all-that-follow"])
def test_allocations_of_a_clear(engine: Engine, failing: Daemon, orders: Orders, short_path: Path,
                                span: int) -> None:
    daemon = failing
    image = Project(engine, short_path / "project").deploy("one")
    assert daemon.ctl("clear", "all").returncode == 0
    prepare(engine, image)
    orders.arm()
    assert daemon.ctl("clear", "all").returncode == 0
    amount, _ = orders.disarm()
    assert amount > 300, "the allocations of a clear are not seen"
    numbers = list(range(1, amount + 1))
    if ROUNDS < ALL or span > 1:
        rounds = max(3, ROUNDS // 3) if span > 1 else ROUNDS
        numbers = sorted(random.Random(SEED + span).sample(numbers, min(rounds, amount)))
    ended: Counter[str] = Counter()
    for number in numbers:
        before = prepare(engine, image)
        orders.arm(number, number + span - 1)
        # The daemon begins no job before it has memory to tell its end, and asks for that ten times a second.
        back = threading.Timer(1, orders.disarm)
        back.start()
        ended[check_clear(engine, daemon, orders, before, f"allocation {number} of {amount}")] += 1
        back.cancel()
        back.join()
    print(f"{len(numbers)} of {amount} allocations, {span} in a row; exit status: {dict(ended)}")
    assert daemon.stop() == 0


class AfterName:
    """A hook of the proxy: when the engine is asked for the NTH name, one of the allocations that
    follow is to fail; and how many there are until the next request."""

    def __init__(self, orders: Orders, nth: int, offset: int = 0):
        self.orders, self.left, self.offset = orders, nth, offset
        self.at = self.end = 0

    def __call__(self, method: str, path: str) -> None:
        if self.at and not self.end:
            self.end = self.orders.count
        self.left -= method == "DELETE"
        if method == "DELETE" and self.left == 0:
            self.at = self.orders.count
            if self.offset:
                self.orders.fail(self.at + self.offset)


def test_allocations_after_a_name_is_gone(engine: Engine, proxy: Proxy, failing: Daemon,
                                          orders: Orders, short_path: Path) -> None:
    """From the moment at which the engine is asked for a name to the next request, each in turn; in
    short runs, of the second name some."""
    daemon = failing
    image = Project(engine, short_path / "project").deploy("one")
    ended: Counter[str] = Counter()
    for nth in (1, 2):
        prepare(engine, image)
        proxy.before = hook = AfterName(orders, nth)
        orders.arm()
        assert daemon.ctl("clear", "all").returncode == 0
        orders.disarm()
        amount = hook.end - hook.at
        assert amount > 0
        for offset in range(1, amount + 1, 1 if nth == 1 or ROUNDS >= ALL else 7):
            proxy.before = lambda method, path: None
            before = prepare(engine, image)
            proxy.before = AfterName(orders, nth, offset)
            orders.arm()
            where = f"allocation {offset} of {amount} after name {nth}"
            ended[check_clear(engine, daemon, orders, before, where)] += 1
    print(f"{sum(ended.values())} allocations, exit status: {dict(ended)}")


def check_rollback(engine: Engine, daemon: Daemon, receipt: str, gone: dict[str, str],
                   where: str) -> None:
    """The receipt puts its names back, as far as their images are there."""
    there = set(names(engine).values())
    if not any(id in there for id in gone.values()):
        return
    done = daemon.ctl("rollback", receipt)
    for name, id in gone.items():
        assert id not in there or names(engine).get(name) == id, (
            f"{name} is not put back: {done.stdout}{done.stderr}; {where}")


def test_allocations_of_a_rollback(engine: Engine, failing: Daemon, orders: Orders,
                                   short_path: Path) -> None:
    """One that fails can be done again."""
    daemon = failing
    image = Project(engine, short_path / "project").deploy("one")
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
