"""A Varlink client that was not written here: systemd's varlinkctl, from a tree that engines are made of."""
from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon import Daemon
from engine import ENV, EngineError, alone, prepare, tree
from stub import Stub
from varlink_client import CACHE, SERVICE

INTERFACE = Path(__file__).parents[2] / "src/wire/io.watchparty.Cache.varlink"
SOCKET = "/mnt/wpcache.sock"
ENTER = """tree=$1 dir=$2
shift 2
mount --bind "$dir" "$tree/mnt"
mount -t proc proc "$tree/proc" # it connects through /proc/self/fd
exec chroot "$tree" varlinkctl "$@"
"""


@pytest.fixture(scope="module")
def root() -> Path:
    """A tree with varlinkctl in it: docker.io of testing brings systemd along."""
    if os.geteuid() != 0:
        pytest.skip("only root can enter a root tree")
    try:
        prepare(["28"])
    except EngineError as error:
        pytest.skip(f"no tree with varlinkctl: {error}")
    for suite in ("testing", "trixie"):
        if (tree(suite) / "usr/bin/varlinkctl").exists():
            return tree(suite)
    pytest.skip("no tree of an engine has systemd's varlinkctl (since 255) in it")


@pytest.fixture
def varlinkctl(root: Path, short_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    with Stub(short_path / "e", 3), Daemon(short_path / "e", short_path / "d") as daemon:
        def run(*args: str, status: int = 0) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                alone("sh", "-ec", ENTER, "sh", root, daemon.dir, *args), env=ENV | {"SYSTEMD_COLORS": "0", "SYSTEMD_LOG_TARGET": "console"},
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
            assert done.returncode == status, f"{args}\n{done.stdout}{done.stderr}"
            return done

        print(run("--version").stdout.splitlines()[0])
        yield run
        assert daemon.stop() == 0, daemon.log


def lines(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Its output with --json=short, which for --more is a sequence by RFC 7464."""
    return [json.loads(line) for line in done.stdout.replace("\x1e", "").split("\n") if line]


def test_service(varlinkctl):
    info, = lines(varlinkctl("--json=short", "info", SOCKET))
    assert (info["vendor"], info["product"], info["interfaces"]) == ("wpcache", "wpcached", [SERVICE, CACHE])
    assert "Product: wpcached" in varlinkctl("info", SOCKET).stdout
    assert varlinkctl("list-interfaces", SOCKET).stdout.split() == [CACHE, SERVICE]


def test_introspect(varlinkctl):
    """It understands the interface, and gets the text as it is in the source."""
    shown = varlinkctl("introspect", SOCKET, CACHE).stdout
    for part in ("method Clear(", "method Monitor(", "type Receipt(", "error UnknownTarget("):
        assert part in shown
    described, = lines(varlinkctl("--json=short", "introspect", SOCKET, CACHE))
    assert described["description"] == INTERFACE.read_text()
    assert "method GetInfo(" in varlinkctl("introspect", SOCKET, SERVICE).stdout


def test_call(varlinkctl):
    answer, = lines(varlinkctl("--json=short", "call", SOCKET, f"{CACHE}.GetStatus", "{}"))
    assert answer["status"]["engine"]["socket"].endswith("/e")
    assert varlinkctl("--oneway", "call", SOCKET, f"{CACHE}.Reload", "{}").stdout == ""


def test_more(varlinkctl):
    *progress, last = lines(varlinkctl("--json=short", "--more", "call", SOCKET, f"{CACHE}.Clear", '{"target":"all"}'))
    assert [list(part) for part in progress] == [["progress"]] * len(progress)
    assert {"observe", "builder"} <= {part["progress"]["step"] for part in progress}
    assert last["receipt"]["outcome"] == "fresh" and last["receipt"]["fresh"] is True
    assert last["receipt"]["who"]["uid"] == 0


def test_monitor(varlinkctl):
    done = varlinkctl("--json=short", "--more", "--timeout=2", "call", SOCKET, f"{CACHE}.Monitor", "{}", status=1)
    first = lines(done)[0]
    assert first["event"] == "status" and first["status"]["queued"] == 0
    assert re.search("timed ?out", done.stderr, re.I)


@pytest.mark.parametrize("method, parameters, told", [
    ("Clear", {"target": "x"}, f"{CACHE}.UnknownTarget"),
    ("Rollback", {}, f"{CACHE}.UnknownReceipt"),
    ("Monitor", {}, "more"),
    ("GetStatus", {"x": 1}, "Invalid"),
    ("NoSuch", {}, "NoSuch")])
def test_errors(varlinkctl, method, parameters, told):
    done = varlinkctl("call", SOCKET, f"{CACHE}.{method}", json.dumps(parameters), status=1)
    assert told.lower() in done.stderr.lower()
