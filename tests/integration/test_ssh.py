"""wpcachectl -H and ssh-gate through a real sshd on loopback."""
from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import varlink_peer
from daemon import Daemon
from sshd import Relay, Sshd
from varlink_peer import CACHE, CTL, LEFT, STATUS, Terminal, final, frame, progress

peer = varlink_peer.peer  # the fixture


@pytest.fixture(scope="module")
def server() -> Iterator[Sshd]:
    with tempfile.TemporaryDirectory(prefix="wpcache-") as directory:
        sshd = Sshd(Path(directory))
        sshd.authorize("box")
        yield sshd
        sshd.close()


@pytest.fixture
def box(server: Sshd) -> Iterator[Sshd]:
    yield server
    server.reach_by(server.port)
    print(server.log.read_text()[-2000:])  # pytest shows it if the test fails


Done = subprocess.CompletedProcess[str]


def environment(box: Sshd, **more: str) -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if k not in ("WPCACHE_SOCKET", "NO_COLOR", "SSH_AUTH_SOCK")}
    return {**env, "PATH": box.path, **more}


def ctl(box: Sshd, *args: str, host: str = "box", **env: str) -> Done:
    return subprocess.run([CTL, "-H", host, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, env=environment(box, **env))


def ssh(box: Sshd, host: str, *command: str) -> Done:
    return subprocess.run(["ssh", "-T", "--", host, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, env=environment(box))


@contextlib.contextmanager
def start(box: Sshd, *args: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([CTL, "-H", "box", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment(box)) as run:
        try:
            yield run
        finally:
            run.kill()


def hold(told: threading.Event, *replies: object) -> Callable[[socket.socket, object], None]:
    """A peer that says the first of REPLIES, and the others once it is told to."""
    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(replies[0]))
        told.wait(30)
        for reply in replies[1:]:
            conn.sendall(frame(reply))
    return script


def test_a_clear_on_a_real_daemon(box, short_path):
    """Its exit status and its output are what they are over there; without an engine, a clear of Docker's caches is 6."""
    for app in ("frontend", "other"):
        root = short_path / app
        (root / ".next").mkdir(parents=True)
        (root / ".next/x").write_text("stale")
        (root / "package.json").touch()
    config = "".join(f"[app {app}]\nroot={short_path}/{app}\ncaches=.next\n" for app in ("frontend", "other"))
    with Daemon(short_path / "no-engine", short_path / "daemon", config) as running:
        there = ("--socket", str(running.socket))
        done = ctl(box, *there, "clear", "--target", "frontend", "--include-mounted")
        assert done.returncode == 0, done
        assert done.stdout.splitlines()[-1] == ("SUCCESS: Application caches cleared; Docker's caches untouched, the "
                                                "next build may be CACHED")
        assert "frontend: 1 cache removed" in done.stdout and done.stderr == ""
        assert not (short_path / "frontend/.next").exists() and (short_path / "other/.next").exists()

        (short_path / "other").rename(short_path / "gone")
        done = ctl(box, *there, "clear", "apps", "--include-mounted")
        assert done.returncode == 3 and "REMAINING: app other" in done.stdout
        assert done.stderr.startswith("NOT CLEARED: ") and done.stderr.count("\n") == 1

        assert (done := ctl(box, *there, "clear")).returncode == 6 and "not available" in done.stderr
        assert (done := ctl(box, *there, "clear", "nothing")).returncode == 2 and "unknown target" in done.stderr
        done = ctl(box, *there, "history", "--json=short")
        assert done.returncode == 0 and done.stdout.startswith("{") and "frontend" in done.stdout
    done = ctl(box, *there, "clear")
    assert done.returncode == 5 and "cannot reach wpcached at" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("status, args, reply", [
    (0, ["clear"], final()),
    (1, ["clear"], {"error": f"{CACHE}.JobFailed", "parameters": {"reason": "x"}}),
    (2, ["clear", "x"], {"error": f"{CACHE}.UnknownTarget", "parameters": {"target": "x", "known": ["all"]}}),
    (3, ["clear", "--quiet"], final(outcome="notFresh", fresh=False, remaining=LEFT)),
    (3, ["clear", "--json"], final(outcome="notFresh", fresh=False, remaining=LEFT)),
    (4, ["clear"], {"error": "org.varlink.service.PermissionDenied", "parameters": {}}),
    (4, ["reload"], {"error": "org.varlink.service.PermissionDenied", "parameters": {}}),
    (6, ["clear"], {"error": f"{CACHE}.EngineUnavailable", "parameters": {"reason": "x"}}),
    (7, ["clear"], {"error": f"{CACHE}.Busy", "parameters": {"reason": "x"}}),
    (8, ["status"], {"parameters": {"status": {**STATUS, "alarms": [{"kind": "disk", "message": "full"}]}}}),
    (0, [], {"parameters": {"status": STATUS}})])
def test_exit_statuses(box, peer, status, args, reply):
    """The same status, stdout and stderr as beside the daemon."""
    p = peer(reply)
    there = ctl(box, "--socket", str(p.path), *args)
    beside = varlink_peer.ctl(p, *args)
    assert there.returncode == beside.returncode == status, there

    def timeless(text: str) -> str:
        return re.sub(r"\d+ ?\w+ ago|\d{4}-\d\d-\d\d \d\d:\d\d", "T", text)
    assert timeless(there.stdout) == timeless(beside.stdout) and "\0" not in there.stdout
    assert there.stderr == beside.stderr
    assert p.calls[0] == {**p.calls[1], "parameters": p.calls[0].get("parameters", {})} or "parameters" not in p.calls[0]


def test_what_is_sent(box, peer):
    """Options are told by their names, and come before or after the verb."""
    p = peer(final())
    assert ctl(box, "--socket", str(p.path), "clear", "--tar", "all", "--wait", "1h 30min", "-q").returncode == 0
    assert p.calls[0]["parameters"] == {
        "target": "all", "waitSec": 5400,
        "command": f"wpcachectl --socket={p.path} clear --target=all --wait=1h 30min --quiet"}


@pytest.mark.parametrize("word", [
    "$(touch {0})", "`touch {0}`", "'; touch {0}; '", "x\ntouch {0}", "x; touch {0}", "a  b", "'", "''", '"', "\\", "*",
    "-x", "--", "~", "=ls", "%1", "{{a,b}}", "^x", "é", "!!", "$HOME", "#x", "\t", "&& touch {0}", "'\\''", "> {0}"])
def test_words_stay_words(box, peer, short_path, word):
    ran = short_path / "ran"
    word = word.format(ran)
    p = peer({"error": f"{CACHE}.UnknownObject", "parameters": {"object": "x", "reason": "y"}})
    done = ctl(box, "--socket", str(p.path), "explain", "--", word)
    assert done.returncode == 1, done
    assert [call["parameters"]["object"] for call in p.calls] == [word]
    assert not ran.exists()


def test_lines_come_at_once(box, peer):
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x"), final()))
    with start(box, "--socket", str(p.path), "clear") as run:
        assert run.stdout and run.stderr
        assert run.stdout.readline() == "INFO: Removing x\n"
        told.set()
        assert run.stdout.read().endswith("SUCCESS: Docker build cache cleared\n")
        assert run.wait(30) == 0 and run.stderr.read() == ""


def test_stdin_is_left_alone(box, peer):
    """`while read host; do wpcachectl -H "$host"; done` gets to the second host."""
    p = peer({"parameters": {"status": STATUS}})
    loop = f"while read host; do '{CTL}' -H \"$host\" --socket '{p.path}' -q && echo \"$host\"; done"
    done = subprocess.run(["/bin/sh", "-c", loop], input="box\nbox\n", capture_output=True, text=True, timeout=60,
                          env=environment(box))
    assert done.stdout == "box\nbox\n" and done.stderr == ""


@pytest.mark.parametrize("host", ["box", "kept"])
def test_terminal(box, peer, host):
    """Progress as it comes, and colour; over there is no terminal, which `restrict` denies."""
    box.authorize("kept", "restrict")
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x"), final()))
    terminal = Terminal(p, "-H", host, "clear", PATH=box.path)
    terminal.read_until(b"INFO: Removing x\r\n")
    told.set()
    assert terminal.wait() == 0
    assert terminal.output.endswith(b"\x1b[32mSUCCESS:\x1b[0m Docker build cache cleared\r\n")
    assert terminal.output.replace(b"\r\n", b"").count(b"\r") == 0 and b"\0" not in terminal.output

    for args, env in ((["clear"], {"NO_COLOR": "1"}), (["--color=never", "clear"], {}), (["clear", "--col=never"], {}),
                      (["clear"], {"TERM": "dumb"})):
        terminal = Terminal(p, "-H", host, *args, PATH=box.path, **env)
        assert terminal.wait() == 0 and b"SUCCESS: Docker" in terminal.output and b"\x1b" not in terminal.output
    assert ctl(box, "--socket", str(p.path), "clear", "--color=always").stdout.count("\x1b[32mSUCCESS:") == 1
    # the receipt has the user's own words
    assert [call["parameters"]["command"].split(" ", 2)[2] for call in p.calls] == [
        "clear", "clear", "--color=never clear", "clear --color=never", "clear", "clear --color=always"]

    terminal = Terminal(peer({"parameters": {"status": STATUS}}), "-H", host, "--json", PATH=box.path)
    assert terminal.wait() == 0 and terminal.output.startswith(b"{\r\n")


def test_terminal_and_a_forced_command(box, peer):
    """As docs/OPERATIONS.md has it for CI."""
    for gate in ("clear --target all", "ssh-gate status clear"):
        p = peer(progress("images", "Removing x"), final())
        box.authorize("kept", f'restrict,command="wpcachectl --socket {p.path} {gate}"')
        run = ["script", "-qec", f"'{CTL}' -H kept clear", "/dev/null"]
        done = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                              env=environment(box, TERM="xterm"))
        assert done.returncode == 0 and len(p.calls) == 1, done
        lines = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout).splitlines()
        assert (lines[0], lines[-1]) == ("INFO: Removing x", "SUCCESS: Docker build cache cleared")


@pytest.mark.parametrize("host", ["box", "kept"])
def test_ctrl_c_on_a_terminal(box, peer, host):
    """It ends ssh; a clear over there goes on to its end, a watch ends."""
    box.authorize("kept", "restrict")
    told, ended = threading.Event(), threading.Event()

    def clear(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("images", "Removing x")))
        told.wait(30)
        conn.settimeout(0.5)
        try:
            assert conn.recv(1)  # its wpcachectl is still there, and waits
        except TimeoutError:
            ended.set()
        conn.sendall(frame(final()))

    terminal = Terminal(peer(clear), "-H", host, "clear", PATH=box.path)
    terminal.read_until(b"Removing x")
    os.write(terminal.fd, b"\x03")
    assert terminal.wait() == 130, terminal.output
    assert " ".join(terminal.screen).endswith(
        f"wpcachectl: interrupted, but what was begun on {host} goes on; wpcachectl -H {host} history tells how it "
        "ended ")
    told.set()
    assert ended.wait(20)

    told.clear()
    event = {"parameters": {"event": "engine", "message": "ok"}, "continues": True}
    terminal = Terminal(peer(hold(told, event)), "-H", host, "watch", PATH=box.path)
    terminal.read_until(b"ok")
    os.write(terminal.fd, b"\x03")
    assert terminal.wait() == 130 and b"wpcachectl:" not in terminal.output
    told.set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(box, peer, number):
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x")))
    with start(box, "--socket", str(p.path), "clear") as run:
        assert run.stdout and run.stderr and run.stdout.readline()
        run.send_signal(number)
        assert run.wait(30) == 128 + number
        assert run.stderr.read() == ("wpcachectl: interrupted, but what was begun on box goes on; wpcachectl -H box "
                                     "history tells how it ended\n")
    told.set()


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_killed(box, peer):
    """ssh does not outlive it."""
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x")))
    with start(box, "--socket", str(p.path), "clear") as run:
        assert run.stdout and run.stdout.readline()
        [child] = children(run.pid)
        run.kill()
        until = time.monotonic() + 10
        while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
            assert time.monotonic() < until
            time.sleep(0.05)
    told.set()


@pytest.mark.parametrize("args, words", [
    (["clear"], "lost box during the clear; it may go on: wpcachectl -H box history tells how it ended"),
    (["clear", "--json"], "lost box during the clear; it may go on: wpcachectl -H box history tells how it ended"),
    (["rollback"], "lost box during the rollback; it may go on: wpcachectl -H box history tells how it ended"),
    (["status"], "lost box before it had answered in full")])
def test_lost_in_the_middle(box, peer, args, words):
    """Exit status 1, whether anything was printed before or not: the other side had begun."""
    asked, told = threading.Event(), threading.Event()

    def script(conn: socket.socket, call: dict[str, Any]) -> None:
        if call.get("more"):
            conn.sendall(frame(progress("images", "Removing x")))
        asked.set()
        told.wait(30)

    p = peer(script)
    relay = Relay(box.port)
    box.reach_by(relay.port)
    with start(box, "--socket", str(p.path), *args) as run:
        assert run.stderr and asked.wait(20)
        time.sleep(1)  # its greeting is on its way
        relay.cut()
        assert run.wait(20) == 1
        assert run.stderr.read().splitlines()[-1] == f"wpcachectl: {words}"
    told.set()
    relay.close()


def test_a_host_that_falls_silent(box, peer):
    """Is given up after a while."""
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x")))
    relay = Relay(box.port)
    box.reach_by(relay.port)
    with start(box, "--socket", str(p.path), "clear") as run:
        assert run.stdout and run.stderr and run.stdout.readline()
        relay.silent.set()
        assert run.wait(60) == 1
        assert "lost box during the clear" in run.stderr.read()
    told.set()
    relay.close()


@pytest.mark.parametrize("args, words", [
    (["status"], "to find out why: ssh -v box true"), (["clear", "--dry-run"], "to find out why: ssh -v box true"),
    (["clear"], "if it was reached, wpcachectl -H box history tells"),
    (["rollback"], "if it was reached, wpcachectl -H box history tells"),
    (["reload"], "if it was reached, wpcachectl -H box history tells")])
def test_lost_before_anything(box, args, words):
    relay = Relay(box.port)
    relay.silent.set()
    box.reach_by(relay.port)
    with start(box, *args) as run:
        until = time.monotonic() + 20
        while not relay.pairs:
            assert time.monotonic() < until
            time.sleep(0.02)
        relay.cut()
        assert run.stderr and run.wait(20) == 5
        assert run.stderr.read().splitlines()[-1] == f"wpcachectl: no answer from box by ssh; {words}"
    relay.close()


@pytest.mark.parametrize("how, status, words", [
    ("cut", 5, "no answer from quiet by ssh; if it was reached, wpcachectl -H quiet history tells"),
    ("interrupt", 130, "interrupted; if quiet was reached, what was begun there goes on; wpcachectl -H quiet history "
                       "tells")])
def test_forced_command_that_said_nothing_yet(box, peer, how, status, words):
    """It had begun, which nobody can know here."""
    asked, told = threading.Event(), threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        asked.set()
        told.wait(30)

    p = peer(script)
    box.authorize("quiet", f'restrict,command="wpcachectl --socket {p.path} clear --quiet"')
    relay = Relay(box.port)
    box.reach_by(relay.port)
    with subprocess.Popen([CTL, "-H", "quiet", "clear"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environment(box)) as run:
        try:
            assert run.stderr and asked.wait(20)
            if how == "cut":
                relay.cut()
            else:
                run.send_signal(signal.SIGINT)
            assert run.wait(20) == status
            assert run.stderr.read().splitlines()[-1] == f"wpcachectl: {words}"
        finally:
            run.kill()
    told.set()
    relay.close()


def test_no_way_there(box, server):
    box.reach_by(1)
    done = ctl(box, "clear")
    assert (done.returncode, done.stdout) == (5, "")
    refused, words = done.stderr.splitlines()
    assert "Connection refused" in refused and words.startswith("wpcachectl: no answer from box by ssh")
    box.reach_by(server.port)
    server._keygen("stranger")
    done = ctl(box, "clear", host="stranger")
    denied, words = done.stderr.splitlines()
    assert done.returncode == 5 and "Permission denied" in denied
    assert words == ("wpcachectl: no answer from stranger by ssh; if it was reached, wpcachectl -H stranger history "
                     "tells")


def test_killed_over_there(box, peer):
    """ssh says 255 for that, too, and the clear had begun."""
    told = threading.Event()
    p = peer(hold(told, progress("images", "Removing x")))
    with start(box, "--socket", str(p.path), "clear") as run:
        assert run.stdout and run.stderr and run.stdout.readline()
        found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()
                 and b"--greet" in (cmdline := _cmdline(entry)) and f"--socket={p.path}".encode() in cmdline
                 and cmdline.startswith(b"wpcachectl\0")]
        [there] = found
        os.kill(there, signal.SIGKILL)
        assert run.wait(20) == 1 and "lost box during the clear" in run.stderr.read()
    told.set()


def _cmdline(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""


def test_no_wpcachectl_over_there(box, server):
    server.authorize("bare", build=None)
    done = ctl(box, "status", host="bare")
    assert done.returncode == 5
    assert done.stderr.splitlines()[-1] == ("wpcachectl: bare cannot run wpcachectl; is it installed there, and in "
                                            "PATH?")


def test_no_ssh(box, short_path):
    done = ctl(box, "status", PATH=str(short_path))
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "wpcachectl: cannot run ssh: No such file or directory; apt-get install openssh-client\n"


def test_reader_goes_away(box, peer):
    """A clear goes on to its end, and its status is what counts; a watch ends on both sides."""
    ended = threading.Event()

    def clear(conn: socket.socket, _: object) -> None:
        for i in range(50):
            conn.sendall(frame(progress("images", f"Removing {i}")))
            time.sleep(0.01)
        conn.sendall(frame(final(outcome="notFresh", fresh=False, remaining=LEFT)))

    def events(conn: socket.socket, _: object) -> None:
        try:
            while True:
                conn.sendall(frame({"parameters": {"event": "engine", "message": "ok"}, "continues": True}))
                time.sleep(0.01)
        except OSError:
            ended.set()

    for script, verb, expected in ((clear, "clear", ["INFO: Removing 0", "3"]), (events, "watch", None)):
        p = peer(script)
        done = subprocess.run(f"'{CTL}' -H box --socket '{p.path}' {verb} | head -n 1; echo ${{PIPESTATUS[0]}}",
                              shell=True, executable="/bin/bash", stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=30, env=environment(box))
        assert expected is None or done.stdout.splitlines() == expected, done
    assert done.stdout.splitlines()[-1] == "0" and ended.wait(20)


def test_an_idle_watch_ends_with_its_connection(box, peer):
    """Nobody is left over there, though no event comes."""
    gone = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame({"parameters": {"event": "engine", "message": "ok"}, "continues": True}))
        conn.settimeout(30)
        if conn.recv(1) == b"":
            gone.set()

    with start(box, "--socket", str(peer(script).path), "watch") as run:
        assert run.stdout and run.stdout.readline()
        run.terminate()
        assert run.wait(30) == 128 + signal.SIGTERM
    assert gone.wait(25)


def test_slow_reader_gets_all(box, peer):
    """stdout and stderr one pipe, which ssh makes non-blocking."""
    many = [{"name": f"watchparty-{i}:latest" + "x" * 200, "imageId": "x"} for i in range(5000)]
    p = peer(final(names=many))
    done = subprocess.run(f"'{CTL}' -H box --socket '{p.path}' clear --json=short 2>&1 | (sleep 2; wc -c)", shell=True,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, env=environment(box))
    beside = varlink_peer.ctl(p, "clear", "--json=short")
    assert int(done.stdout) == len(beside.stdout) > 1_000_000


def test_full_disk(box, peer):
    p = peer({"parameters": {"status": STATUS}})
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "-H", "box", "--socket", p.path], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=20, env=environment(box))
    assert done.returncode == 1 and "did not take all" in done.stderr


def test_what_ssh_config_says(box, peer):
    """A host's own RemoteCommand, forwardings and terminal do not get in the way."""
    p = peer({"parameters": {"status": STATUS}})
    box.reach_by(box.port, "Host box\nRemoteCommand false\nRequestTTY force\nForwardX11 yes\nForwardAgent yes\n"
                           f"LocalForward 127.0.0.1:{box.port} 127.0.0.1:1\nExitOnForwardFailure yes\n")
    done = ctl(box, "--socket", str(p.path), "status")
    assert done.returncode == 0 and done.stderr == "" and "\r" not in done.stdout, done


@pytest.mark.parametrize("host", ["", "-oProxyCommand=touch {}", "-v", "@box", "root@", "root@-v", "a b", "a\nb"])
def test_host_is_no_option(box, short_path, host):
    ran = short_path / "ran"
    done = ctl(box, "status", host=host.format(ran))
    assert done.returncode == 2 and done.stderr.startswith("wpcachectl: -H '") and done.stderr.count("\n") == 1
    assert not ran.exists()


@pytest.mark.parametrize("args, words", [
    (["inhibit", "--why", "x", "--", "true"], "ssh box wpcachectl inhibit --why TEXT -- COMMAND"),
    (["ssh-gate", "status"], "authorized_keys"), (["claer"], "did you mean 'clear'?"),
    (["--keep-mounts", "status"], "belongs to"), (["--host"], "wants an argument")])
def test_usage_is_found_here(box, args, words):
    box.reach_by(1)
    done = ctl(box, *args)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("\n") == 1


# A key that can do one thing

def test_forced_command(box, server, peer):
    """restrict,command="wpcachectl clear --target all": whatever is asked for."""
    p = peer(progress("images", "Removing x"), final())
    server.authorize("ci", f'restrict,command="wpcachectl --socket {p.path} clear --target all"')
    asked = ("true", "rm -rf /", "wpcachectl status", "$(touch /x)", "")
    for words in asked:
        done = ssh(box, "ci", *filter(None, [words]))
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.splitlines()[0] == "INFO: Removing x"
        assert done.stdout.splitlines()[-1] == "SUCCESS: Docker build cache cleared"
    assert ctl(box, "clear", host="ci").stdout == done.stdout
    assert len(p.calls) == len(asked) + 1 and all(call["parameters"] == {
        "target": "all", "command": f"wpcachectl --socket {p.path} clear --target all"} for call in p.calls)
    p = peer(final(outcome="notFresh", fresh=False, remaining=LEFT))
    assert ssh(box, "ci", "true").returncode == 3 and ctl(box, "clear", host="ci").returncode == 3
    # and it gets neither a terminal nor a tunnel
    done = subprocess.run(["ssh", "-tt", "-L", "127.0.0.1:1:127.0.0.1:1", "-o", "ExitOnForwardFailure=no", "ci"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, env=environment(box))
    assert "PTY allocation request failed" in done.stderr and "\r" not in done.stdout


@pytest.fixture
def gate(box: Sshd, peer: Any) -> Any:
    p = peer(final())
    box.authorize("gate", f'restrict,command="wpcachectl --socket {p.path} ssh-gate status clear"')
    return p


@pytest.mark.parametrize("request_, command", [
    ("wpcachectl clear --target all", "wpcachectl clear --target all"), ("clear", "wpcachectl clear"),
    ("  clear   all ", "wpcachectl clear all"), ("clear '--target=all'", "wpcachectl clear --target=all"),
    ("--quiet clear", "wpcachectl --quiet clear"), ("clear -- all", "wpcachectl clear -- all")])
def test_gate_allows(box, gate, request_, command):
    done = ssh(box, "gate", request_)
    assert done.returncode == 0 and done.stderr == "", done
    assert [call["parameters"] for call in gate.calls] == [{"target": "all", "command": f"ssh-gate: {command}"}]


def test_gate_with_host(box, gate, peer):
    """-H through the gate is as without; its way of asking is understood."""
    done = ctl(box, "clear", "--target", "all", "--wait", "1h 30min", host="gate")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith("SUCCESS: Docker build cache cleared\n")
    assert gate.calls[0]["parameters"] == {
        "target": "all", "waitSec": 5400, "command": "ssh-gate: wpcachectl clear --target=all --wait=1h 30min"}
    p = peer({"parameters": {"status": STATUS}})
    assert ctl(box, host="gate").returncode == 0 and len(p.calls) == 1
    assert (done := ctl(box, "plan", host="gate")).returncode == 4
    assert done.stderr == "wpcachectl: ssh-gate: 'plan' is not allowed; what is: status, clear\n"
    assert (done := ctl(box, "--socket", "/x", "status", host="gate")).returncode == 4
    assert done.stderr == "wpcachectl: ssh-gate: --socket is not allowed\n"


@pytest.mark.parametrize("request_, words", [
    ("rollback", "'rollback' is not allowed; what is: status, clear"), ("rm -rf /", "'rm' is not allowed"),
    ("wpcachectl rollback", "'rollback'"), ("wpcachectl wpcachectl clear", "'wpcachectl'"), ("help", "'help'"),
    ("inhibit --why x -- touch {0}", "'inhibit'"), ("ssh-gate rollback", "'ssh-gate'"), ("/usr/bin/wpcachectl clear", ""),
    ("sh -c 'touch {0}'", "'sh'"), ("clear --socket /x", "--socket is not allowed"), ("clear --sock=/x", "--socket"),
    ("clear -H elsewhere", "--host is not allowed"), ("clear -Helsewhere", "--host"), ("--ho=elsewhere clear", "--host"),
    ("clear; touch {0}", "';'"), ("clear\ntouch {0}", "0x0a"), ("clear $(touch {0})", "'$'"), ("clear `touch {0}`", "'`'"),
    ("clear | touch {0}", "'|'"), ("clear & touch {0}", "'&'"), ("clear > {0}", "'>'"), ('clear "all"', "'\"'"),
    ("clear $HOME", "'$'"), ("clear \\all", "'\\'"), ("clear 'all", "not closed"), ("clear '\n'", "0x0a"),
    ("clear *", "'*'"), ("clear ~", "'~'"), ("clear #", "'#'"), ("clear {{a,b}}", "'{'"), ("clear é", "0xc3"),
    ("clear '\x1b'", "0x1b"), ("''", "'' is not allowed"), ("   ", None), ("clear " + "x" * 5000, "longer than 4096"),
    ("-- rollback", "'rollback'"), ("'clear '", "'clear '"), ("CLEAR", "'CLEAR'")])
def test_gate_refuses(box, gate, short_path, request_, words):
    ran = short_path / "ran"
    done = ssh(box, "gate", request_.format(ran))
    if words is None:  # blanks only: the default verb
        assert len(gate.calls) == 1
        return
    assert done.returncode == 4 and words in done.stderr, done
    assert done.stderr.startswith("wpcachectl: ssh-gate: ") and done.stderr.count("\n") == 1
    assert done.stdout == "" and gate.calls == [] and not ran.exists()


def test_gate_without_a_request(box, gate):
    done = ssh(box, "gate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "wpcachectl: ssh-gate: nothing was asked for; what is allowed: status, clear\n"
    assert gate.calls == []


@pytest.mark.parametrize("args, words", [
    ([], "ssh-gate wants the verbs"), (["claer"], "did you mean 'clear'?"), (["inhibit"], "'inhibit' cannot be allowed"),
    (["status", "ssh-gate"], "'ssh-gate' cannot be allowed"), (["status", "--json"], "unknown verb '--json'")])
def test_gate_that_is_wrong(peer, args, words):
    """Refuses whatever is asked for."""
    p = peer(final())
    done = varlink_peer.ctl(p, "ssh-gate", *args, env={"SSH_ORIGINAL_COMMAND": "clear"})
    assert done.returncode == 2 and words in done.stderr and p.calls == []
