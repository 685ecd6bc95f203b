"""docs/examples/clear-app-cache.sh in the place of the script of that name."""
from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import varlink_peer
from apps import caches, project, section, without_engine
from daemon import Daemon
from varlink_peer import CACHE, CTL, LEFT, STATUS, Peer, final, frame, progress

peer = varlink_peer.peer  # the fixture
SCRIPT = Path(__file__).parents[2] / "docs/examples/clear-app-cache.sh"
WORDS = ["INFO: Clearing Docker build cache", "Total reclaimed space: ", "SUCCESS: Docker build cache cleared"]


def run(socket: Path, *args: str, path: str | None = None, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{CTL.parent}:/usr/bin:/bin" if path is None else path, "WPCACHE_SOCKET": str(socket)}
    return subprocess.run([f"/bin/{shell}", SCRIPT, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, env=env)


def configured(make: Callable[..., Peer], *replies: object, apps: tuple[str, ...] = ("frontend", "backend"),
               **changes: Any) -> Peer:
    """A daemon with these applications; REPLIES are its answer to a clear."""
    def answer(conn: Any, call: dict[str, Any]) -> None:
        told = [{**STATUS["apps"][0], "name": app} for app in apps]
        status = {"parameters": {"status": {**STATUS, "apps": told, **changes}}}
        for reply in [status] if call["method"].endswith(".GetStatus") else replies:
            conn.sendall(frame(reply))

    return make(answer)


def clears(p: Peer) -> list[str]:
    return [call["parameters"]["target"] for call in p.calls if call["method"].endswith(".Clear")]


def test_on_a_real_engine(engine, short_path):
    """The owner's own case, from the configuration on: all of it goes, or nothing and it is said."""
    roots = {app: project(short_path / app, app) for app in ("frontend", "backend")}
    engine.import_base("watchparty-backend:latest")
    with Daemon(engine.socket, short_path / "bare") as bare:
        done = run(bare.socket, "all")
        assert done.returncode == 3 and "[app frontend]" in done.stderr and "SUCCESS" not in done.stdout, done
    assert caches(roots["frontend"]) and engine.docker("images", "--quiet").stdout
    sections = "".join(section(root, app) for app, root in roots.items())
    with Daemon(engine.socket, short_path / "daemon", sections) as daemon:
        done = run(daemon.socket, "all")
        assert (done.returncode, done.stderr) == (0, ""), done
        assert not any(caches(root, app) for app, root in roots.items())
        lines = done.stdout.splitlines()
        places = [next(i for i, line in enumerate(lines) if line.startswith(words)) for words in WORDS]
        assert places == sorted(places) and places[-1] == len(lines) - 1
        engine.stop()
        done = run(daemon.socket, "--target", "all")
        assert done.returncode == 6 and "nothing was touched" in done.stderr and "SUCCESS" not in done.stdout


@pytest.mark.parametrize("there, target, missing", [
    ((), "all", "frontend"), ((), "frontend", "frontend"), ((), "backend", "backend"), (("frontend",), "all", "backend"),
    (("backend",), "all", "frontend"), (("backend",), "frontend", "frontend"), (("frontend2",), "frontend", "frontend")])
def test_an_application_that_is_not_configured(short_path, there, target, missing):
    """A clear of it that says SUCCESS would leave .next in the build context: it fails, and touches nothing."""
    roots = {app: project(short_path / app, app.rstrip("2")) for app in there}
    sections = "".join(section(root, app, caches=".next, __pycache__") for app, root in roots.items())
    with without_engine(short_path, sections) as daemon:
        done = run(daemon.socket, target)
        assert (done.returncode, done.stdout) == (3, ""), done
        assert f"[app {missing}]" in done.stderr and done.stderr.count("\n") == 1
    assert all(caches(root, app.rstrip("2")) for app, root in roots.items())


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("args, target", [
    ([], "all"), (["all"], "all"), (["--target", "all"], "all"), (["--target=all"], "all"), (["frontend"], "frontend"),
    (["--target", "backend"], "backend"), (["all", "--target", "all"], "all"), (["--target", "-x; touch /x"], "-x; touch /x")])
def test_arguments(peer, shell, args, target):
    p = configured(peer, progress("images", "Removing x"),
                   final(target=target, outcome="fresh" if target == "all" else "cleared"))
    assert run(p.path, *args, shell=shell).returncode == 0
    assert clears(p) == [target]


def test_an_alarm_does_not_stop_it(peer):
    alarm = {"kind": "disk", "message": "full", "since": 1, "objects": []}
    p = configured(peer, final(), alarms=[alarm])
    assert run(p.path, "all").returncode == 0 and clears(p) == ["all"]


@pytest.mark.parametrize("args", [["--all"], ["all", "frontend"], [""], ["--target"], ["--target="], ["-x"]])
def test_usage(peer, args):
    p = peer(final())
    done = run(p.path, *args)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("ERROR: ")
    assert done.stderr.count("\n") == 1 and p.calls == []


def test_a_red_run(peer, short_path):
    """Never green where the old one was and should not have been."""
    done = run(configured(peer, final(outcome="notFresh", fresh=False, remaining=LEFT)).path, "all")
    assert done.returncode == 3 and "REMAINING: container web" in done.stdout and "SUCCESS" not in done.stdout
    done = run(peer({"error": f"{CACHE}.UnknownTarget", "parameters": {"target": "x", "known": ["all"]}}).path, "x")
    assert done.returncode == 2 and "there are: all" in done.stderr
    done = run(short_path / "none", "all")
    assert done.returncode == 5 and "cannot reach wpcached" in done.stderr and done.stderr.count("\n") == 1
    done = run(short_path / "none", "all", path="/nonexistent")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "ERROR: wpcachectl is not installed, or not in PATH: no cache was cleared\n"
