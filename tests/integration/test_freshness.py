"""The promise: exit 0 means that the next build takes nothing from a cache, whatever made it."""
from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from daemon import Daemon
from engine import Engine
from helpers import names
from scenarios import CONTAINER, ROWS, Bystanders, Row, Scenario


def play(scenario: Scenario, clear: Callable[[], CompletedProcess[str]]) -> CompletedProcess[str]:
    """Makes the row's cache, clears, and waits for the build in flight, which has to be unharmed;
    begins anew where the engine itself harmed it."""
    for _ in range(3):
        scenario.prepare()
        result = clear()
        if scenario.land():
            return result
        if not scenario.engine_race:
            break
    raise AssertionError(f"the build in flight came to harm\n{result.stdout}{result.stderr}"
                         f"{scenario.flight_log}")


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_clear(engine: Engine, daemon: Daemon, row: Row) -> None:
    if engine.name not in row.engines:
        pytest.skip(f"does not apply to engine {engine.name}")
    bystanders = Bystanders(engine)
    bystanders.create()
    with Scenario(row, engine) as scenario:
        if scenario.config:
            with open(daemon.config, "a") as config:
                config.write(scenario.config)
            assert daemon.ctl("reload").returncode == 0
        scenario.clear = daemon.clear
        clear = play(scenario, daemon.clear)
        kept = names(engine)
        said = clear.stdout + clear.stderr
        build, again = scenario.rebuild(), scenario.rebuild()
    told = f"{build.cached} of {build.steps} steps cached\n{said}{build.text}"
    assert clear.returncode == row.expect(engine.name), told
    assert (clear.returncode == 0) == (build.fresh and not row.needless), told
    assert set(row.keeps) <= set(kept), told
    if clear.returncode == 3:
        for text in row.remains:
            assert text.replace(CONTAINER, scenario.container) in said
    assert row.assumes in said
    assert again.cached == again.steps > 0, f"the cache does not come back\n{again.text}"
    assert bystanders.harmed() == [], said


@pytest.mark.parametrize("name", ["building", "classic-building"])
def test_clear_without_waiting(engine: Engine, daemon: Daemon, name: str) -> None:
    """With no time to wait for a build in flight, a clear names what that build holds."""
    with Scenario(ROWS[name], engine) as scenario:
        clear = play(scenario,
                     lambda: daemon.ctl("clear", "--target", "all", "--wait", "0"))
    said = clear.stdout + clear.stderr
    assert clear.returncode == 3, said
    assert (scenario.container or "in use") in said
