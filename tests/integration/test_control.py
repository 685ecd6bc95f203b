"""The control socket: what Varlink says, who may what, and clients that mean ill or do not care."""
from __future__ import annotations

import grp
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from daemon import BUILD, Daemon
from stub import Stub, images
from varlink_client import CACHE, NOBODY, SERVICE, Wire, call, message, user

ROOT = Path(__file__).parents[2]
INTERFACE = ROOT / "src/wire/io.watchparty.Cache.varlink"
SANITIZED = "san" in BUILD.name  # keeps what was freed, for its reports: memory is no measure
GAMES, MAN = (grp.getgrnam(name).gr_gid for name in ("games", "man"))
RECEIPT = "20250102-030405-abcd"
STATUS = message("GetStatus")
PER_USER, ALL, KEPT, NO_RIGHT, NO_RIGHT_PER_USER = 16, 64, 8, 8, 4  # server.h

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")


@pytest.fixture
def serve(short_path: Path) -> Iterator[Callable[..., Daemon]]:
    """serve(EXTRA) starts a daemon whose engine's socket is `short_path / "e"`. It has to outlive the test."""
    with ExitStack() as stack:
        started: list[Daemon] = []

        def start(extra: str = "") -> Daemon:
            started.append(Daemon(short_path / "e", short_path / "d", extra))
            return stack.enter_context(started[-1])

        yield start
        for daemon in started:
            print(daemon.log)
            assert daemon.process and daemon.process.poll() is None, "it died"
            assert daemon.stop() == 0


def at_rest(daemon: Daemon) -> int:
    """Its peak of memory, once its first poll is over and has loaded what it needs."""
    wait_for(lambda: call(daemon.socket, "GetStatus")["parameters"]["status"]["engine"]["state"] != "unknown")
    return peak_bytes(daemon)


def at_once(daemon: Daemon) -> None:
    begin = time.monotonic()
    done = daemon.ctl("status")
    took = time.monotonic() - begin
    assert done.returncode == 0, done.stderr
    assert took < 8, f"status took {took:.2f} s"


def peak_bytes(daemon: Daemon) -> int:
    assert daemon.process
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def wait_for(condition: Callable[[], Any], timeout: float = 30) -> Any:
    until = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < until, "in vain"
        time.sleep(0.02)
    return value


# --- what is no Varlink ---

def nested(depth: int) -> bytes:
    """A call so many levels deep, its own two among them."""
    return (b'{"method":"%s.Clear","parameters":{"target":' % CACHE.encode() + b"[" * (depth - 2)
            + b"]" * (depth - 2) + b"}}\0")


GARBAGE = {
    "http": b"GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n\0",
    "binary": bytes(range(1, 256)) * 16 + b"\0",
    "empty": b"\0",
    "empties": b"\0" * 1000,
    "array": b"[]\0",
    "null": b"null\0",
    "no-method": b"{}\0",
    "method-missing": b'{"parameters":{}}\0',
    "method-null": b'{"method":null}\0',
    "method-number": b'{"method":1}\0',
    "method-empty": b'{"method":""}\0',
    "parameters-array": b'{"method":"a.b.C","parameters":[]}\0',
    "parameters-number": b'{"method":"a.b.C","parameters":7}\0',
    "more-number": b'{"method":"a.b.C","more":1}\0',
    "more-and-oneway": b'{"method":"a.b.C","more":true,"oneway":true}\0',
    "unknown-member": b'{"method":"a.b.C","surprise":1}\0',
    "two-values": STATUS[:-1] * 2 + b"\0",
    "cut": STATUS[:-2] + b"\0",
    "not-utf-8": b'{"method":"a.b.C\xff"}\0',
    "overlong": b'{"method":"a.b.C\xc0\xaf"}\0',
    "surrogate": b'{"method":"a.b.C\xed\xa0\x80"}\0',
    "surrogate-escape": b'{"method":"a.b.C\\ud800"}\0',
    "nul-escape": b'{"method":"a.b.C\\u0000"}\0',
    "newline": b'{"method":"a.b.C\n"}\0',
    "deep-call": nested(33),
    "deep-arrays": b"[" * 60_000 + b"\0",
    "deep-objects": b'{"a":' * 12_000 + b"\0",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage(serve, data):
    """Closes the connection without a word: there is no telling where the next message begins."""
    daemon = serve()
    with Wire(daemon.socket) as wire:
        wire.send(data + STATUS)
        assert wire.receive() is None
    at_once(daemon)


def test_depth(serve):
    reply = call_raw(serve(), nested(32))
    assert reply == {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": "target"}}


def test_length(serve):
    daemon = serve()
    room = 65536 - len(message("Clear", target="")) + 1
    longest = message("Clear", target="x" * room)
    assert len(longest) == 65536 + 1  # and its NUL
    reply = call_raw(daemon, longest)
    assert reply and reply["error"] == f"{CACHE}.UnknownTarget"
    assert call_raw(daemon, message("Clear", target="x" * (room + 1))) is None


def test_endless_message(serve):
    daemon = serve()
    before = at_rest(daemon)
    with Wire(daemon.socket) as wire:
        wire.send(b"x" * 10_000_000)
        assert wire.receive() is None
    assert SANITIZED or peak_bytes(daemon) - before < 1_000_000
    at_once(daemon)


def call_raw(daemon: Daemon, data: bytes) -> dict[str, Any] | None:
    with Wire(daemon.socket) as wire:
        wire.send(data)
        return wire.receive()


def test_unfinished_message(serve):
    """Ten seconds for a message, however busy the peer; a whole one in two pieces is fine."""
    daemon = serve()
    with (Wire(daemon.socket) as silent, Wire(daemon.socket) as busy, Wire(daemon.socket) as slow,
          Wire(daemon.socket) as second, Wire(daemon.socket) as idle):
        begin = time.monotonic()
        silent.send(STATUS[:20])
        second.send(STATUS + STATUS[:20])  # counts from the end of the first
        assert second.receive()
        slow.send(STATUS[:20])
        waiting, text = {silent: 0.0, busy: 0.0, second: 0.0}, iter(STATUS)
        while None is not (now := time.monotonic() - begin) < 40 and not all(waiting.values()):
            busy.send(bytes([next(text)]))
            if now > 3 and not slow.data:
                slow.send(STATUS[20:])
                reply = slow.receive()
                assert reply and "status" in reply["parameters"]
                slow.data = b"answered"
            for wire in (wire for wire, took in waiting.items() if not took and wire.closed()):
                waiting[wire] = time.monotonic() - begin
            time.sleep(0.25)
        assert all(8 < took < 20 for took in waiting.values()), waiting.values()
        assert not idle.closed()
        assert idle.call("GetStatus")
    at_once(daemon)


# --- what Varlink says ---

@pytest.mark.parametrize("method, parameters, error, told", [
    ("NoSuch", {}, f"{SERVICE}.MethodNotFound", {"method": f"{CACHE}.NoSuch"}),
    ("getstatus", {}, f"{SERVICE}.MethodNotFound", {"method": f"{CACHE}.getstatus"}),
    (f"{SERVICE}.NoSuch", {}, f"{SERVICE}.MethodNotFound", {"method": f"{SERVICE}.NoSuch"}),
    ("io.watchparty.Caches.GetStatus", {}, f"{SERVICE}.InterfaceNotFound", {"interface": "io.watchparty.Caches"}),
    (f"{SERVICE}.GetInterfaceDescription", {"interface": "a.b"}, f"{SERVICE}.InterfaceNotFound", {"interface": "a.b"}),
    ("Clear", {"target": "everything"}, f"{CACHE}.UnknownTarget",
     {"target": "everything", "known": ["all", "docker", "builder", "images", "apps"]}),
    ("Monitor", {}, f"{SERVICE}.ExpectedMore", {}),
    ("Rollback", {"receipt": RECEIPT}, f"{CACHE}.UnknownReceipt", {"receipt": RECEIPT}),
    ("Rollback", {"receipt": None}, f"{CACHE}.UnknownReceipt", {"receipt": ""}),
    ("Clear", {"target": "all", "dryRun": None, "waitSec": None}, f"{CACHE}.EngineUnavailable", {})])
def test_errors(serve, method, parameters, error, told):
    """By name, with the parameters that the interface gives them, and the connection goes on."""
    with Wire(serve().socket) as wire:
        reply = wire.call(method, **parameters)
        assert set(reply) == {"error", "parameters"} and reply["error"] == error
        declared = INTERFACE.read_text().partition(f"error {error.removeprefix(f'{CACHE}.')} (")[2].partition(")")[0]
        assert bool(reply["parameters"].pop("reason", None)) == ("reason: string" in declared)
        assert reply["parameters"] == told
        assert "status" in wire.call("GetStatus")["parameters"]


@pytest.mark.parametrize("method, parameters, wrong", [
    (f"{SERVICE}.GetInfo", {"x": 1}, "x"),
    (f"{SERVICE}.GetInterfaceDescription", {}, "interface"),
    (f"{SERVICE}.GetInterfaceDescription", {"interface": 1}, "interface"),
    (f"{SERVICE}.GetInterfaceDescription", {"interface": CACHE, "x": 1}, "x"),
    ("GetStatus", {"x": 1}, "x"),
    ("Monitor", {"x": 1}, "x"),
    ("Reload", {"x": 1}, "x"),
    ("Clear", {}, "target"),
    ("Clear", {"target": 1}, "target"),
    ("Clear", {"target": None}, "target"),
    ("Clear", {"target": "all", "keepmounts": True}, "keepmounts"),
    ("Clear", {"target": "all", "keepMounts": 1}, "keepMounts"),
    ("Clear", {"target": "apps", "includeMounted": "yes"}, "includeMounted"),
    ("GetPlan", {"includeMounted": True}, "includeMounted"),
    ("Clear", {"target": "all", "dryRun": "yes"}, "dryRun"),
    ("Clear", {"target": "all", "waitSec": -1}, "waitSec"),
    ("Clear", {"target": "all", "waitSec": 1.5}, "waitSec"),
    ("Clear", {"target": "all", "waitSec": 10**15}, "waitSec"),
    ("Clear", {"target": "all", "command": ["x"]}, "command"),
    ("Clear", {"target": "all", "command": "x" * 257}, "command"),
    ("Rollback", {"receipt": "../../etc/passwd"}, "receipt"),
    ("Rollback", {"receipt": True}, "receipt")])
def test_invalid_parameters(serve, method, parameters, wrong):
    with Wire(serve().socket) as wire:
        for more in (False, True):
            reply = wire.call(method, more=more, **parameters)
            assert reply == {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": wrong}}


def test_description(serve):
    daemon = serve()
    text = INTERFACE.read_text()
    described = {name: call(daemon.socket, f"{SERVICE}.GetInterfaceDescription", interface=name)["parameters"]
                 for name in (CACHE, SERVICE)}
    assert described[CACHE] == {"description": text}
    assert text.strip() in (ROOT / "docs/PROTOCOL.md").read_text()
    assert f"\ninterface {SERVICE}\n" in described[SERVICE]["description"]
    info = call(daemon.socket, f"{SERVICE}.GetInfo")["parameters"]
    assert sorted(info) == ["interfaces", "product", "url", "vendor", "version"]
    assert info["interfaces"] == [SERVICE, CACHE]


def test_pipelined_calls_are_answered_in_order(serve):
    daemon = serve()
    with Wire(daemon.socket) as wire:
        for _ in range(3):
            wire.send(b"".join(
                [message(f"No{i}") + message("Clear", target="all") * (i % 10 == 0) for i in range(50)]))
            for i in range(50):
                reply = wire.receive()
                assert reply and reply["parameters"] == {"method": f"{CACHE}.No{i}"}
                if i % 10 == 0:  # this one was the worker's, those behind it waited
                    reply = wire.receive()
                    assert reply and reply["error"] == f"{CACHE}.EngineUnavailable"


def test_oneway_calls_are_not_answered(serve):
    daemon = serve()
    with Wire(daemon.socket) as wire:
        for method, parameters in (("GetStatus", {}), ("NoSuch", {}), ("Clear", {"target": "all"}), ("Reload", {}),
                                   ("Clear", {}), (f"{SERVICE}.GetInfo", {}), ("Monitor", {})):
            wire.send(message(method, oneway=True, **parameters))
        reply = wire.call("Last")
        assert reply["parameters"] == {"method": f"{CACHE}.Last"}
    assert "Configuration reloaded" in daemon.log


def test_half_closed_peer_is_answered(serve, short_path):
    with Stub(short_path / "e", 10) as engine:
        daemon = serve()
        with Wire(daemon.socket) as wire, Wire(daemon.socket) as cut:
            wire.send(STATUS * 3)
            wire.socket.shutdown(socket.SHUT_WR)
            for _ in range(3):
                assert wire.receive()
            assert wire.receive() is None
            cut.send(STATUS + STATUS[:9])
            cut.socket.shutdown(socket.SHUT_WR)
            assert cut.receive() and cut.receive() is None
        with Wire(daemon.socket) as wire:
            engine.stall("/build/prune")
            wire.send(message("Clear", target="all"))
            wire.socket.shutdown(socket.SHUT_WR)
            assert engine.hanging.wait(30)
            at_once(daemon)
            engine.release()
            reply = wire.receive()
            assert reply and reply["parameters"]["receipt"]["outcome"] == "fresh"
            assert wire.receive() is None


# --- who may ---

def as_user(daemon: Daemon, *args: str, uid: int = NOBODY, gid: int = NOBODY, groups: tuple[int, ...] = ()) -> int:
    return subprocess.run([daemon.build / "wpcachectl", "--socket", daemon.socket, *args], user=uid, group=gid,
                          extra_groups=groups, stdin=subprocess.DEVNULL, capture_output=True, timeout=60).returncode


@pytest.mark.parametrize("extra, who, may_look, may_act", [
    ("", {}, False, False),
    ("", {"uid": 0, "gid": 0}, True, True),
    ("readers=\noperators=", {"uid": 0, "gid": 0}, True, True),
    ("readers=user:nobody", {}, True, False),
    ("readers=user:nobody", {"uid": 1}, False, False),
    ("readers=user:nobody", {"uid": 1, "groups": (NOBODY,)}, False, False),
    ("operators=user:nobody", {}, True, True),
    ("readers=games", {"groups": (GAMES,)}, True, False),
    ("operators=games", {}, False, False),
    ("operators=games", {"groups": (GAMES,)}, True, True),
    ("operators=games", {"gid": GAMES}, True, True),
    ("operators=games", {"groups": (*range(2000, 2200), GAMES)}, True, True),  # more than one guess holds
    ("operators=no-such-group, user:no-such-user, games", {"groups": (GAMES,)}, True, True)])
def test_rights(serve, extra, who, may_look, may_act):
    """By the kernel's word alone; `clear` gets as far as the engine, which is not there."""
    daemon = serve(f"{extra}\n")
    assert ("operators: there is no group 'no-such-group'" in daemon.log) == ("no-such-group" in extra)
    assert ("operators: there is no user 'no-such-user'" in daemon.log) == ("no-such-user" in extra)
    assert as_user(daemon, "status", **who) == (0 if may_look else 4)
    assert as_user(daemon, "version", **who) == 0
    assert as_user(daemon, "clear", "--dry-run", **who) == (6 if may_act else 4)
    assert as_user(daemon, "clear", **who) == (6 if may_act else 4)
    with user(**({"uid": NOBODY} | who)):
        wire = Wire(daemon.socket)
    with wire:
        denied = {"error": f"{SERVICE}.PermissionDenied", "parameters": {}}
        assert (wire.call("Reload") != denied) == may_act
        assert (wire.call("Rollback") != denied) == may_act
        assert (wire.call("Monitor") != denied) == may_look
        assert "interfaces" in wire.call(f"{SERVICE}.GetInfo")["parameters"]


def test_queue_keeps_places_for_root(serve):
    """However many clears of others wait for an inhibitor."""
    daemon = serve("operators=user:nobody\n")
    with ExitStack() as stack:
        holder = stack.enter_context(Wire(daemon.socket))
        assert "token" in holder.call("Inhibit", more=True, why="deploy")["parameters"]
        waiting = []
        for _ in range(9):
            with user(NOBODY):
                waiting.append(stack.enter_context(Wire(daemon.socket)))
            waiting[-1].send(message(f"{CACHE}.Clear", target="builder"))
        full = {"error": f"{CACHE}.Busy", "parameters": {"reason": "too many jobs are waiting"}}
        refused = select.select([wire.socket for wire in waiting], [], [], 30)[0]  # whichever was read last
        assert [wire.receive() for wire in waiting if wire.socket in refused] == [full]
        with Wire(daemon.socket) as root:
            reply = root.call("Clear", target="builder", waitSec=0)
            assert reply["error"] == f"{CACHE}.Busy" and reply != full, reply
            reply = root.call("Clear", target="builder", ignoreInhibitors=True)
            assert reply["error"] == f"{CACHE}.EngineUnavailable", reply


# --- many, slow and vanishing clients ---

@pytest.mark.parametrize("uid", [NOBODY, 0])
def test_idle_connections(serve, uid):
    """500 of one user: those who have waited longest go, and nobody else notices."""
    daemon = serve("readers=user:nobody\n")
    with ExitStack() as stack:
        with user(uid):
            wires = [stack.enter_context(Wire(daemon.socket)) for _ in range(500)]
        at_once(daemon)
        assert as_user(daemon, "status") == 0
        left = [wire for wire in wires if not wire.closed()]
        assert PER_USER - 2 <= len(left) <= PER_USER  # two clients came since
        assert left == wires[-len(left):]
        for wire in left:
            assert "interfaces" in wire.call(f"{SERVICE}.GetInfo")["parameters"]


FLOOD = """import socket, sys
kept = []
while True:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(sys.argv[1])
    peer.send(b'{"method":')
    kept = [*kept[-400:], peer]"""


def test_flood(serve):
    """A user who connects as fast as he can."""
    daemon = serve()
    with subprocess.Popen([sys.executable, "-c", FLOOD, daemon.socket], user=NOBODY, group=NOBODY, extra_groups=(),
                          stderr=subprocess.DEVNULL) as flood:
        try:
            time.sleep(0.5)
            for _ in range(10):
                at_once(daemon)
            assert flood.poll() is None
        finally:
            flood.kill()


def test_busy_connections(serve):
    """Calls in progress are nobody's to end: one user's take his own share alone, those of all readers leave the places
    of operators and root, and those of operators leave root's."""
    daemon = serve("readers=games\noperators=man\n")

    def monitor(uid: int, group: int = GAMES) -> bool:
        """Whether this user gets one Monitor more."""
        with user(uid, groups=(group,)):
            wire = stack.enter_context(Wire(daemon.socket))
        wire.send(message("Monitor", more=True))
        return wire.receive() is not None

    with ExitStack() as stack:
        assert [monitor(NOBODY) for _ in range(PER_USER + 4)] == [True] * PER_USER + [False] * 4
        at_once(daemon)
        assert as_user(daemon, "status", groups=(GAMES,)) == 5
        others = [monitor(uid) for uid in range(1, 5) for _ in range(PER_USER)]
        assert others.count(True) == ALL - 2 * KEPT - PER_USER
        assert as_user(daemon, "status", uid=9, groups=(GAMES,)) == 5
        at_once(daemon)
        assert as_user(daemon, "status", uid=9, groups=(MAN,)) == 0
        assert [monitor(10, MAN) for _ in range(PER_USER)].count(True) == KEPT
        assert as_user(daemon, "status", uid=9, groups=(MAN,)) == 5
        at_once(daemon)
    assert wait_for(lambda: as_user(daemon, "status", uid=9, groups=(GAMES,)) == 0)  # when they are gone


def test_connections_without_a_right(serve):
    """A few of each user and a few of all, whatever they do there; those of others make no room for them, and they make
    room for others."""
    daemon = serve("readers=games\n")

    def connect(uid: int, *groups: int) -> Wire:
        with user(uid, groups=groups):
            return stack.enter_context(Wire(daemon.socket))

    def left(wires: list[Wire]) -> int:
        return sum(not wire.closed() for wire in wires)

    with ExitStack() as stack:
        readers = [connect(uid, GAMES) for uid in (1, 2, 3) for _ in range(PER_USER)]
        for wire in readers:
            assert wire.call("Monitor", more=True)
        assert left(readers) == ALL - 2 * KEPT
        assert as_user(daemon, "version") == 0  # says nothing of the daemon then
        nobody = [connect(uid) for uid in (4, 5, 6, 7) for _ in range(PER_USER)]
        wait_for(lambda: left(nobody) == 0)
        for wire in readers[:PER_USER]:
            wire.close()
        nobody = [connect(uid) for uid in (4, 5, 6, 7) for _ in range(PER_USER)]
        wait_for(lambda: left(nobody) <= NO_RIGHT)
        for wire in nobody:  # answers that nobody reads
            wire.send(message(f"{SERVICE}.GetInterfaceDescription", interface=CACHE) * 100)
        one = [connect(8) for _ in range(PER_USER)]
        wait_for(lambda: left(one) <= NO_RIGHT_PER_USER)
        assert "interfaces" in one[-1].call(f"{SERVICE}.GetInfo")["parameters"]
        more = [connect(9, GAMES) for _ in range(PER_USER)]
        assert all(wire.call("Monitor", more=True) for wire in more)
        wait_for(lambda: left(one) == 0)
        assert left(readers[PER_USER:] + more) == ALL - 2 * KEPT


def test_right_that_is_taken_away(serve):
    """By a reload: connections that were made with it end, those of others go on."""
    daemon = serve("readers=games\noperators=man\n")
    with user(1, groups=(GAMES,)):
        reader, monitor = Wire(daemon.socket), Wire(daemon.socket)
    with user(2, groups=(MAN,)):
        operator = Wire(daemon.socket)
    with reader, monitor, operator:
        assert "status" in reader.call("GetStatus")["parameters"]
        assert monitor.call("Monitor", more=True)
        daemon.config.write_text(daemon.config.read_text().replace("readers=games", "readers="))
        assert call(daemon.socket, "Reload") == {"parameters": {"restartNeeded": []}}
        assert reader.receive() is None
        while monitor.receive():
            pass
        assert "status" in operator.call("GetStatus")["parameters"]


def test_reader_that_does_not_read(serve):
    """A Monitor without ears is closed at 4 MiB; another one misses nothing meanwhile."""
    daemon = serve()
    with Wire(daemon.socket) as deaf, Wire(daemon.socket) as keen, Wire(daemon.socket) as caller:
        for wire in (deaf, keen):
            wire.send(message("Monitor", more=True))
        before = at_rest(daemon)
        daemon.config.write_text("".join(f"{'x' * 190}{i}\n" for i in range(10)))  # long events: its mistakes
        n, reloads = 0, 0
        while n < 6_000_000:
            assert caller.call("Reload")["error"] == f"{CACHE}.ConfigInvalid"
            event: dict[str, Any] | None = {"parameters": {"event": ""}}
            while event and event["parameters"]["event"] != "reload":
                event = keen.receive()
            n += len(json.dumps(event))
            reloads += 1
            if reloads % 500 == 0:
                at_once(daemon)
        heard = 0
        while deaf.receive():
            heard += 1
        assert heard < reloads
        assert SANITIZED or peak_bytes(daemon) - before < 10_000_000


def test_calls_without_reading(serve):
    """No further call is taken while the answer to the last one waits; after ten seconds the connection is closed. One
    that reads now and then is not."""
    daemon = serve()
    before = at_rest(daemon)
    calls = message(f"{SERVICE}.GetInterfaceDescription", interface=CACHE) * 5000
    with Wire(daemon.socket) as deaf, Wire(daemon.socket) as slow:
        deaf.socket.setblocking(False)
        slow.socket.setblocking(False)
        sent = {wire: wire.socket.send(calls) for wire in (deaf, slow)}
        assert max(sent.values()) < len(calls), "it took all"
        slow.socket.settimeout(5)
        begin, heard = time.monotonic(), b""
        while time.monotonic() < begin + 15:
            heard += slow.socket.recv(50_000)
            at_once(daemon)
            time.sleep(1)
        assert heard.count(b"\0") > 20 and not slow.closed()
        deaf.socket.settimeout(5)
        while deaf.receive():
            pass
    assert SANITIZED or peak_bytes(daemon) - before < 1_000_000


def test_output_of_all_readers(serve, short_path):
    """Large answers that nobody reads: what all of them take is bounded, and operators are the last to feel it."""
    with Stub(short_path / "e", 10) as engine:
        listed = images(800)
        for i, image in enumerate(listed):
            image["RepoTags"] = [f"{'a' * 100}/watchparty-{i}:{'x' * 100}"]
        engine.images = json.dumps(listed).encode()
        daemon = serve("readers=games\noperators=man\n")
        before = at_rest(daemon)
        with ExitStack() as stack:
            with user(1, groups=(MAN,)):
                operator = stack.enter_context(Wire(daemon.socket))
            wires = []
            for uid in (2, 3, 4):
                with user(uid, groups=(GAMES,)):
                    wires += [stack.enter_context(Wire(daemon.socket)) for _ in range(PER_USER)]
            for wire in (operator, *wires):
                wire.send(message("GetPlan"))
            wait_for(lambda: not call(daemon.socket, "GetStatus")["parameters"]["status"].keys() & {"job"})
            at_once(daemon)
            plan = operator.receive()
            assert plan and len(plan["parameters"]["policy"]["images"]) == 800
            whole = 0
            for wire in wires:
                data = b""
                try:
                    while not data.endswith(b"\0") and (piece := wire.socket.recv(1 << 20)):
                        data += piece
                except ConnectionResetError:
                    pass
                whole += data.endswith(b"\0")
            assert 8 < whole < len(wires) - 8
        assert SANITIZED or peak_bytes(daemon) - before < 60_000_000


@pytest.mark.parametrize("way", ["killed", "closed"])
def test_client_that_vanishes(serve, short_path, way):
    """Its clear goes on and is found by `status`."""
    with Stub(short_path / "e", 10) as engine:
        daemon = serve()
        engine.stall("/build/prune")
        if way == "killed":
            client = subprocess.Popen([daemon.build / "wpcachectl", "--socket", daemon.socket, "clear"],
                                      stdout=subprocess.DEVNULL)
            assert engine.hanging.wait(30)
            client.send_signal(signal.SIGKILL)
            client.wait()
        else:
            with Wire(daemon.socket) as wire:
                wire.send(message("Clear", target="all", more=True))
            assert engine.hanging.wait(30)
        status = call(daemon.socket, "GetStatus")["parameters"]["status"]
        assert status["job"]["kind"] == "clear" and status["job"]["step"] == "builder"
        assert "lastClear" not in status
        engine.release()

        def last() -> dict[str, Any] | None:
            return call(daemon.socket, "GetStatus")["parameters"]["status"].get("lastClear")

        assert wait_for(last)["outcome"] == "fresh"
        assert engine.requests["/build/prune"] == 1


def store_receipt(daemon: Daemon, receipt: dict[str, Any]) -> str:
    """Puts a receipt into the store; returns its text there."""
    text = json.dumps(receipt)
    with closing(sqlite3.connect(daemon.state / "wpcache.db", timeout=10)) as store, store:
        store.execute("INSERT INTO runs VALUES (NULL, ?, 'clear', 'all', 'fresh', 'root', 1, 2, 3, 0, 0, 0, 1)", [RECEIPT])
        store.execute("INSERT INTO details VALUES (last_insert_rowid(), ?)", [text])
    return text


def stored_receipt(daemon: Daemon) -> str:
    with closing(sqlite3.connect(daemon.state / "wpcache.db", timeout=10)) as store:
        return store.execute("SELECT json FROM details").fetchone()[0]


def test_results_longer_than_a_reply(serve, short_path):
    """A plan and a receipt of 100,000 names come with fewer names and the number of those left out. What is
    stored has all of them."""
    with Stub(short_path / "e", 10, n_images=100, n_names=1000):
        daemon = serve("[policy]\nmode=observe\n")
        plan = json.loads(daemon.ctl("clear", "--dry-run", "--json").stdout)
        assert 5000 < len(plan["names"])
        assert len(plan["names"]) + len(plan["rollbackTags"]) + len(plan["untagged"]) + plan["omitted"] >= 10_000
        assert f"NOTE: {plan['omitted']} more are not listed" in daemon.ctl("clear", "--dry-run").stdout
        policy = json.loads(daemon.ctl("plan", "--json").stdout)["policy"]
        assert sum(len(image["names"]) for image in policy["images"]) == 100_000

        names = [{"name": f"watchparty-web:{i}", "imageId": f"sha256:{i:064x}"} for i in range(100_000)]
        receipt = store_receipt(daemon, {"id": RECEIPT, "outcome": "fresh", "names": names})
        told = call(daemon.socket, "GetHistory", receipt=RECEIPT)["parameters"]["receipt"]
        assert told["names"] == names[:len(told["names"])]
        assert len(told["names"]) + told["omitted"] == len(names)
        shown = daemon.ctl("history", RECEIPT)
        assert shown.returncode == 0 and f"NOTE: {told['omitted']} more are not listed" in shown.stdout
        assert stored_receipt(daemon) == receipt
