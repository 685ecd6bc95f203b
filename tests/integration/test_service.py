"""wpcached as a service: starting, being told to reload or stop, telling systemd, an engine that comes and goes."""
from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from helpers import receipts, wait_until
from service import Service, passing
from stub import Stub
from varlink_client import CACHE, NOBODY, SERVICE, Wire, message

# --- starting ---

def test_socket_activation(service):
    """The socket is systemd's: it is served, and left where it is."""
    daemon = service()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        listener.listen()
        with Wire(daemon.socket) as early:
            early.send(message("GetStatus"))
            daemon.launch(*passing(listener), pass_fds=(listener.fileno(),))
            assert early.receive()
        daemon.hear("READY=1")
        assert daemon.ctl("status").returncode == 0
        assert daemon.stop() == 0
        assert daemon.socket.exists()
        with Wire(daemon.socket) as late:  # for the next one that systemd starts
            late.send(message("GetStatus"))
            daemon.launch(*passing(listener), pass_fds=(listener.fileno(),))
            assert late.receive()


def test_socket_of_its_own(service):
    """Made with its directory, open to all, replacing what a crash left; gone at the end."""
    daemon = service()
    daemon.change(str(daemon.socket), f"{daemon.dir}/run/deep/s")
    daemon.socket = daemon.dir / "run/deep/s"
    for _ in range(2):
        daemon.start()
        mode = daemon.socket.stat().st_mode
        assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o666
        assert daemon.ctl("status").returncode == 0
        daemon.kill()
        assert daemon.socket.exists()
    daemon.start()
    assert daemon.stop() == 0
    assert not daemon.socket.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_only_a_socket_is_replaced(service, kind):
    """A mistake in [control] socket= must not cost a file."""
    daemon = service()
    precious = daemon.dir / "precious"
    precious.write_text("data")
    match kind:
        case "file":
            daemon.socket.write_text("data")
        case "directory":
            daemon.socket.mkdir()
        case "link":
            daemon.socket.symlink_to(precious)
    daemon.launch()
    assert daemon.process.wait(60) == 1
    assert daemon.log.splitlines()[-1].startswith(f"<3>cannot replace {daemon.socket} by a socket: ")
    assert daemon.socket.exists() and precious.read_text() == "data"
    assert kind != "file" or daemon.socket.read_text() == "data"


def test_second_daemon(service):
    """One line and exit 1, whether it is the socket or the state that is taken; the first one goes on."""
    first = service()
    first.start()
    same_socket, same_state = service(name="d2"), service(name="d3")
    same_socket.config.write_text(first.config.read_text())
    same_socket.launch()
    same_state.launch(env={"STATE_DIRECTORY": str(first.state)})
    for second, words in ((same_socket, f"another daemon answers at {first.socket}"),
                          (same_state, f"another wpcached uses the state directory {first.state}")):
        assert second.process.wait(60) == 1
        assert [line for line in second.log.splitlines() if line.startswith("<3>")] == [f"<3>{words}"]
    assert first.ctl("status").returncode == 0
    assert not any(line.startswith("READY") for line in same_socket.rest() + same_state.rest())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_daemon_of_another_user(service):
    """It runs as anybody; its own user and root may act, others may not."""
    daemon = service()
    os.chown(daemon.dir, NOBODY, NOBODY)
    os.chown(daemon.state, NOBODY, NOBODY)
    daemon.start(user=NOBODY, group=NOBODY, extra_groups=())
    for uid, expected in ((NOBODY, 6), (0, 6), (1, 4)):
        clear = subprocess.run([daemon.build / "wpcachectl", "--socket", daemon.socket, "clear"], user=uid, group=uid,
                               extra_groups=(), capture_output=True, timeout=20)
        assert clear.returncode == expected, clear.stderr


# --- configuration ---

GOOD = "[poll]\ninterval=5s\n"
BAD = "[images]\nmach=x\n[poll]\ninterval=never\n"


def check(daemon: Service) -> subprocess.CompletedProcess[str]:
    return subprocess.run([daemon.build / "wpcached", "--config", daemon.config, "--check-config"],
                          capture_output=True, text=True, timeout=20)


def test_check_config(service):
    daemon = service()
    done = check(daemon)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{daemon.config}: OK\n", "")
    daemon.config.write_text(BAD)
    done = check(daemon)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(rf"{daemon.config}:2: .*'match'.*\n{daemon.config}:4: .*'never'.*\n", done.stderr)
    daemon.config.unlink()
    assert check(daemon).returncode == 1


def test_start_with_a_bad_file(service):
    daemon = service()
    daemon.config.write_text(BAD)
    daemon.launch()
    assert daemon.process.wait(60) == 1
    assert [line.split(": ")[0] for line in daemon.log.splitlines()] == [
        f"<3>{daemon.config}:2", f"<3>{daemon.config}:4"]
    assert daemon.rest() == []


@pytest.mark.parametrize("by", ["ctl", "signal"])
def test_reload(service, by):
    """A good file is taken; a bad one changes nothing, and that is said until it is mended."""
    daemon = service()
    daemon.start()
    good = daemon.config.read_text()

    def reload() -> subprocess.CompletedProcess[str] | None:
        if by == "ctl":
            return daemon.ctl("reload")
        daemon.process.send_signal(signal.SIGHUP)
        return None

    def heard() -> None:
        lines = daemon.hear("READY=1")
        assert lines.index("RELOADING=1") < lines.index("READY=1")

    daemon.config.write_text(good + "readers=user:nobody\n" + GOOD)
    done = reload()
    heard()
    assert not done or (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "error" not in daemon.status()["config"]
    who = {"user": NOBODY, "group": NOBODY, "extra_groups": ()} if os.geteuid() == 0 else {}
    look = [daemon.build / "wpcachectl", "--socket", daemon.socket, "-q"]
    assert subprocess.run(look, timeout=20, **who).returncode == 0

    daemon.config.write_text(good + BAD)
    done = reload()
    heard()
    told = check(daemon).stderr.rstrip("\n")
    assert not done or (done.returncode == 1 and told.splitlines()[0] in done.stderr)
    assert daemon.status()["config"]["error"] == told
    assert told.splitlines()[0] in daemon.ctl("status").stdout
    assert subprocess.run(look, timeout=20, **who).returncode == 0  # readers= is still in force
    assert "The configuration was not reloaded; the one in force stays" in daemon.log

    daemon.config.write_text(good.replace("wpcache.sock", "moved.sock"))
    done = reload()
    heard()
    assert not done or done.stdout == "In force after systemctl restart wpcached: [control] socket\n"
    assert "[control] socket changed: it takes effect after a restart" in daemon.log
    assert "error" not in daemon.status()["config"]
    assert os.geteuid() != 0 or subprocess.run(look, capture_output=True, timeout=20, **who).returncode == 4


def test_reload_of_what_is_no_configuration(service):
    """However many mistakes there are, `status` still answers."""
    daemon = service()
    daemon.start()
    daemon.config.write_text("nonsense\n" * 5_000)
    done = daemon.ctl("reload")
    assert done.returncode == 1 and f"{daemon.config}:1: " in done.stderr
    error = daemon.status()["config"]["error"]
    assert len(error.splitlines()) < 20 and "4990 more" in error
    assert daemon.log.count("no '='") == 5_000


def test_engine_moves(service, short_path):
    """[docker] host= takes effect by a reload."""
    daemon = service()
    with Stub(short_path / "e2", 3):
        daemon.start()
        daemon.wait_for_engine("unavailable")
        daemon.change(f"{short_path}/e\n", f"{short_path}/e2\n")
        assert daemon.ctl("reload").returncode == 0
        daemon.wait_for_engine("ok")
        assert daemon.status()["builder"]["records"] == 3


# --- what systemd hears ---

def test_notifications(service, short_path):
    with Stub(short_path / "e", 3):
        daemon = service()
        daemon.start(env={"WATCHDOG_USEC": "2000000"})
        assert daemon.hear("STATUS=Build cache")[-1] == "STATUS=Build cache: 3 records"
        daemon.hear("WATCHDOG=1")
        begin = time.monotonic()
        for _ in range(2):
            daemon.hear("WATCHDOG=1")
        assert time.monotonic() - begin > 1.5  # twice as often as wanted, and no more
        daemon.process.terminate()
        daemon.hear("STOPPING=1")
        assert daemon.process.wait(60) == 0
    quiet = service(name="d2")
    quiet.launch()
    assert "WATCHDOG=1" not in quiet.hear("STATUS=Engine not available: cannot connect to ")


def is_silent(daemon: Service) -> bool:
    """Whether a daemon with a watchdog of half a second no longer says that it is well."""
    time.sleep(1)  # for what was on its way
    daemon.rest()
    time.sleep(2)
    return "WATCHDOG=1" not in daemon.rest()


def test_watchdog_of_a_hung_worker(service, short_path):
    """A call past its deadline by 30 s is no patience any more: the daemon no longer says that it is well."""
    with Stub(short_path / "e") as engine:
        daemon = service()
        # without the watcher, whose call would hang first
        daemon.change("[docker]\n", "[poll]\nevents=no\n[docker]\ntimeout=5s\n")
        engine.stall()
        daemon.start(env={"WATCHDOG_USEC": "500000", "WPCACHE_TEST_CLOCK": str(daemon.clock.file)})
        assert engine.hanging.wait(60)
        with stopped_worker(daemon):
            daemon.clock.move(20, 20)
            daemon.rest()
            daemon.hear("WATCHDOG=1")  # patience
            daemon.clock.move(25, 25)
            assert is_silent(daemon)
            assert daemon.status()["engine"]["state"] == "unknown"
        daemon.wait_for_engine("unavailable")
        daemon.hear("WATCHDOG=1")


def test_watchdog_of_a_worker_without_progress(service, short_path):
    """Outside of calls to the engine, too, a worker that has work and shows no sign of life is hung."""
    with Stub(short_path / "e") as engine:
        daemon = service()
        daemon.change("[docker]\n", "[poll]\nevents=no\ninterval=3600s\n[docker]\n")
        daemon.start(env={"WATCHDOG_USEC": "500000", "WPCACHE_TEST_CLOCK": str(daemon.clock.file)})
        daemon.wait_for_engine("ok")
        daemon.hear("WATCHDOG=1")
        with stopped_worker(daemon), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(daemon.socket))
            client.sendall(message(f"{CACHE}.GetPlan"))
            for _ in range(3):
                daemon.clock.move(60, 60)
                daemon.rest()
                daemon.hear("WATCHDOG=1")  # patience
            for _ in range(6):
                daemon.clock.move(60, 60)
                time.sleep(0.6)
            assert is_silent(daemon)
        daemon.hear("WATCHDOG=1")
        # one that is idle may be silent as long as it likes
        for _ in range(3):
            daemon.clock.move(2000, 2000)
            time.sleep(0.5)
        daemon.rest()
        daemon.hear("WATCHDOG=1")
        assert engine.requests["/_ping"] > 0


class stopped_worker:
    """Halts the worker thread alone, as nothing that an engine does can: by ptrace(2)."""

    ATTACH, DETACH = 16, 17

    def __init__(self, daemon: Service):
        pid = daemon.process.pid
        self.tid, = (int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()
                     if (task / "comm").read_text() == "janitor\n")
        self.libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(self, request: int) -> None:
        if self.libc.ptrace(request, self.tid, None, None) < 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    def __enter__(self) -> None:
        try:
            self.ptrace(self.ATTACH)
        except PermissionError:
            pytest.skip("ptrace(2) is not allowed here")
        os.waitpid(self.tid, 0x40000000)  # __WALL

    def __exit__(self, *_: object) -> None:
        self.ptrace(self.DETACH)


# --- stopping ---

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(service, short_path, number):
    """At once and cleanly: idle, without an engine, and while a poll or a prune hangs."""
    for busy in ("no engine", "idle", "poll", "clear"):
        with Stub(short_path / "e", 3) if busy != "no engine" else ExitStack() as engine:
            daemon = service(name=busy.replace(" ", ""))
            if busy == "poll":
                engine.stall("/system/df")
            daemon.launch()
            daemon.hear("READY=1")
            client = None
            if busy == "poll":
                assert engine.hanging.wait(60)
            if busy in ("idle", "clear"):
                daemon.wait_for_engine("ok")
            if busy == "clear":
                engine.stall("/build/prune")
                client = subprocess.Popen([daemon.build / "wpcachectl", "--socket", daemon.socket, "clear"],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                assert engine.hanging.wait(60)
            begin = time.monotonic()
            daemon.process.send_signal(number)
            assert daemon.process.wait(60) == 0
            assert time.monotonic() - begin < 10
            assert daemon.log.splitlines()[-1] == "<6>Stopped"
            daemon.hear("STOPPING=1")
            if client:
                assert client.wait(60) == 1 and client.stderr.read()
                assert len(receipts(daemon)) == 1


def test_stop_during_a_prune_that_must_not_be_cut(service, short_path):
    """Engines below 25: waited for, with a word to systemd, and what it waited for is told."""
    with Stub(short_path / "e", 3, api="1.41") as engine:
        daemon = service()
        daemon.start()
        daemon.wait_for_engine("ok")
        engine.stall("/build/prune")
        with Wire(daemon.socket) as wire, Wire(daemon.socket) as other:
            wire.send(message("Clear", target="all"))
            assert engine.hanging.wait(60)
            daemon.process.terminate()
            daemon.hear("EXTEND_TIMEOUT_USEC=")
            other.send(message("GetStatus"))
            time.sleep(1)
            assert daemon.process.poll() is None
            engine.release()
            reply = wire.receive()
            assert reply and reply["error"] == f"{CACHE}.JobFailed"
            assert reply["parameters"]["receipt"]["outcome"] == "interrupted"
            assert other.receive() is None
        assert daemon.process.wait(60) == 0


def test_stop_sends_what_was_answered(service):
    """A reply that waits for its reader is not lost, nor are those before it; calls after it are not taken any more. One
    that never reads does not hold the daemon up."""
    daemon = service()
    daemon.start()
    asked = message(f"{SERVICE}.GetInterfaceDescription", interface=CACHE) * 200
    with Wire(daemon.socket) as reader, Wire(daemon.socket) as deaf:
        for wire in (reader, deaf):
            wire.send(asked)
        time.sleep(1)  # for as many to be answered as fit, and one more
        begin = time.monotonic()
        daemon.process.terminate()
        daemon.hear("STOPPING=1")
        answered = 0
        while reader.receive():  # none is cut off
            answered += 1
        assert 10 < answered < 200
        assert daemon.process.wait(60) == 0
        assert time.monotonic() - begin < 10


# --- the engine ---

def test_engine_comes_and_goes(service, short_path):
    """Each state is told at once and ends by itself; the daemon goes on."""
    daemon = service("[poll]\ninterval=1s\nshare=50%\n")
    daemon.change("[docker]\n", "[docker]\ntimeout=1s\n")
    daemon.start()
    reason = daemon.wait_for_engine("unavailable")["reason"]
    assert reason == f"cannot connect to {short_path}/e: No such file or directory"
    done = daemon.ctl("clear")
    assert done.returncode == 6 and reason in done.stderr
    engine = Stub(short_path / "e", 3)
    with engine:
        daemon.wait_for_engine("ok", timeout=30)
        assert daemon.ctl("clear", "--dry-run").returncode == 0

        engine.stall("/system/df")
        assert "within 1 s" in daemon.wait_for_engine("unavailable", timeout=30)["reason"]
        begin = time.monotonic()
        assert "Engine: unavailable" in daemon.ctl("status").stdout
        assert time.monotonic() - begin < 5
        engine.release()
        daemon.wait_for_engine("ok", timeout=30)

        for garbage in (b"", b"\0\1\2", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>",
                        b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nhelp",
                        b"HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nContent-Length: 99\r\n\r\n[",
                        b"HTTP/1.1 200 OK\r\nApi-Version: 0.9\r\nContent-Length: 2\r\n\r\nOK"):
            engine.garbage = garbage or b"\r\n"
            assert daemon.wait_for_engine("unavailable", timeout=30)["reason"]
            done = daemon.ctl("clear")
            assert (done.returncode, done.stdout.count("SUCCESS")) == (6, 0), (garbage, done.stderr)
            engine.garbage = b""
            daemon.wait_for_engine("ok", timeout=30)
        assert engine.requests["/build/prune"] == 0
    daemon.wait_for_engine("unavailable", timeout=30)
    with engine:
        daemon.wait_for_engine("ok", timeout=30)
    # once each time it went, not once a poll
    assert daemon.log.count("Engine not available") == 1 + 1 + 7 + 1
    assert daemon.log.count("Engine 28.5.2 answers") == 1 + 1 + 7 + 1


def test_hostile_text(service, short_path):
    """What an engine or a client says reaches neither systemd nor the log with a newline, a control character, or one
    that turns the text after it around."""
    evil = "a\u202eb\u2066c\u200f\u061c\u2028\x1b[m\nSTOPPING=1\n<0>d"
    body = json.dumps({"message": evil}).encode()
    bad = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
    with Stub(short_path / "e") as engine:
        engine.garbage = (b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                          b"Content-Length: %d\r\n\r\n" % len(body) + body)
        daemon = service()
        daemon.start()
        heard = daemon.hear("STATUS=Engine not available: ")
        with Wire(daemon.socket) as wire:
            wire.send(message("Inhibit", more=True, why=evil, command=evil))
            assert wire.receive()
            status = daemon.ctl("status").stdout
        wait_until(lambda: daemon.log.count("Inhibitor ") == 2)
        heard += daemon.rest()
    assert "a?b?c???" in heard[-1] + "".join(heard) and "STOPPING=1" not in heard
    assert all(line.split("=")[0] in ("READY", "STATUS", "WATCHDOG") for line in heard), heard
    assert "a?b?c" in daemon.log and "a?b?c" in status
    for text in (*heard, daemon.log, status):
        assert not bad.search(text), text
    assert "\n<0>d" not in daemon.log
