"""The listening socket: what systemd passes or should not have passed, who removes it, and accept4(2) that fails."""
from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

from varlink_client import Wire, message

HERE, OTHER = "str(os.getpid())", "str(os.getppid())"
LAUNCH = """import os, socket, sys
fds, pid = sys.argv[1], eval(sys.argv[2])
os.closerange(3, 100)
kept = eval(sys.argv[3])
if isinstance(kept, tuple):
    kept = kept[0]
if kept is not None:
    fd = kept if isinstance(kept, int) else kept.fileno()
    os.dup2(fd, 3) if fd != 3 else os.set_inheritable(3, True)
os.environ.update({"LISTEN_FDS": fds, "LISTEN_PID": pid})
os.execv(sys.argv[4], sys.argv[4:])"""
UNIX = "socket.socket(socket.AF_UNIX, socket.%s)"
NOT_LISTENING = "LISTEN_FDS=1, but file descriptor 3 is not a listening unix stream socket"


@pytest.mark.parametrize("fds, pid, at_three, words", [
    ("1", HERE, "None", "LISTEN_FDS=1, but file descriptors from 3 on are not open"),
    ("2", HERE, "None", "LISTEN_FDS=2, but file descriptors from 3 on are not open"),
    ("1000000", HERE, "None", "LISTEN_FDS=1000000, but file descriptors from 3 on are not open"),
    ("2", HERE, "[os.dup2(0, 4), 4][1]", "LISTEN_FDS=2: one socket is expected, see wpcached.socket"),
    ("0", HERE, "None", "LISTEN_FDS=0 with LISTEN_PID={pid}: Invalid argument"),
    ("-1", HERE, "None", "LISTEN_FDS=-1 with LISTEN_PID={pid}: Invalid argument"),
    ("2147483647", HERE, "None", "LISTEN_FDS=2147483647 with LISTEN_PID={pid}: Invalid argument"),
    ("one", HERE, "None", "LISTEN_FDS=one with LISTEN_PID={pid}: Invalid argument"),
    ("", HERE, "None", "LISTEN_FDS= with LISTEN_PID={pid}: Invalid argument"),
    ("1", "'x'", "None", "LISTEN_FDS=1 with LISTEN_PID=x: Invalid argument"),
    ("1", HERE, "os.open('/dev/null', 0)", NOT_LISTENING),
    ("1", HERE, "os.open('/', 0)", NOT_LISTENING),
    ("1", HERE, "os.pipe()", NOT_LISTENING),
    ("1", HERE, UNIX % "SOCK_STREAM", NOT_LISTENING),
    ("1", HERE, UNIX % "SOCK_DGRAM", NOT_LISTENING),
    ("1", HERE, f"(s := {UNIX % 'SOCK_SEQPACKET'}, s.bind(''), s.listen())", NOT_LISTENING),
    ("1", HERE, "socket.socketpair()", NOT_LISTENING),
    ("1", HERE, "(s := socket.create_server(('127.0.0.1', 0)),)", NOT_LISTENING),
])
def test_activation_with_something_else(service, fds, pid, at_three, words):
    """One line that says what, and exit 1; no socket is made in its place."""
    daemon = service()
    daemon.launch(sys.executable, "-c", LAUNCH, fds, pid, at_three)
    assert daemon.process.wait(30) == 1
    assert daemon.log.splitlines() == [
        f"<3>Cannot take the control socket that was passed: {words.format(pid=daemon.process.pid)}"]
    assert not daemon.socket.exists()


@pytest.mark.parametrize("pid", [OTHER, "'1'"])
def test_activation_of_another_process(service, pid):
    """What was passed to the parent is not meant for this one: it makes its own."""
    daemon = service()
    daemon.start(sys.executable, "-c", LAUNCH, "1", pid, "None")
    assert daemon.ctl("status").returncode == 0


def test_socket_of_the_next_daemon_stays(service):
    """Somebody removed the socket and another daemon made one there: the first one leaves it alone."""
    first, second = service(name="d1"), service(name="d2")
    first.start()
    second.change(str(second.socket), str(first.socket))
    second.socket = first.socket
    first.socket.unlink()
    second.start()
    assert first.stop() == 0
    assert second.ctl("status").returncode == 0
    assert second.stop() == 0
    assert not second.socket.exists()


@pytest.mark.parametrize("kind", ["file", "link", "nothing", "moved"])
def test_only_the_own_socket_is_removed(service, kind):
    daemon = service()
    daemon.start()
    moved = daemon.dir / "moved"
    daemon.socket.rename(moved)
    match kind:
        case "file":
            daemon.socket.write_text("data")
        case "link":
            daemon.socket.symlink_to(moved)
    assert daemon.stop() == 0
    assert moved.exists()
    assert kind != "file" or daemon.socket.read_text() == "data"
    assert kind != "link" or daemon.socket.is_symlink()


# --- accept4(2) fails ---

def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy(pid: int, seconds: float = 2) -> float:
    """How much of this time it takes the processor."""
    before = processor_seconds(pid)
    time.sleep(seconds)
    return (processor_seconds(pid) - before) / seconds


def test_descriptors_run_out(service):
    """Who connects meanwhile waits, and is answered when there are some again."""
    daemon = service("[poll]\ninterval=1h\nevents=no\n")
    daemon.start()
    daemon.wait_for_engine("unavailable")
    pid = daemon.process.pid
    with Wire(daemon.socket) as early:
        assert early.call("GetStatus")
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), before[1]))
        waiting = [Wire(daemon.socket) for _ in range(5)]
        try:
            for wire in waiting:
                wire.send(message("GetStatus"))
            assert busy(pid) < 0.2
            assert early.call("GetStatus")  # who is there already is served
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
            for wire in waiting:
                assert wire.receive()
        finally:
            for wire in waiting:
                wire.close()
    assert daemon.log.count("Too many open files") == 1
    assert "<4>Cannot take connections for the moment: Too many open files\n" in daemon.log
    assert busy(pid, 1) < 0.1
