"""Fixtures: real engines, and a daemon on one of them. $WPCACHE_ENGINES says which engines; with $WPCACHE_PART,
which is one of them or "none", only the tests that use this engine run, or those that use none of them. "20-1/2" is
every second one of these, from the first on."""
from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from daemon import Daemon
from engine import Engine, EngineError
from service import Service

# As in the foreground, whoever started this: a shell has what it starts in the background ignore
# SIGINT, nohup(1) SIGHUP, and programs under test would inherit that.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT
                      else signal.SIG_DFL)

NAMES = os.environ.get("WPCACHE_ENGINES", "20,28,28c").split(",")
PART = os.environ.get("WPCACHE_PART")


def part_of(item: pytest.Item) -> str:
    """The engine that a test uses, or "none"."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("engine_process", "none") if callspec else "none"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not PART:
        return
    name, _, share = PART.partition("-")
    first, _, step = (share or "1/1").partition("/")
    chosen = [item for item in items if part_of(item) == name][int(first) - 1::int(step)]
    kept = set(chosen)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = chosen


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory short enough for sockets (pytest's are not) that any user may enter."""
    with tempfile.TemporaryDirectory(prefix="wpcache-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(scope="session", params=NAMES)
def engine_process(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with (tempfile.TemporaryDirectory(prefix="wpcache-") as directory,
          Engine(request.param, f"{directory}/e") as engine):
        yield engine


@pytest.fixture
def engine(engine_process: Engine) -> Engine:
    """A running engine with nothing in it, whatever the test before did to it."""
    if not engine_process.answers():
        engine_process.kill()
        engine_process.start()
    try:
        engine_process.reset()
    except EngineError:  # 20.10 was seen to lose count of a record: in use by nobody, until a restart
        engine_process.kill()
        engine_process.start()
        engine_process.reset()
    return engine_process


@pytest.fixture
def daemon(engine: Engine, short_path: Path) -> Iterator[Daemon]:
    """wpcached on the engine. One still running at the end of the test has to stop cleanly."""
    with Daemon(engine.socket, short_path / "daemon") as running:
        yield running
        print(running.log)  # pytest shows it if the test fails
        assert running.process
        if running.process.poll() is None:
            assert running.stop() == 0, running.log


@pytest.fixture
def service(short_path: Path) -> Iterator[Callable[..., Service]]:
    """service(EXTRA) makes one, not started yet; the engine's socket is `short_path / "e"`."""
    with ExitStack() as stack:
        made: list[Service] = []

        def make(extra: str = "", name: str = "d") -> Service:
            made.append(Service(short_path / name, extra))
            stack.callback(made[-1].close)
            return made[-1]

        yield make
        for daemon in made:
            if daemon.process:
                print(daemon.log)
                if daemon.process.poll() is None:
                    assert daemon.stop() == 0
