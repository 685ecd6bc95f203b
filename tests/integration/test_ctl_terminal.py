"""wpcachectl in pipes and on terminals: progress, colour, control characters, signals."""
from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from typing import Any

import pytest

import varlink_peer
from varlink_peer import (CACHE, CACHES, CTL, HISTORY, LEFT, PLAN, POLICY_RUN, STATUS, VOLUMES, Terminal, ctl, final,
                          frame, progress, receipt)

peer = varlink_peer.peer  # the fixture


def test_heartbeat_in_a_pipe(peer):
    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("builder", "Clearing Docker build cache", engineReportedBytes=1_200_000)))
        time.sleep(31)
        conn.sendall(frame(final()))

    lines = ctl(peer(script), "clear").stdout.splitlines()
    assert lines[:2] == ["INFO: Clearing Docker build cache",
                         "INFO: Clearing Docker build cache (30s so far, 1.2MB)"]
    assert lines[2].startswith("Total reclaimed")


def test_lines_come_at_once_in_a_pipe(peer):
    told = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("images", "Removing x")))
        assert told.wait(20)
        conn.sendall(frame(final()))

    p = peer(script)
    with subprocess.Popen([CTL, "--socket", p.path, "clear"], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout and run.stdout.readline() == "INFO: Removing x\n"
        told.set()
        assert run.wait(30) == 0 or run.stdout.read()


def test_live_line(peer):
    told = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("images", "Removing " + "é" * 100, elapsedSec=90, engineReportedBytes=5000)))
        assert told.wait(20)
        conn.sendall(frame(final()))

    terminal = Terminal(peer(script), "clear")
    terminal.read_until(b"1min 32s  Removing ")
    told.set()
    assert terminal.wait() == 0
    live = re.findall(r"\r(\d[^\r]*?)\x1b\[K", terminal.output.decode())
    assert len(live) >= 3 and {len(line) for line in live} == {59}
    assert terminal.screen[0] == "INFO: Removing " + "é" * 100
    assert terminal.screen[1:3] == ["INFO: Clearing Docker build cache",
                                    "Total reclaimed space: 2.5GB so far (engine reported 3.1GB)"]
    assert terminal.screen[-2:] == ["SUCCESS: Docker build cache cleared", ""]
    assert b"\x1b[32mSUCCESS:\x1b[0m" in terminal.output


@pytest.mark.parametrize("env, args, colour", [
    ({}, (), True), ({"NO_COLOR": "1"}, (), False), ({"NO_COLOR": ""}, (), True), ({"TERM": "dumb"}, (), False),
    ({}, ("--color=never",), False), ({"NO_COLOR": "1"}, ("--color=always",), True)])
def test_colour(peer, env, args, colour):
    terminal = Terminal(peer({"parameters": {"status": STATUS}}), *args, **env)
    assert terminal.wait() == 0
    assert (b"\x1b[" in terminal.output) == colour


def test_dumb_terminal_gets_lines(peer):
    terminal = Terminal(peer(progress("images", "Removing x"), final()), "clear", TERM="dumb")
    assert terminal.wait() == 0
    assert b"\x1b" not in terminal.output and terminal.screen[0] == "INFO: Removing x"


def test_no_colour_in_a_pipe(peer):
    assert "\x1b" not in ctl(peer({"parameters": {"status": STATUS}})).stdout
    assert "\x1b[33m" in ctl(peer({"parameters": {"status": STATUS}}), "--color=always").stdout


KEPT = ("outcome", "target", "state")
EVIL = "a\x1b]0;title\x07b\rc\nSUCCESS: Docker build cache cleared\x9b2J\x7f\u202e\u2066\u200f\u061c\u2028"


def test_control_characters(peer):
    def replace(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: item if key in KEPT else replace(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item) for item in value]
        return EVIL if isinstance(value, str) else value

    evil = replace(receipt(outcome="notFresh", fresh=False, remaining=LEFT, keptMounts=["x"], caches=CACHES,
                           notReached=VOLUMES, appBytes=1))
    apps = {**evil, "target": "apps", "outcome": "notCleared"}
    plan = replace({"target": "all", "names": evil["names"], "untagged": ["x"], "caches": CACHES, "remaining": LEFT,
                    "notReached": VOLUMES, "notes": ["x"], "apps": [
                        STATUS["apps"][0], {**STATUS["apps"][0], "caches": 0},
                        {**STATUS["apps"][0], "state": EVIL, "reason": "x"}]})
    status_ = {**STATUS, "notReached": VOLUMES, "apps": [*plan["apps"], {**STATUS["apps"][0], "reason": "x"}]}
    cases = [
        (("clear",), [progress("images", EVIL), {"parameters": {"receipt": evil}}], 3),
        (("clear", "apps"), [progress("apps", EVIL), {"parameters": {"receipt": apps}}], 3),
        (("clear",), [{"error": f"{CACHE}.JobFailed", "parameters": {"reason": EVIL, "receipt": evil}}], 1),
        (("clear", "--dry-run"), [{"parameters": {"plan": plan}}], 0),
        (("plan", "all"), [{"parameters": {"plan": plan}}], 0),
        (("plan", "all", "--json"), [{"parameters": {"plan": plan}}], 0),
        (("status",), [{"parameters": {"status": replace(status_)}}], 0),
        (("clear",), [{"error": f"{CACHE}.Busy", "parameters": {"reason": EVIL}}], 7),
        (("clear", "--json"), [{"error": f"{CACHE}.Busy", "parameters": {"reason": EVIL}}], 7),
        (("clear", "--json"), [{"parameters": {"receipt": evil}}], 3),
        (("status",), [{"parameters": {"status": replace(STATUS)}}], 0),
        (("status",), [{"parameters": {}, EVIL: 1}], 1),
        (("rollback",), [{"parameters": replace({"receipt": "r", "restored": LEFT, "skipped": LEFT})}], 1),
        (("reload",), [{"parameters": {"restartNeeded": [EVIL]}}], 0),
        (("watch",), [{"parameters": replace({"event": "status", "status": STATUS, "message": "x"})}], 0),
        (("version",), [{"parameters": {"version": EVIL}}], 0),
        (("plan",), [{"parameters": {"policy": replace(PLAN)}}], 0),
        (("explain", "x"), [{"parameters": {"verdict": replace(PLAN["images"][0])}}], 0),
        (("history",), [{"parameters": replace(HISTORY)}], 0),
        (("history", "x"), [{"parameters": {"policyRun": replace(POLICY_RUN)}}], 0),
        (("history", "x"), [{"parameters": {"receipt": evil}}], 0),
        (("metrics",), [{"parameters": {"text": "# HELP x {}\nx 1\n".format(EVIL.replace("\n", ""))}}], 0),
        (("watch",), [{"parameters": replace({"event": "policy", "policyRun": POLICY_RUN})}], 0)]
    for arguments, replies, status in cases:
        done = ctl(peer(*replies), *arguments)
        assert done.returncode == status, (arguments, done)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout + done.stderr), (arguments, done)
        assert not re.search("[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", done.stdout + done.stderr), arguments
        assert "\nSUCCESS" not in done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(peer, number):
    told = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("images", "Removing x")))
        told.wait(20)

    p = peer(script)
    with subprocess.Popen([CTL, "--socket", p.path, "clear"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as run:
        assert run.stdout and run.stderr and run.stdout.readline()
        run.send_signal(number)
        assert run.wait(30) == 128 + number
        told.set()
        assert run.stderr.read() == ("wpcachectl: interrupted, but the clear goes on in wpcached; wpcachectl watch "
                                     "shows how, wpcachectl status how it ended\n")


def test_ctrl_c(peer):
    told = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame(progress("images", "Removing x")))
        told.wait(20)

    terminal = Terminal(peer(script), "clear")
    terminal.read_until(b"0s  Removing x")
    os.write(terminal.fd, b"\x03")
    assert terminal.wait() == 130
    told.set()
    assert terminal.screen[-2].startswith("wpcachectl: interrupted, but the clear goes on in wpcached")


def test_reader_goes_away(peer):
    def events(conn: socket.socket, _: object) -> None:
        while True:
            conn.sendall(frame({"parameters": {"event": "engine", "message": "ok"}, "continues": True}))
            time.sleep(0.01)

    p = peer(events)
    done = subprocess.run(f"'{CTL}' --socket '{p.path}' watch | head -n 2; echo ${{PIPESTATUS[0]}}", shell=True,
                          executable="/bin/bash", capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines()[-1] == "0" and done.stderr == ""
    # a clear goes on to the end: its exit status is what counts
    late = threading.Event()

    def clear(conn: socket.socket, _: object) -> None:
        for i in range(50):
            conn.sendall(frame(progress("images", f"Removing {i}")))
            time.sleep(0.01)
        late.set()
        conn.sendall(frame(final(outcome="notFresh", fresh=False, remaining=LEFT)))

    p = peer(clear)
    done = subprocess.run(f"'{CTL}' --socket '{p.path}' clear | head -n 1; echo ${{PIPESTATUS[0]}}", shell=True,
                          executable="/bin/bash", capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines() == ["INFO: Removing 0", "3"] and late.is_set()


def test_full_disk(peer):
    p = peer({"parameters": {"status": STATUS}})
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CTL, "--socket", p.path], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20)
    assert done.returncode == 1 and "did not take all" in done.stderr


def test_graph(peer):
    """Fits the terminal, in blocks where those can be shown, and is left out in a pipe."""
    p = peer({"parameters": HISTORY})
    for env, full, edge in (({"LC_ALL": "C.UTF-8"}, "█", "┤"), ({"LC_ALL": "C", "LANG": "C.UTF-8"}, "#", "|")):
        terminal = Terminal(p, "history", TZ="UTC", **env)
        assert terminal.wait() == 0
        graph = terminal.screen[terminal.screen.index("") + 1:-1]
        assert len(graph) == 5 and all(len(line) <= 59 for line in graph)
        builder = [line.partition(edge)[2] for line in graph[:3]]
        assert [line.partition(edge)[0].strip() for line in graph[:4]] == ["Build cache      10GB", "", "0B",
                                                                          "Disk used      30GB"]
        assert {len(line) for line in builder} == {36}
        # it rises from the bottom at the left to the top at the right
        assert builder[2][0] not in (" ", full) and builder[0][0] == builder[1][0] == " "
        assert builder[0][-1] == builder[1][-1] == builder[2][-1] == full
        assert len(set(graph[3].partition(edge)[2])) == 1, "nothing happened there"
        assert graph[4].split() == ["1970-01-01", "00:00", "1970-01-01", "01:40"]
    assert "Disk used" not in ctl(p, "history").stdout


def test_graph_tells_no_more_than_was_seen(peer):
    """Hours without a daemon stay empty."""
    seen = [sample for sample in HISTORY["samples"] if not 1200 < sample["at"] < 4800]
    terminal = Terminal(peer({"parameters": {"runs": [], "samples": seen}}), "history", TZ="UTC", LC_ALL="C")
    assert terminal.wait() == 0
    assert terminal.screen[0] == "Nothing was done in this time"
    bottom = next(line for line in terminal.screen if line.lstrip().startswith("0B")).partition("|")[2]
    assert re.fullmatch(r"[^ ]{6,9} {18,24}[^ ]{6,9}", bottom), bottom
    few = Terminal(peer({"parameters": {"runs": [], "samples": seen[:1]}}), "history")
    assert few.wait() == 0 and few.screen == ["Nothing was done in this time", ""]


def test_keys_reach_the_command_once(peer, short_path):
    """Ctrl-C goes to the whole process group: it may not be passed on as well."""
    held = threading.Event()

    def script(conn: socket.socket, _: object) -> None:
        conn.sendall(frame({"parameters": {"token": "t" * 16}, "continues": True}))
        held.wait(20)

    count = short_path / "count"
    command = f"trap 'echo x >>{count}' INT; echo ready; i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i+1)); done; exit 7"
    terminal = Terminal(peer(script), "inhibit", "--why", "test", "--", "/bin/sh", "-c", command)
    terminal.read_until(b"ready")
    os.write(terminal.fd, b"\x03")
    assert terminal.wait() == 7
    held.set()
    assert count.read_text() == "x\n"
