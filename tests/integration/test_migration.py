"""docs/examples/clear-app-cache.sh in the place of the script of that name."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import varlink_peer
from varlink_peer import CACHE, CTL, LEFT, final, progress

peer = varlink_peer.peer  # the fixture
SCRIPT = Path(__file__).parents[2] / "docs/examples/clear-app-cache.sh"
WORDS = ["INFO: Clearing Docker build cache", "Total reclaimed space: ", "SUCCESS: Docker build cache cleared"]


def run(socket: Path, *args: str, path: str | None = None, shell: str = "sh") -> subprocess.CompletedProcess[str]:
    env = {"PATH": f"{CTL.parent}:/usr/bin:/bin" if path is None else path, "WPCACHE_SOCKET": str(socket)}
    return subprocess.run([f"/bin/{shell}", SCRIPT, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=120, env=env)


def test_on_a_real_engine(engine, daemon):
    engine.import_base("watchparty-backend:latest")
    done = run(daemon.socket, "all")
    assert (done.returncode, done.stderr) == (0, ""), done
    lines = done.stdout.splitlines()
    places = [next(i for i, line in enumerate(lines) if line.startswith(words)) for words in WORDS]
    assert places == sorted(places) and places[-1] == len(lines) - 1
    engine.stop()
    done = run(daemon.socket, "--target", "all")
    assert done.returncode == 6 and "nothing was touched" in done.stderr and "SUCCESS" not in done.stdout


@pytest.mark.parametrize("shell", ["sh", "bash", "dash"])
@pytest.mark.parametrize("args, target", [
    ([], "all"), (["all"], "all"), (["--target", "all"], "all"), (["--target=all"], "all"), (["frontend"], "frontend"),
    (["--target", "backend"], "backend"), (["all", "--target", "all"], "all"), (["--target", "-x; touch /x"], "-x; touch /x")])
def test_arguments(peer, shell, args, target):
    p = peer(progress("images", "Removing x"), final(target=target, outcome="fresh" if target == "all" else "cleared"))
    assert run(p.path, *args, shell=shell).returncode == 0
    assert [call["parameters"]["target"] for call in p.calls] == [target]


@pytest.mark.parametrize("args", [["--all"], ["all", "frontend"], [""], ["--target"], ["--target="], ["-x"]])
def test_usage(peer, args):
    p = peer(final())
    done = run(p.path, *args)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("ERROR: ")
    assert done.stderr.count("\n") == 1 and p.calls == []


def test_a_red_run(peer, short_path):
    """Never green where the old one was and should not have been."""
    done = run(peer(final(outcome="notFresh", fresh=False, remaining=LEFT)).path, "all")
    assert done.returncode == 3 and "REMAINING: container web" in done.stdout and "SUCCESS" not in done.stdout
    done = run(peer({"error": f"{CACHE}.UnknownTarget", "parameters": {"target": "x", "known": ["all"]}}).path, "x")
    assert done.returncode == 2 and "there are: all" in done.stderr
    done = run(short_path / "none", "all")
    assert done.returncode == 5 and "cannot reach wpcached" in done.stderr and done.stderr.count("\n") == 1
    done = run(short_path / "none", "all", path="/nonexistent")
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "ERROR: wpcachectl is not installed, or not in PATH: no cache was cleared\n"
