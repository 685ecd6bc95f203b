"""Callers who only look, as fast as they can, and clears that wait: the daemon goes on with its own work."""
from __future__ import annotations

import grp
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from apps import project, section
from daemon import Daemon as AnyDaemon
from engine import Engine
from helpers import ONE, Daemon, Project, start, wait_until
from policies import HASTY, configure, ctl_json, fill, hasty, poll, private_bytes, status
from stub import Stub
from varlink_client import Wire, user

GAMES = grp.getgrnam("games").gr_gid
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "explain": ("Explain", {"object": "nothing"}),
    "plan": ("GetPlan", {}),
    "dry-run": ("GetPlan", {"target": "all"}),
    "history": ("GetHistory", {}),
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


@contextmanager
def looping(daemon: AnyDaemon, *looks: str, uids: tuple[int, ...] = (3001, 3002), each: int = 4) -> Iterator[list[int]]:
    """Readers in a loop, EACH connections of each user; yields how many answers each connection had."""
    over = threading.Event()
    answers: list[int] = []

    def loop(wire: Wire, i: int) -> None:
        method, parameters = LOOKS[looks[i % len(looks)]]
        while not over.is_set():
            wire.call(method, **parameters)
            answers[i] += 1

    with ExitStack() as stack:
        threads = []
        for uid in uids:
            with user(uid, groups=(GAMES,)):
                wires = [stack.enter_context(Wire(daemon.socket, timeout=120)) for _ in range(each)]
            for wire in wires:
                answers.append(0)
                threads.append(threading.Thread(target=loop, args=(wire, len(answers) - 1)))
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in threads:
                thread.join()
    assert all(answers), answers


READERS = "[control]\nreaders=games\noperators=games\n"


@pytest.mark.parametrize("looks", [("explain",), ("plan",), ("dry-run",), ("explain", "plan", "dry-run", "history")],
                         ids=" ".join)
def test_polls_go_on(short_path: Path, looks: tuple[str, ...]) -> None:
    """They would not, were each of them to wait until nobody looks."""
    with (Stub(short_path / "e", 10) as engine,
          Daemon(engine.path, short_path / "daemon", HASTY + READERS) as daemon):
        poll(daemon, 1)
        engine.delay = 0.2  # on a large build cache
        with looping(daemon, *looks):
            for _ in range(4):
                before = status(daemon)["observedAt"]
                wait_until(lambda: status(daemon)["observedAt"] != before)
        assert not status(daemon)["alarms"]


@ONE
def test_policy_goes_on(engine: Engine, short_path: Path) -> None:
    fill(engine, short_path / "build")
    with hasty(engine, short_path / "daemon", READERS + "[builder]\nmax_size=1TB\n") as daemon:
        with looping(daemon, "explain", "plan", "dry-run"):
            assert private_bytes(engine) > 8_000_000
            configure(daemon, "max_size=1TB", "max_size=2MB")
            wait_until(lambda: private_bytes(engine) <= 2_000_000)


def test_metrics_go_on(short_path: Path) -> None:
    file = short_path / "metrics.prom"
    with (Stub(short_path / "e", 10) as engine,
          Daemon(engine.path, short_path / "daemon", f"{HASTY}{READERS}[metrics]\ntextfile={file}\n") as daemon):
        wait_until(file.exists)
        with looping(daemon, "history", each=8):
            for _ in range(3):
                before = file.stat().st_mtime_ns
                wait_until(lambda: file.stat().st_mtime_ns != before)


def test_search_for_caches_goes_on(short_path: Path) -> None:
    root = project(short_path / "frontend")
    with (Stub(short_path / "e", 10) as engine,
          Daemon(engine.path, short_path / "daemon", HASTY + READERS + section(root)) as daemon,
          looping(daemon, "explain", "plan")):
        wait_until(lambda: status(daemon)["apps"][0].get("caches"))


def test_several_users_take_turns(short_path: Path) -> None:
    """Sixteen looks of one user are in the queue at any time; another user's waits for a few of them alone."""
    with (Stub(short_path / "e", 10) as engine,
          Daemon(engine.path, short_path / "daemon", HASTY + READERS) as daemon):
        poll(daemon, 1)
        engine.delay = 0.2
        with user(3002, groups=(GAMES,)):
            other = Wire(daemon.socket)
        with other, looping(daemon, "explain", uids=(3001,), each=16) as answers:
            time.sleep(1)
            for _ in range(3):
                before = sum(answers)
                assert "policy" in other.call("GetPlan")["parameters"]
                assert sum(answers) - before <= 6  # sixteen, in the order of the calls


# --- clears that wait ---

def test_polls_go_on_while_a_clear_waits(engine: Engine, short_path: Path) -> None:
    """For a build: the figures stay those of now, the clear stays the job in progress, and ends well."""
    flight = Project(engine, short_path / "flight")
    (flight.dir / "Dockerfile").write_text("FROM scratch\nCOPY rootfs /\nRUN sleep 14\n")
    with hasty(engine, short_path / "daemon") as daemon:
        poll(daemon, 1)
        building = subprocess.Popen([engine.cli, "build", "--network", "none", str(flight.dir)],
                                    env=engine.env | {"DOCKER_BUILDKIT": "1"}, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: status(daemon)["builder"]["inUse"] > 0)
        clear = start(daemon, "clear", "--target", "all", "--wait", "60s")
        wait_until(lambda: status(daemon).get("job", {}).get("step") == "waiting")
        seen = set()
        while building.poll() is None:
            now = status(daemon)
            seen.add(now["observedAt"])
            assert building.poll() is not None or now["job"]["kind"] == "clear", now
            time.sleep(0.2)
        assert building.returncode == 0 and len(seen) >= 3, seen
        assert clear.wait(60) == 0, clear.communicate()
        assert not status(daemon)["alarms"]


IN_USE = (b'{"ID":"inuse","Type":"regular","Description":"local source for dockerfile","InUse":true,"Shared":false,"Size":1,'
          b'"CreatedAt":"2026-11-20T12:09:13.6Z","LastUsedAt":null,"UsageCount":1}')


def test_poll_overdue(short_path: Path) -> None:
    """A prune that takes its time is no fault, but whoever reads figures has to know how old they are."""
    with (Stub(short_path / "e", 10) as engine,
          Daemon(engine.path, short_path / "daemon", HASTY) as daemon):
        poll(daemon, 1)
        engine.stall("/build/prune")
        clear = start(daemon, "clear", "--target", "builder")
        assert engine.hanging.wait(30)
        wait_until(lambda: status(daemon)["alarms"])
        alarm, = status(daemon)["alarms"]
        assert alarm["kind"] == "pollOverdue" and "a clear of builder by root runs since" in alarm["message"], alarm
        told = daemon.ctl("status")
        assert told.returncode == 8 and "no poll has ended for" in told.stdout, told
        engine.release()
        assert clear.wait(30) == 0
        wait_until(lambda: not status(daemon)["alarms"])


def test_looks_are_answered_while_a_clear_waits(short_path: Path) -> None:
    """At once, and however many come, the clear goes on when the build has ended. What it tells of itself is
    of it alone, and a second clear still joins it."""
    with (Stub(short_path / "e", 0, n_images=3) as engine,
          Daemon(engine.path, short_path / "daemon", HASTY + READERS) as daemon):
        poll(daemon, 1)
        engine.records = IN_USE
        clear = start(daemon, "clear", "--target", "builder", "--wait", "60s")
        wait_until(lambda: status(daemon).get("job", {}).get("step") == "waiting")
        for arguments in (("plan",), ("explain", "watchparty-0:0-0"), ("clear", "--dry-run")):
            begin = time.monotonic()
            done = daemon.ctl(*arguments)
            assert done.returncode == 0 and time.monotonic() - begin < 5, done
            assert status(daemon)["job"]["kind"] == "clear" and status(daemon)["job"]["step"] == "waiting"
        with looping(daemon, "explain", "plan", "dry-run") as answers:
            wait_until(lambda: min(answers) > 2)
            second = start(daemon, "clear", "--target", "builder", "--wait", "60s")
            time.sleep(1)
            engine.records = b""
            for process in (clear, second):
                assert process.wait(30) == 0, process.communicate()
        assert len([run for run in ctl_json(daemon, "history")["runs"] if run["kind"] == "clear"]) == 1


def test_another_engine_while_a_clear_waits(short_path: Path) -> None:
    """A clear ends with the engine it began with; polls of the other one wait for that, and an alarm tells it."""
    with (Stub(short_path / "e", 0) as engine, Stub(short_path / "other", 5) as other,
          Daemon(engine.path, short_path / "daemon", HASTY) as daemon):
        poll(daemon, 1)
        engine.records = IN_USE
        clear = start(daemon, "clear", "--target", "builder", "--wait", "60s")
        wait_until(lambda: status(daemon).get("job", {}).get("step") == "waiting")
        polls_before = status(daemon)["observedAt"]
        wait_until(lambda: status(daemon)["observedAt"] > polls_before)
        daemon.config.write_text(daemon.config.read_text().replace(str(engine.path), str(other.path)))
        assert daemon.ctl("reload").returncode == 0
        wait_until(lambda: {alarm["kind"] for alarm in status(daemon)["alarms"]} == {"pollOverdue"})
        assert "/system/df" not in other.requests
        engine.records = b""
        assert clear.wait(30) == 0, clear.communicate()
        wait_until(lambda: status(daemon).get("builder", {}).get("records") == 5)
        assert not status(daemon)["alarms"]
