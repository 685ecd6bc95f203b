"""The verbs of policy, against a scripted Varlink peer: status, plan, explain, history, metrics, inhibit."""
from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import varlink_peer
from varlink_peer import CACHE, CACHES, CTL, HISTORY, PLAN, POLICY_RUN, STATUS, VOLUMES, Peer, ctl, frame, receipt

peer = varlink_peer.peer  # the fixture

ALARMS = [{"kind": "diskPressure", "since": 1, "message": "the disk is full", "remedy": "docker rm web"},
          {"kind": "recordInUse", "since": 1, "message": "a record is stuck"}]


def status(**changes: Any) -> dict[str, Any]:
    return {"parameters": {"status": {**STATUS, **changes}}}


# status

def test_alarms_come_first(peer):
    p = peer(status(alarms=ALARMS))
    done = ctl(p)
    assert done.returncode == 8 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"ALARM: the disk is full \(since .* ago\)", lines[0])
    assert lines[1] == "       end it: docker rm web"
    assert lines[2].startswith("ALARM: a record is stuck") and "end it" not in lines[3]
    assert lines[3].startswith("wpcached 0.0.1: 2 alarms, started")
    assert "\x1b[1;31mALARM: the disk is full\x1b[0m" in ctl(p, "--color=always").stdout
    done = ctl(p, "--json")
    assert done.returncode == 8 and json.loads(done.stdout)["alarms"] == ALARMS and done.stderr == ""
    done = ctl(p, "-q")
    assert (done.returncode, done.stdout) == (8, "") and done.stderr == "wpcachectl: alarm: the disk is full\n"


def disk(**changes: Any) -> list[dict[str, Any]]:
    return [{**STATUS["disks"][0], **changes}]


@pytest.mark.parametrize("changes, words", [
    ({"disks": disk(fullInSec=9 * 86400 + 4000)}, "   Forecast: full in about 9 days at this rate"),
    ({"disks": disk(fullInSec=3 * 3600)}, "   Forecast: full in about 3 hours at this rate"),
    ({"disks": disk(fullInSec=0)}, "   Forecast: full in about 0 minutes at this rate"),
    ({"disks": disk(freeInodes=20)}, "     Inodes: [####################] 98% used, 20 of 1000 free at /var/lib/docker"),
    ({"disks": disk(pressure=True, freeBytes=4_000_000_000)},
     "       Disk: [##################--] 90% used, 4GB of 40GB free at /var/lib/docker, under pressure (min_free is 6GB)"),
    ({"disks": disk() + disk(path="/srv")}, "       Disk: [###############-----] 75% used, 10GB of 40GB free at /srv"),
    ({"builder": {**STATUS["builder"], "privateBytes": 7_000_000_000}},
     "Build cache: [####################] 7GB, 140% of its limit of 5GB, in 312 records, 2 in use"),
    ({"builder": {"records": 1, "inUse": 0, "bytes": 4_000_000_000, "privateBytes": 4_000_000_000}},
     "Build cache: [##------------------] 4GB, in 1 record"),
    ({"policy": PLAN["policy"]},
     r"     Policy: held: new host, policy only observes until 2096-10-02 07:06 \(in \d+d \d+h\)"),
    ({"policy": {**STATUS["policy"], "hold": "observe"}}, "     Policy: held: mode=observe, policy only observes"),
    ({"policy": {**STATUS["policy"], "hold": "quiet", "holdUntil": 1}},
     "     Policy: held: something has just changed, policy waits for quiet until 1970-01-01 00:00 (now)"),
    ({"policy": {**STATUS["policy"], "hold": "ofTomorrow"}}, "     Policy: held: ofTomorrow"),
    ({"policy": {**STATUS["policy"], "lastRun": HISTORY["runs"][1]}},
     r"Last policy: done, \d+d \d+h ago, 1234 removed, 1kB freed \(run r1\)"),
    ({"inhibitors": [{"why": "deploy", "who": {"uid": 7, "pid": 42}, "since": 1, "until": 2},
                     {"why": "backup", "who": {"uid": 0, "pid": 43, "user": "root"}, "since": 1, "until": 2}]},
     r"  Inhibitor: 'backup' of root \(pid 43\), taken \d+d \d+h ago, ends now at the latest"),
    ({"queued": 0, "job": {"id": "j", "kind": "sweep", "startedAt": 1, "step": "apps", "message": "Removing y"}},
     r"        Job: sweep of left-over caches: Removing y, started .* ago")])
def test_status_lines(peer, changes, words):
    done = ctl(peer(status(**changes)))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert words in lines or any(re.fullmatch(words, line) for line in lines), done.stdout


def test_no_application_configured(peer):
    """A clear that leaves .next where a build copies it from must not look whole."""
    line = next(line for line in ctl(peer(status(apps=[]))).stdout.splitlines() if line.startswith("        App: "))
    assert "none configured" in line and ".next" in line and "[app NAME]" in line
    assert "none configured" not in ctl(peer(status())).stdout


def test_notes(peer):
    notes = ["[images] protect: no image now is matched by 'keep-*'", "[images] base: \u202ex"]
    shown = [line for line in ctl(peer(status(notes=notes))).stdout.splitlines() if line.startswith("       Note: ")]
    assert shown == [f"       Note: {notes[0]}", "       Note: [images] base: ?x"]


APP = STATUS["apps"][0]
BACKEND = "/srv/wp/backend"
NO_FIGURES = {"searchedAt": None, "caches": None, "reached": None, "bytes": None}


@pytest.mark.parametrize("app, words", [
    ({}, r" at /srv/wp/backend, 3 caches, 1.2GB, 2 can reach an image, searched \d+d \d+h ago"),
    ({"caches": 0, "reached": 0, "bytes": 0}, r" at /srv/wp/backend, 0 caches, searched \d+d \d+h ago"),
    ({"caches": 1, "reached": 1, "bytes": None},
     r" at /srv/wp/backend, 1 cache, 1 can reach an image, searched .* ago"),
    ({**NO_FIGURES, "state": "unknown"}, " at /srv/wp/backend, not looked at yet"),
    (NO_FIGURES, " at /srv/wp/backend, not searched yet"),
    ({**NO_FIGURES, "state": "missing", "reason": f"{BACKEND} does not exist"}, ": /srv/wp/backend does not exist"),
    ({**NO_FIGURES, "state": "empty", "reason": f"{BACKEND} is empty"}, ": /srv/wp/backend is empty"),
    ({**NO_FIGURES, "state": "refused", "reason": f"{BACKEND} has no project in it"},
     ": /srv/wp/backend has no project in it"),
    ({**NO_FIGURES, "state": "readOnly", "reason": f"{BACKEND} is mounted read-only"},
     ": /srv/wp/backend is mounted read-only"),
    ({"state": "notWritable", "reason": f"{BACKEND} is not wpcached's to write"},
     r": /srv/wp/backend is not wpcached's to write, 3 caches, 1.2GB, 2 can reach an image, searched .* ago"),
    ({**NO_FIGURES, "state": "notWritable", "reason": f"{BACKEND} is not wpcached's to write"},
     ": /srv/wp/backend is not wpcached's to write, not searched yet"),
    # where it is not told, or in other words
    ({**NO_FIGURES, "state": "missing"}, ": /srv/wp/backend is missing"),
    ({**NO_FIGURES, "state": "unreadable", "reason": "Permission denied"},
     ": /srv/wp/backend is unreadable: Permission denied"),
    ({"state": "readOnly"}, r": /srv/wp/backend is read-only, 3 caches, .*, searched .* ago"),
    ({"state": "unreadable", "caches": None}, r": /srv/wp/backend is unreadable, searched .* ago"),
    ({"state": "notWritable"}, r": /srv/wp/backend is not writable, 3 caches, .*"),
    ({"state": "ofTomorrow"}, r": /srv/wp/backend is ofTomorrow, 3 caches, .*")])
def test_status_of_an_application(peer, app, words):
    """One whose caches can't be cleared is seen at once and never looks clean, but is no alarm."""
    p = peer(status(apps=[APP, {**APP, "name": "backend", "root": BACKEND, **app}]))
    done = ctl(p)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line for line in done.stdout.splitlines() if line.startswith("        App: ")]
    assert len(shown) == 2 and shown[0].startswith("        App: frontend at /srv/wp/frontend, 3 caches, ")
    assert re.fullmatch("        App: backend" + words, shown[1]), shown[1]
    failed = app.get("state", "unknown") != "unknown"
    assert done.stdout.startswith(f"wpcached 0.0.1: {'the caches of 1 application can' if failed else 'ok, '}")
    colours = ctl(p, "--color=always").stdout
    assert bool(re.search("backend: \x1b\\[33m/srv/wp/backend [^,]*\x1b\\[0m", colours)) == failed
    assert ctl(p, "-q").returncode == 0
    assert "end it: " not in done.stdout
    done = ctl(peer(status(apps=[{**APP, **app, "remedy": "mount /srv"}])))
    assert "\n     end it: mount /srv\n" in done.stdout
    done = ctl(peer(status(apps=[{**APP, **app}], alarms=ALARMS)))
    assert done.returncode == 8 and "\nwpcached 0.0.1: 2 alarms" in done.stdout


def test_status_of_volumes(peer):
    assert ("Not reached: what lies in volumes: wp_static (container web, /app/staticfiles), x (container y, /z)\n"
            in ctl(peer(status(notReached=[*VOLUMES, {"volume": "x", "container": "y", "destination": "/z"}]))).stdout)
    assert "Not reached" not in ctl(peer(status(notReached=[]))).stdout


# plan, explain

def test_plan(peer):
    p = peer({"parameters": {"policy": PLAN}})
    done = ctl(p, "plan")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"Held: new host, policy only observes until 2096-10-02 07:06 \(in .*\)", lines[0])
    assert lines[1:] == [
        "Then: prune the build cache from 12GB to 8GB and remove 1 image (1.2GB)",
        "Disk under pressure: /var/lib/docker, 5GB of 40GB and 500 of 1000 inodes free, min_free is 6GB",
        "",
        "Build cache: 312 records, 12GB not shared with images, limit 10GB",
        "  goes what was used least, down to 8GB",
        "  24 records of 4.1GB, by BuildKit's choice; the first should be:",
        *(f"         1MB  record{i}" for i in range(5)),
        "",
        "Images that go: 1 image, 1.2GB",
        "       1.2GB  web:1 goes: it is 40d old.",
        "",
        "Images that stay:",
        "  In use: 1 image, 1.1GB",
        "       1.1GB  web:2 stays: container web (running) uses it.",
        "  The newest of their repository: 1 image, 1.3GB",
        "       1.3GB  web:3 stays: it is the newest.",
        "  Untagged, and not known to be the application's: 1 image, 1kB (sha256:" + "d" * 12 + ")",
        "  Not of [images] match: 7 images, 700MB (other:0, other:1, other:2, other:3, other:4, …)",
        "  For other reasons: 1 image, 1B",
        "          1B  web:9 stays: it may."]
    assert p.calls == [{"method": f"{CACHE}.GetPlan"}] or p.calls[0]["parameters"] == {}
    assert json.loads(ctl(p, "plan", "--json").stdout) == {"policy": PLAN}
    assert ctl(p, "plan", "-q").stdout == ""


@pytest.mark.parametrize("changes, first", [
    ({"hold": None}, "Due at the next look: prune"), ({"hold": "building", "holdUntil": None}, "Held: a build is"),
    ({"hold": "observe", "holdUntil": None}, "Held: mode=observe, policy only observes\n")])
def test_plan_says_first_if_it_will_be_done(peer, changes, first):
    done = ctl(peer({"parameters": {"policy": {**PLAN, "policy": {**PLAN["policy"], **changes}}}}), "plan")
    assert done.stdout.startswith(first)


def test_plan_with_nothing_to_do(peer):
    plan = {"policy": {**STATUS["policy"], "images": 0, "next": "nothing"}, "images": [], "disks": [],
            "builder": {"records": 0, "privateBytes": 0, "rule": "recordNoNeed", "goes": 0, "goesBytes": 0,
                        "first": []}}
    done = ctl(peer({"parameters": {"policy": plan}}), "plan")
    assert done.stdout == "Nothing to do\n\nBuild cache: 0 records, 0B not shared with images, no limit\n"
    plan["policy"]["hold"] = "inhibited"
    done = ctl(peer({"parameters": {"policy": plan}}), "plan")
    assert done.stdout.startswith("Nothing to do (held: an inhibitor is held)\n")


def test_plan_of_a_clear(peer):
    plan = {"target": "all", "names": [], "rollbackTags": [], "untagged": [], "records": 3, "recordBytes": 1200,
            "remaining": [], "assumes": [], "notes": []}
    p = peer({"parameters": {"plan": plan}})
    for arguments in (("plan", "all"), ("plan", "--target", "all"), ("--target=all", "plan", "all")):
        done = ctl(p, *arguments)
        assert done.returncode == 0 and done.stdout.startswith("Clearing 'all' would:\n"), arguments
        assert p.calls[-1] == {"method": f"{CACHE}.GetPlan", "parameters": {"target": "all"}}
    ctl(p, "plan", "all", "--keep-mounts")
    assert p.calls[-1]["parameters"] == {"target": "all", "keepMounts": True}
    ctl(p, "plan", "all", "--include-mounted")
    assert p.calls[-1]["parameters"] == {"target": "all", "includeMounted": True}
    assert json.loads(ctl(p, "plan", "all", "--json").stdout) == {"plan": plan}
    assert ctl(p, "plan", "docker").returncode == 1, "the answer to another question"
    assert ctl(p, "plan").returncode == 1


EMPTY_PLAN = {"names": [], "rollbackTags": [], "untagged": [], "records": 0, "recordBytes": 0, "remaining": [],
              "assumes": [], "notes": []}


def test_plan_of_applications(peer):
    missing = {**APP, "name": "api", "root": "/srv/wp/api", "state": "missing", "reason": "/srv/wp/api does not exist",
               "caches": None}
    plan = {**EMPTY_PLAN, "target": "apps", "caches": CACHES, "notReached": VOLUMES,
            "apps": [APP, {**APP, "name": "admin", "root": "/srv/wp/admin", "caches": 0}, missing,
                     {**missing, "name": "web", "root": "/srv/wp/web", "state": "unreadable",
                      "reason": "Input/output error"},
                     {**missing, "name": "backend"}],
            "remaining": [{"kind": "app", "object": "backend", "reason": "its root is missing"},
                          {"kind": "cache", "object": ".x", "reason": "container web has it mounted", "remedy": "R"}]}
    p = peer({"parameters": {"plan": plan}})
    done = ctl(p, "plan", "apps")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Clearing 'apps' would:",
        "  remove    backend: src/__pycache__ (40kB, outside the build context)",
        "  remove    frontend: .next (800MB, in the build context)",
        "  remove    frontend: .turbo (0B, in the build context)",
        "  remove    frontend: node_modules/.cache (400MB, ignored by .dockerignore)",
        "  in all    4 caches, 1.2GB",
        "  nothing   of admin: no cache below /srv/wp/admin",
        "  leave     api: /srv/wp/api does not exist",
        "  leave     web: /srv/wp/web is unreadable: Input/output error",
        "Left after it, with the commands for then:", "REMAINING: app backend: its root is missing",
        "REMAINING: cache .x: container web has it mounted", "           end it: R",
        "NOT REACHED: volume wp_static (container web, /app/staticfiles): no clear touches volumes"]
    assert json.loads(ctl(p, "plan", "apps", "--json").stdout) == {"plan": plan}
    done = ctl(peer({"parameters": {"plan": {**plan, "target": "all"}}}), "plan", "all")
    assert "Input/output error\n  prune     0 build cache records" in done.stdout


def test_plan_of_many_applications_caches(peer):
    many = [{"app": "api", "path": f"a{i}", "reach": "context", "bytes": 1000} for i in range(100)]
    for n, words in ((99, "  in all    99 caches, 99kB\n"),
                     (100, "  the first 100 caches, 100kB; there may be more\n")):
        done = ctl(peer({"parameters": {"plan": {**EMPTY_PLAN, "target": "api", "caches": many[:n]}}}), "plan", "api")
        assert done.stdout.count("  remove    api: ") == n and done.stdout.endswith(words)


def test_explain(peer):
    p = peer({"parameters": {"verdict": PLAN["images"][0]}})
    done = ctl(p, "explain", "web:1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "web:1 goes: it is 40d old. (rule maxAge)\n", "")
    assert p.calls == [{"method": f"{CACHE}.Explain", "parameters": {"object": "web:1"}}]
    assert json.loads(ctl(p, "explain", "web:1", "--json").stdout) == {"verdict": PLAN["images"][0]}
    done = ctl(peer({"error": f"{CACHE}.UnknownObject", "parameters": {"object": "x", "reason": "there is none"}}),
               "explain", "x")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "wpcachectl: 'x': there is none\n")


# history, metrics

def test_history(peer):
    p = peer({"parameters": HISTORY})
    done = ctl(p, "history")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        "TIME              KIND    TARGET  OUTCOME  REMOVED  FREED  WHO   RUN",
        "1970-01-01 00:01  policy  -       done        1234    1kB  -     r1",
        "1970-01-02 00:00  clear   all     fresh         12  2.5GB  root  r2"]
    assert p.calls[0].get("parameters", {}) == {}
    assert json.loads(ctl(p, "history", "--json").stdout) == HISTORY
    longest = {**HISTORY["runs"][0], "target": "f" * 31, "outcome": "cleared"}
    assert ctl(peer({"parameters": {"runs": [longest, HISTORY["runs"][1]]}}), "history").stdout.splitlines() == [
        "TIME              KIND    TARGET                           OUTCOME  REMOVED  FREED  WHO   RUN",
        "1970-01-01 00:01  policy  -                                done        1234    1kB  -     r1",
        f"1970-01-02 00:00  clear   {'f' * 31}  cleared       12  2.5GB  root  r2"]
    done = ctl(peer({"parameters": {"runs": [], "samples": []}}), "history")
    assert (done.returncode, done.stdout) == (0, "Nothing was done in this time\n")


def test_history_since(peer):
    p = peer({"parameters": HISTORY})
    for since, seconds in (("7d", 7 * 86400), ("24h", 86400), ("90min", 5400)):
        ctl(p, "history", "--since", since)
        assert abs(time.time() - seconds - p.calls[-1]["parameters"]["since"]) < 5
    ctl(p, "history", "--since=2026-03-29")
    assert p.calls[-1]["parameters"] == {"since": 1774742400}
    ctl(p, "history", "--since", "2026-03-30", env={"TZ": "CET-1CEST,M3.5.0,M10.5.0"})
    assert p.calls[-1]["parameters"] == {"since": 1774828800 - 7200}


def test_one_run_in_full(peer):
    p = peer({"parameters": {"policyRun": POLICY_RUN}})
    assert ctl(p, "history", "p1").stdout.splitlines() == [
        "Policy, 1970-01-01 00:00, took 3s: left", "Removed 7 build cache records", "Removed, as announced:",
        "     1.2GB  web:1 goes: it is 40d old.", "Still there:", "     300MB  web:2 goes: it is 41d old.",
        "Total reclaimed space: 4.1GB (planned 5GB, engine reported 4.2GB)"]
    assert p.calls[0]["parameters"] == {"receipt": "p1"}
    done = ctl(peer({"parameters": {"receipt": receipt(
        outcome="notFresh", error="it broke", remaining=varlink_peer.LEFT, who={"uid": 7, "pid": 9, "command": "make"},
        removed=[{"step": "names", "objects": 2, "engineReportedBytes": 0},
                 {"step": "untagged", "objects": 0, "engineReportedBytes": 0}])}}), "history", "r")
    assert done.returncode == 0 and done.stdout.splitlines() == [
        "Clear of all by uid 7 (pid 9), 1970-01-01 00:00, took 1s: notFresh", "ERROR: it broke", "Command: make",
        "Names taken away:", "  watchparty-backend:latest -> sha256:" + "a" * 12, "Removed: 2 names (engine reported 0B)",
        "REMAINING: container web: it holds an image", "           end it: docker rm web",
        "REMAINING: record abc: in use",
        "Total reclaimed space: 2.5GB (engine reported 3.1GB)", "NOTE: builds of blog start cold, too",
        "ASSUMES: no build imports cache from a registry"]
    done = ctl(peer({"parameters": {"receipt": receipt(
        target="frontend", outcome="cleared", fresh=None, appBytes=1_200_000_000, caches=CACHES[:1], notReached=VOLUMES,
        engineReportedBytes=0, diskFreedBytes=7, names=[], notes=[], assumes=[],
        removed=[{"step": "records", "objects": 0, "engineReportedBytes": 0},
                 {"step": "caches", "objects": 1, "engineReportedBytes": 0}])}}), "history", "r")
    assert done.returncode == 0 and done.stdout.splitlines() == [
        "Clear of frontend by uid 0 (pid 1), 1970-01-01 00:00, took 1s: cleared", "Removed: 1 caches",
        "frontend: 1 cache removed, 800MB (1 in the build context)", "       800MB  .next, in the build context",
        "Total reclaimed space: 1.2GB",
        "NOT REACHED: volume wp_static (container web, /app/staticfiles): no clear touches volumes"]
    done = ctl(peer({"parameters": {"receipt": receipt(appBytes=5, diskFreedBytes=1_000_000_000)}}), "history", "r")
    assert "Total reclaimed space: 1GB (engine reported 3.1GB, application caches 5B)\n" in done.stdout, "no more comes"
    done = ctl(peer({"parameters": {"runs": HISTORY["runs"][:1]}}), "history", "r2")  # a rollback
    assert done.returncode == 0 and done.stdout.splitlines()[1].endswith("r2")
    done = ctl(peer({"error": f"{CACHE}.UnknownReceipt", "parameters": {"receipt": "x", "reason": "no such run"}}),
               "history", "x")
    assert done.returncode == 1 and done.stderr == "wpcachectl: no such run; see wpcachectl history\n"


def test_metrics(peer):
    text = '# HELP wpcache_up U\n# TYPE wpcache_up gauge\nwpcache_up 1\n\nx{path="/a b"} 2\n'
    p = peer({"parameters": {"text": text}})
    done = ctl(p, "metrics")
    assert (done.returncode, done.stdout, done.stderr) == (0, text, "")
    assert json.loads(ctl(p, "metrics", "--json").stdout) == {"text": text}
    assert p.calls[0]["method"] == f"{CACHE}.GetMetrics"


# clear under inhibitors

def test_clear_brings_its_inhibitor(peer):
    p = peer(varlink_peer.final())
    ctl(p, "clear", "--ignore-inhibitors", env={"WPCACHE_INHIBITOR": "t" * 16})
    assert p.calls[-1]["parameters"]["inhibitor"] == "t" * 16
    assert p.calls[-1]["parameters"]["ignoreInhibitors"] is True
    ctl(p, "clear", env={"WPCACHE_INHIBITOR": ""})
    assert "inhibitor" not in p.calls[-1]["parameters"] and "ignoreInhibitors" not in p.calls[-1]["parameters"]


# inhibit

class Holder:
    """A peer's script that says for each Inhibit what FIRST says, and leaves the connections open."""

    def __init__(self, *first: Any, after: Any = None):
        self.first = list(first)
        self.after = after
        self.connections: list[socket.socket] = []
        self.over = threading.Event()

    def __call__(self, conn: socket.socket, call: dict[str, Any]) -> None:
        if call["method"].endswith("GetStatus"):
            if self.after is not None:
                conn.sendall(frame(self.after))
                return
            self.over.wait(30)
            return
        self.connections.append(conn)
        for message in self.first:
            conn.sendall(message if isinstance(message, bytes) else frame(message))
        self.over.wait(30)


HELD = {"parameters": {"token": "t" * 16}, "continues": True}


@pytest.fixture
def holder(peer) -> Iterator[Any]:
    """holder(FIRST, …): the script and its peer."""
    made: list[Holder] = []

    def make(*first: Any, **more: Any) -> tuple[Holder, Peer]:
        made.append(Holder(*first, **more))
        return made[-1], peer(made[-1])

    yield make
    for one in made:
        one.over.set()


def inhibit(p: Peer | Path, *command: str, options: tuple[str, ...] = (),
            **more: Any) -> subprocess.CompletedProcess[str]:
    return ctl(p, "inhibit", "--why", "deploy", *options, "--", *command, **more)


def background(p: Peer | Path, *command: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.Popen[str]:
    """In the background; its command says "ready"."""
    path = p.path if isinstance(p, Peer) else p
    return subprocess.Popen([CTL, "--socket", path, "inhibit", "--why", "deploy", *options, "--", *command],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().rstrip("\n")


def wait_for(true: Any, timeout: float = 30) -> None:
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_inhibit_holds_and_runs(holder):
    _, p = holder(HELD)
    done = inhibit(p, "/bin/sh", "-c", "echo $WPCACHE_INHIBITOR; cat; exit 42", options=("--ttl", "90s"))
    assert done.returncode == 42 and done.stderr == ""
    call, = p.calls
    parameters = call["parameters"]
    assert call["method"] == f"{CACHE}.Inhibit" and call["more"] is True
    assert (parameters["why"], parameters["ttlSec"]) == ("deploy", 90) and "inhibitor" not in parameters
    assert re.fullmatch("[0-9a-f]{32}", parameters["token"]) and done.stdout == parameters["token"] + "\n"
    assert parameters["command"].startswith(f"wpcachectl --socket {p.path} inhibit --why deploy --ttl 90s -- /bin/sh")


def test_inhibit_nested(holder):
    _, p = holder(HELD)
    done = inhibit(p, "printenv", "WPCACHE_INHIBITOR", env={"WPCACHE_INHIBITOR": "o" * 16})
    parameters = p.calls[0]["parameters"]
    assert parameters["inhibitor"] == "o" * 16 and done.stdout == parameters["token"] + "\n"
    assert parameters["ttlSec"] == 3600
    inhibit(p, "true")
    assert p.calls[1]["parameters"]["token"] != parameters["token"]


@pytest.mark.parametrize("arguments", [
    ("inhibit", "--why", "x", "sh", "-c", "echo -q --why"), ("inhibit", "--why=x", "--", "sh", "-c", "echo -q --why"),
    ("--why", "x", "inhibit", "-q", "sh", "-c", "echo -q --why")])
def test_inhibit_leaves_options_to_the_command(holder, arguments):
    _, p = holder(HELD)
    done = ctl(p, *arguments)
    assert (done.returncode, done.stdout) == (0, "-q --why\n")


def test_inhibit_status(holder, short_path):
    _, p = holder(HELD)
    plain = short_path / "plain"
    plain.write_text("exit 9\n")
    for status_, command in ((0, ("true",)), (255, ("sh", "-c", "exit 255")), (125, ("sh", "-c", "exit 125")),
                             (127, ("no-such-program",)), (127, ("/no/such/program",)), (126, (str(plain),)),
                             (126, ("/",)), (-signal.SIGTERM, ("sh", "-c", "kill $$")),
                             (-signal.SIGKILL, ("sh", "-c", "kill -9 $$")), (-signal.SIGINT, ("sh", "-c", "kill -2 $$")),
                             (-signal.SIGSEGV, ("sh", "-c", "kill -SEGV $$"))):
        assert inhibit(p, *command, cwd=short_path).returncode == status_, command
    assert "no-such-program" in inhibit(p, "no-such-program").stderr
    plain.chmod(0o755)
    assert inhibit(p, str(plain)).returncode == 9, "a script without a first line, as from a shell"
    assert not list(short_path.glob("core*"))


def test_inhibit_without_a_daemon(short_path):
    done = inhibit(short_path / "none", "sh", "-c", "exit 3")
    assert done.returncode == 3
    assert done.stderr.splitlines()[1] == "wpcachectl: 'sh' runs without the inhibitor"
    assert "cannot reach wpcached" in done.stderr
    done = inhibit(short_path / "none", "sh", "-c", "echo ran", options=("--require",))
    assert (done.returncode, done.stdout) == (125, "") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("error, parameters, words", [
    ("org.varlink.service.PermissionDenied", {}, "not permitted"),
    ("org.varlink.service.MethodNotFound", {"method": "x"}, "another version"),
    ("org.varlink.service.InvalidParameter", {"parameter": "ttlSec"}, "'ttlSec'"),
    (f"{CACHE}.Busy", {"reason": "too many inhibitors"}, "too many inhibitors")])
def test_inhibit_refused(holder, error, parameters, words):
    """The command runs, under the outer inhibitor if there is one, and this one is not asked for again."""
    _, p = holder({"error": error, "parameters": parameters})
    done = inhibit(p, "sh", "-c", "sleep 2.2; echo $WPCACHE_INHIBITOR", env={"WPCACHE_INHIBITOR": "o" * 16})
    assert (done.returncode, done.stdout) == (0, "o" * 16 + "\n")
    assert words in done.stderr and "runs without the inhibitor" in done.stderr and done.stderr.count("\n") == 2
    assert len(p.calls) == 1
    done = inhibit(p, "echo", "ran", options=("--require",))
    assert (done.returncode, done.stdout) == (125, "") and words in done.stderr


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400\0", b"{}{}\0", b'{"parameters":{}}\0'])
def test_inhibit_garbage(holder, garbage):
    _, p = holder(garbage)
    assert inhibit(p, "sh", "-c", "exit 4").returncode == 4
    done = inhibit(p, "sh", "-c", "exit 4", options=("--require",))
    assert done.returncode == 125 and done.stderr


def test_inhibit_waits_and_says_for_what(holder):
    one, p = holder(after={"parameters": {"status": STATUS}})
    with background(p, "sh", "-c", "echo ran; exit 6", options=("--require",)) as run:
        assert run.stderr and run.stderr.readline() == "wpcachectl: waiting for a clear of all in progress: Removing x\n"
        assert run.poll() is None and run.stdout
        one.connections[0].sendall(frame(HELD))
        assert run.wait(30) == 6 and run.stdout.read() == "ran\n" and run.stderr.read() == ""
    sweep = {"id": "j", "kind": "sweep", "startedAt": 1, "step": "apps", "message": "Removing y"}
    _, p = holder(after={"parameters": {"status": {**STATUS, "job": sweep}}})
    with background(p, "true") as run:
        assert run.stderr and run.stderr.readline() == (
            "wpcachectl: waiting for a sweep of left-over caches in progress: Removing y\n")
        run.kill()
    quiet, p = holder(after={"parameters": {"status": STATUS}})
    with background(p, "true", options=("-q", "--wait", "3s", "--require")) as run:
        assert run.wait(30) == 125 and run.stderr
        assert run.stderr.read().count("\n") == 1


def test_inhibit_waits_no_longer_than_told(holder):
    _, p = holder(after={"parameters": {"status": {**STATUS, "job": None, "queued": 2}}})
    begin = time.monotonic()
    done = inhibit(p, "sh", "-c", "echo $WPCACHE_INHIBITOR; exit 6", options=("--wait", "3s"))
    assert 2.9 < time.monotonic() - begin < 20
    assert (done.returncode, done.stdout) == (6, "\n"), "nothing holds"
    assert done.stderr.splitlines() == [
        "wpcachectl: waiting for 2 jobs that came before",
        "wpcachectl: busy: the inhibitor did not get its turn in time; see wpcachectl status",
        "wpcachectl: 'sh' runs without the inhibitor"]
    done = inhibit(p, "true", options=("--no-wait", "--require"))
    assert done.returncode == 125 and "busy" in done.stderr


def test_inhibit_and_a_daemon_that_hangs(holder):
    """One that answers nothing at all is as good as away: a deploy does not wait half an hour for it."""
    _, p = holder()
    begin = time.monotonic()
    done = inhibit(p, "sh", "-c", "exit 6")
    assert 10 < time.monotonic() - begin < 60
    assert done.returncode == 6 and "does not answer" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_inhibit_interrupted_while_it_waits(holder, number):
    one, p = holder(after={"parameters": {"status": STATUS}})
    with background(p, "echo", "ran") as run:
        wait_for(lambda: one.connections)
        run.send_signal(number)
        assert run.wait(30) == -number and run.stdout and run.stdout.read() == ""


@pytest.mark.parametrize("number", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"])
def test_inhibit_passes_signals_on(holder, number):
    _, p = holder(HELD)
    script = f"trap 'echo got; exit 9' {number}; echo ready; while :; do sleep 0.05; done"
    with background(p, "sh", "-c", script) as run:
        assert line(run) == "ready"
        run.send_signal(getattr(signal, f"SIG{number}"))
        assert line(run) == "got" and run.wait(30) == 9


def test_inhibit_leaves_dispositions_as_they_were(holder):
    """What was ignored stays ignored, as under nohup; what was not is at its default in the command."""
    _, p = holder(HELD)
    show = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]
    plain = subprocess.run(show, capture_output=True, text=True)
    assert inhibit(p, *show).stdout == plain.stdout

    def ignore() -> None:
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    # subprocess restores SIGPIPE before it calls ignore()
    plain = subprocess.run(show, capture_output=True, text=True, preexec_fn=ignore)
    assert inhibit(p, *show, preexec_fn=ignore).stdout == plain.stdout
    with background(p, "sh", "-c", "echo ready; sleep 1; exit 3", preexec_fn=ignore) as run:
        assert line(run) == "ready"
        run.send_signal(signal.SIGHUP)
        assert run.wait(30) == 3


def test_inhibit_with_children_ignored(holder):
    """Whoever started it may have asked the kernel to forget children."""
    _, p = holder(HELD)
    done = inhibit(p, "sh", "-c", "exit 5", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert done.returncode == 5


def test_inhibit_hands_nothing_on(holder):
    _, p = holder(HELD)
    done = inhibit(p, "ls", "/proc/self/fd")
    assert done.stdout.split() == ["0", "1", "2", "3"], "the last one is ls's own"


def test_inhibit_is_taken_again(holder):
    """The daemon is restarted: the same token, for the rest of the time; one warning."""
    one, p = holder(HELD)
    with background(p, "sh", "-c", "echo ready; exec sleep 60", options=("--ttl", "60s")) as run:
        assert line(run) == "ready"
        time.sleep(1.2)
        p.close()
        one.connections[0].shutdown(socket.SHUT_RDWR)
        assert run.stderr and run.stderr.readline() == (
            "wpcachectl: lost wpcached and the inhibitor with it: it closed the connection; trying to hold it again\n")
        time.sleep(2.5)
        _, other = holder(HELD)
        assert run.stderr.readline() == "wpcachectl: the inhibitor is held now\n"
        before, after = p.calls[0]["parameters"], other.calls[0]["parameters"]
        assert before["token"] == after["token"] and 40 <= after["ttlSec"] <= 57
        assert len(other.calls) == 1 and run.poll() is None
        run.terminate()
        assert run.wait(30) == -signal.SIGTERM and run.stderr.read() == ""


def test_inhibit_of_a_daemon_that_comes_later(holder, short_path):
    with background(short_path / "s", "sh", "-c", "echo ready; exec sleep 60") as run:
        assert line(run) == "ready" and run.stderr
        assert [run.stderr.readline()[:30] for _ in range(2)] == [
            "wpcachectl: cannot reach wpcac", "wpcachectl: 'sh' runs without "]
        holder(HELD)
        assert run.stderr.readline() == "wpcachectl: the inhibitor is held now\n"
        run.kill()


def test_inhibit_when_its_time_is_over(holder):
    one, p = holder(HELD)
    with background(p, "sh", "-c", "echo ready; sleep 2; exit 8") as run:
        assert line(run) == "ready"
        one.connections[0].sendall(frame({"parameters": {"token": "t" * 16, "expired": True}}))
        assert run.stderr and run.stderr.readline() == (
            "wpcachectl: the inhibitor's time is over, and 'sh' still runs; see --ttl\n")
        assert run.wait(30) == 8 and run.stderr.read() == ""
    assert len(p.calls) == 1


def ticks(pid: int) -> int:
    """Processor time."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().split()[13:15]))


def test_inhibit_costs_nothing_while_it_holds(holder):
    _, p = holder(HELD)
    with background(p, "sh", "-c", "echo ready; sleep 2") as run:
        assert line(run) == "ready"
        before = ticks(run.pid)
        time.sleep(1)
        switches = Path(f"/proc/{run.pid}/status").read_text()
        assert ticks(run.pid) - before < 10  # of a hundred; what it does before it waits is among them
        assert int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", switches, re.M)[1]) < 20
        assert run.wait(30) == 0
