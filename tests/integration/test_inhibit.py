"""The deploy inhibitor: holds while its command lives, gets in nobody's way, is never forgotten."""
from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path


import daemon as daemon_module
from engine import Engine, rootfs
from helpers import ONE, Daemon, load, look, names, plain_names, start, wait_until
from policies import ctl_json, hasty, poll, status
from test_policy import AGED
from varlink_client import Wire, message

pytestmark = ONE


def held(daemon: daemon_module.Daemon) -> list[str]:
    return [inhibitor["why"] for inhibitor in status(daemon)["inhibitors"]]


def inhibit(daemon: daemon_module.Daemon, *command: str, why: str = "deploy",
            options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """wpcachectl inhibit in the background, returned once it holds."""
    process = start(daemon, "inhibit", "--why", why, *options, "--", *command)
    wait_until(lambda: why in held(daemon) or process.poll() is not None)
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=30)


def test_policy_rests_while_a_command_runs(engine: Engine, short_path: Path) -> None:
    load(engine, 2, "watchparty-backend")
    go_on = short_path / "go-on"
    with hasty(engine, short_path / "daemon", AGED) as daemon:
        poll(daemon)
        deploy = inhibit(daemon, "/bin/sh", "-c", f"until [ -e {go_on} ]; do sleep 0.1; done; exit 42")
        daemon.clock.go_on(days=31)
        poll(daemon)
        assert len(names(engine)) == 2
        policy = status(daemon)["policy"]
        assert policy["hold"] == "inhibited" and policy["images"] == 2
        told = daemon.ctl("status").stdout
        assert "deploy" in told, told
        go_on.touch()
        assert deploy.wait(30) == 42
        wait_until(lambda: not plain_names(engine))
        assert held(daemon) == []


def test_exit_status_is_passed_on(daemon: Daemon) -> None:
    def run(*command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        return daemon.ctl("inhibit", "--why", "test", *options, "--", *command)

    assert run("/bin/true").returncode == 0
    assert run("/bin/sh", "-c", "exit 7").returncode == 7
    assert run("/bin/sh", "-c", "kill -USR1 $$").returncode == -signal.SIGUSR1
    assert run("/no/such/program").returncode == 127
    assert run(str(daemon.config)).returncode == 126
    done = run("/bin/sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert daemon.ctl("inhibit", "--why", "test").returncode == 2
    assert daemon.ctl("inhibit", "--", "/bin/true").returncode == 2
    assert daemon.ctl("inhibit", "--why", "test", "--ttl", "soon", "--", "/bin/true").returncode == 2


def test_without_a_daemon(daemon: Daemon) -> None:
    """A missing daemon is a warning, unless --require says otherwise."""
    daemon.stop()
    done = daemon.ctl("inhibit", "--why", "test", "--", "/bin/sh", "-c", "exit 3")
    assert done.returncode == 3 and "wpcachectl:" in done.stderr
    done = daemon.ctl("inhibit", "--why", "test", "--require", "--", "/bin/sh", "-c", "exit 3")
    assert done.returncode == 125 and str(daemon.socket) in done.stderr
    daemon.start()


def test_signals_reach_the_command(daemon: Daemon, short_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        ready = short_path / f"ready-{number}"
        script = f"trap 'exit 9' {number.name[3:]}; touch {ready}; while :; do sleep 0.05; done"
        process = inhibit(daemon, "/bin/sh", "-c", script)
        wait_until(ready.exists)
        process.send_signal(number)
        assert process.wait(30) == 9
    process = inhibit(daemon, "/bin/sleep", "60")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == -signal.SIGTERM
    wait_until(lambda: not held(daemon))


def test_clear_waits_for_inhibitors_of_others(engine: Engine, daemon: Daemon) -> None:
    load(engine, 1, "watchparty-backend")
    before = names(engine)
    deploy = inhibit(daemon, "/bin/sleep", "60", why="nightly deploy")
    clear = daemon.ctl("clear", "all", "--wait", "1s")
    assert clear.returncode == 7 and "nightly deploy" in clear.stderr, clear.stderr
    assert names(engine) == before
    waiting = start(daemon, "clear", "all", "--wait", "60s")
    wait_until(lambda: status(daemon)["queued"] == 1)
    assert names(engine) == before
    end(deploy)
    out, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, out + err
    assert plain_names(engine) == {}


def test_inhibitors_can_be_overridden(engine: Engine, daemon: Daemon) -> None:
    load(engine, 1, "watchparty-backend")
    deploy = inhibit(daemon, "/bin/sleep", "60", why="nightly deploy")
    clear = daemon.ctl("--json=short", "clear", "all", "--ignore-inhibitors")
    assert clear.returncode == 0, clear.stderr
    receipt = json.loads(clear.stdout.splitlines()[-1])
    assert any("nightly deploy" in note for note in receipt["notes"]), receipt["notes"]
    assert deploy.poll() is None
    end(deploy)


def test_clear_under_its_own_inhibitor(engine: Engine, daemon: Daemon) -> None:
    """A deploy script under inhibit may call clear, and inhibit again."""
    load(engine, 1, "watchparty-backend")
    ctl = f"{daemon.build}/wpcachectl --socket {daemon.socket}"
    script = f"{ctl} inhibit --why inner -- {ctl} clear all --wait 5s"
    done = daemon.ctl("inhibit", "--why", "outer", "--", "/bin/sh", "-c", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert plain_names(engine) == {}


def test_no_deadlock_of_script_and_waiting_clear(engine: Engine, daemon: Daemon,
                                                 short_path: Path) -> None:
    """A clear of somebody else waits for a deploy; the deploy's own clear goes before it."""
    go_on = short_path / "go-on"
    ctl = f"{daemon.build}/wpcachectl --socket {daemon.socket}"
    script = f"until [ -e {go_on} ]; do sleep 0.1; done; {ctl} clear builder --wait 5s"
    deploy = inhibit(daemon, "/bin/sh", "-c", script)
    other = start(daemon, "clear", "all", "--wait", "60s")
    wait_until(lambda: status(daemon)["queued"] == 1)
    go_on.touch()
    out, err = deploy.communicate(timeout=60)
    assert deploy.returncode == 0, out + err
    assert other.wait(60) == 0
    kinds = [run["target"] for run in ctl_json(daemon, "history")["runs"]]
    assert kinds == ["all", "builder"]  # newest first


def test_waiting_clear_goes_before_new_inhibitors(engine: Engine, daemon: Daemon) -> None:
    load(engine, 1, "watchparty-backend")
    first = inhibit(daemon, "/bin/sleep", "60", why="first")
    clear = start(daemon, "clear", "all", "--wait", "60s")
    wait_until(lambda: status(daemon)["queued"] == 1)
    second = start(daemon, "inhibit", "--why", "second", "--", "/bin/sh", "-c", "exit 5")
    time.sleep(1)
    assert held(daemon) == ["first"] and second.poll() is None
    end(first)
    assert clear.wait(60) == 0
    assert second.wait(60) == 5


def test_time_limit(daemon: Daemon) -> None:
    process = inhibit(daemon, "/bin/sleep", "4", options=("--ttl", "1s"))
    wait_until(lambda: not held(daemon))
    assert process.poll() is None, "the command goes on"
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 0 and "wpcachectl:" in err


def test_client_that_vanishes(daemon: Daemon) -> None:
    process = inhibit(daemon, "/bin/sleep", "5")
    process.kill()
    wait_until(lambda: not held(daemon))
    process.communicate(timeout=30)


def test_held_again_after_a_restart(daemon: Daemon) -> None:
    """The same token, so that a clear under it goes on working."""
    process = inhibit(daemon, "/bin/sleep", "60")
    for stop in (daemon.stop, daemon.kill):
        stop()
        assert process.poll() is None
        daemon.start()
        wait_until(lambda: held(daemon) == ["deploy"])
    end(process)


def test_inhibit_waits_for_a_running_clear(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    """It holds only once nothing is being removed."""
    flight = short_path / "flight"
    flight.mkdir()
    rootfs(flight / "rootfs")
    (flight / "Dockerfile").write_text("FROM scratch\nCOPY rootfs /\nRUN echo in-flight; sleep 4\n")
    building = subprocess.Popen([engine.cli, "build", "--network", "none", str(flight)],
                                env=engine.env | {"DOCKER_BUILDKIT": "1"}, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: building.poll() is not None or in_use(engine))
    clear = start(daemon, "clear", "all", "--wait", "60s")
    wait_until(lambda: status(daemon).get("job", {}).get("kind") == "clear")
    begin = time.monotonic()
    done = daemon.ctl("inhibit", "--why", "late", "--", "/bin/true")
    assert done.returncode == 0
    assert clear.wait(60) == 0 and building.wait(60) == 0
    assert time.monotonic() - begin > 0.5, "held while a clear was at work"


def in_use(engine: Engine) -> bool:
    return any(r["InUse"] for r in look(engine, "/v1.41/system/df")["BuildCache"] or ())


def test_over_the_wire(daemon: Daemon) -> None:
    """What a Varlink client of any kind meets."""
    with Wire(daemon.socket) as wire:
        wire.send(message("Inhibit", why="x"))
        assert wire.receive()["error"] == "org.varlink.service.ExpectedMore"
        for wrong in ({}, {"why": ""}, {"why": "x", "ttlSec": 0}, {"why": "x", "token": "short"},
                      {"why": "x", "token": "a" * 65}, {"why": "x", "token": "sixteen bytes\n.."}):
            wire.send(message("Inhibit", more=True, **wrong))
            assert wire.receive()["error"] == "org.varlink.service.InvalidParameter", wrong
        wire.send(message("Inhibit", more=True, why="wire", ttlSec=1))
        reply = wire.receive()
        assert reply["continues"] and len(reply["parameters"]["token"]) >= 16
        assert held(daemon) == ["wire"]
        last = wire.receive()
        assert not last.get("continues") and last["parameters"]["expired"]
        assert held(daemon) == []


def test_limits(daemon: Daemon) -> None:
    """More inhibitors than anybody needs are refused; those held stay."""
    wires = []
    try:
        refused = 0
        for i in range(12):
            wire = Wire(daemon.socket)
            wires.append(wire)
            wire.send(message("Inhibit", more=True, why=f"number {i}"))
            reply = wire.receive()
            refused += reply is None or "error" in reply
        assert 0 < refused < 12
        assert len(held(daemon)) == 12 - refused
    finally:
        for wire in wires:
            wire.close()
    wait_until(lambda: not held(daemon))


def test_readers_may_not(daemon: Daemon) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", daemon.build / "wpcachectl", "--socket",
         daemon.socket, "inhibit", "--require", "--why", "x", "--", "/bin/true"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 125 and "permi" in done.stderr.lower()
