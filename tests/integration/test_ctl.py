"""wpcachectl against a scripted Varlink peer: exit statuses, wording, JSON, and peers that misbehave."""
from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import varlink_peer
from varlink_peer import CACHE, CACHES, CTL, LEFT, POLICY_RUN, STATUS, VOLUMES, ctl, final, frame, progress, receipt

peer = varlink_peer.peer  # the fixture


def test_clear_fresh(peer):
    p = peer(progress("observe", "Looking at images"), progress("images", "Removing image name a:1"),
             progress("builder", "Clearing Docker build cache"), progress("builder", "Clearing Docker build cache"),
             final())
    done = ctl(p, "clear", "--target", "all")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines() == [
        "INFO: Looking at images", "INFO: Removing image name a:1", "INFO: Clearing Docker build cache",
        "Total reclaimed space: 2.5GB so far (engine reported 3.1GB)", "NOTE: builds of blog start cold, too",
        "ASSUMES: no build imports cache from a registry",
        "docker compose up will now build: watchparty-backend:latest",
        "Receipt: 20250102-030405-abcd (wpcachectl rollback puts names back)",
        "SUCCESS: Docker build cache cleared"]
    assert p.calls == [{"method": f"{CACHE}.Clear", "more": True, "parameters": {
        "target": "all", "command": f"wpcachectl --socket {p.path} clear --target all"}}]


def test_what_can_be_undone(peer):
    """Names of images that are still there, whether this clear made rollback tags or an earlier one."""
    tags = [{"name": "a:wpcache-rollback-1", "imageId": "x"}]
    stays, goes = {"name": "a:1", "imageId": "x"}, {"name": "b:1", "imageId": "y", "deleted": True}
    hint = "Receipt: 20250102-030405-abcd (wpcachectl rollback puts names back)\n"
    for taken, made in (([stays], tags), ([stays], []), ([goes, stays], [])):
        done = ctl(peer(final(names=taken, rollbackTags=made, keptMounts=["x", "y"])), "clear", "--keep-mounts")
        assert hint in done.stdout
        assert "KEPT: 2 build cache records: cache mounts, and what they stand on\n" in done.stdout
    for taken in ([goes], []):
        assert "Receipt: 20250102-030405-abcd\n" in ctl(peer(final(names=taken)), "clear").stdout


def test_seeds_words_without_a_builder_step(peer):
    done = ctl(peer(final(engineReportedBytes=2_500_000_000)), "clear", "all")
    assert done.stdout.startswith("INFO: Clearing Docker build cache\nTotal reclaimed space: 2.5GB\n")


def test_waiting_is_said_once(peer):
    done = ctl(peer(progress("waiting", "Waiting (12 records)"), progress("waiting", "Waiting (3 records)"), final()),
               "clear")
    assert "INFO: Waiting (12 records)\n" in done.stdout and "3 records" not in done.stdout


def test_clear_not_fresh(peer):
    done = ctl(peer(final(outcome="notFresh", fresh=False, remaining=LEFT)), "clear")
    assert done.returncode == 3
    assert "REMAINING: container web: it holds an image\n           end it: docker rm web\n" in done.stdout
    assert "REMAINING: record abc: in use\n" in done.stdout
    assert "SUCCESS" not in done.stdout
    assert done.stderr == "NOT FRESH: 2 sources of cached layers left: container web, …\n"


@pytest.mark.parametrize("target, words", [
    ("builder", "SUCCESS: builder cleared; images were not touched, the next build may be CACHED by them"),
    ("images", "SUCCESS: images cleared; Docker's build cache was not touched, the next build may be CACHED by it"),
    ("apps", "SUCCESS: Application caches cleared; Docker's caches untouched, the next build may be CACHED"),
    ("frontend", "SUCCESS: Application caches cleared; Docker's caches untouched, the next build may be CACHED")])
def test_other_targets(peer, target, words):
    done = ctl(peer(final(target=target, outcome="cleared", fresh=None)), "clear", target)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == words


def test_not_cleared(peer):
    done = ctl(peer(final(target="builder", outcome="notCleared", fresh=None, remaining=LEFT[:1])), "clear", "builder")
    assert done.returncode == 3
    assert done.stderr == "NOT CLEARED: 1 source of cached layers left: container web\n"


APP_LEFT = [{"kind": "cache", "object": "backend/__pycache__", "reason": "container web has it mounted",
             "remedy": "wpcachectl clear --target backend --include-mounted"},
            {"kind": "app", "object": "backend", "reason": "its root is missing"}]


def app_receipt(**changes: object) -> dict[str, object]:
    return final(**{"target": "apps", "outcome": "cleared", "fresh": None, "engineReportedBytes": 0,
                    "diskFreedBytes": 7, "appBytes": 1_200_040_000, "caches": CACHES, "notReached": VOLUMES,
                    "names": [], "notes": [], "assumes": [], **changes})


def test_application_caches(peer):
    p = peer(progress("apps", "Removing caches of frontend"), app_receipt())
    done = ctl(p, "clear", "--target", "apps", "--include-mounted")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "INFO: Removing caches of frontend",
        "frontend: 3 caches removed, 1.2GB (2 in the build context, 1 ignored by .dockerignore)",
        "       800MB  .next, in the build context",
        "       400MB  node_modules/.cache, ignored by .dockerignore",
        "          0B  .turbo, in the build context",
        "backend: 1 cache removed, 40kB (1 outside the build context)",
        "        40kB  src/__pycache__, outside the build context",
        "Total reclaimed space: 1.2GB",
        "NOT REACHED: volume wp_static (container web, /app/staticfiles): no clear touches volumes",
        "Receipt: 20250102-030405-abcd",
        "SUCCESS: Application caches cleared; Docker's caches untouched, the next build may be CACHED"]
    assert p.calls[0]["parameters"]["includeMounted"] is True
    ctl(p, "clear", "apps")
    assert "includeMounted" not in p.calls[1]["parameters"]


MANY = [{"app": "backend", "path": f"a{i}/__pycache__", "reach": "context", "bytes": 1000} for i in range(100)]


def test_many_application_caches(peer):
    """The first ten of each are told; a receipt that lists not all says so."""
    for n, n_all in ((10, 10), (11, 11), (100, 100), (100, 140)):
        removed = [{"step": "names", "objects": 500, "engineReportedBytes": 0},
                   {"step": "caches", "objects": n_all, "engineReportedBytes": 0}]
        done = ctl(peer(app_receipt(caches=MANY[:n] + CACHES[:1], removed=removed)), "clear", "apps")
        assert done.stdout.partition("Total reclaimed")[0].splitlines() == [
            *([f"Of 140 caches that were removed, the receipt names {n + 1}:"] if n_all > n + 1 else []),
            f"backend: {n} caches removed, {n}kB ({n} in the build context)",
            *(f"         1kB  a{i}/__pycache__, in the build context" for i in range(10)),
            *([f"              and {n - 10} more"] if n > 10 else []),
            "frontend: 1 cache removed, 800MB (1 in the build context)", "       800MB  .next, in the build context"]


@pytest.mark.parametrize("target", ["apps", "frontend"])
def test_no_application_caches(peer, target):
    """A misspelt cache is seen, and what was not seen is not said."""
    nothing = {"target": target, "caches": [], "appBytes": 0}
    done = ctl(peer(app_receipt(**nothing)), "clear", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [f"{target}: nothing to remove", "Total reclaimed space: 0B"]
    assert done.stdout.splitlines()[-1].startswith("SUCCESS: Application caches cleared")
    answer = {"receipt": app_receipt(**nothing)["parameters"]["receipt"]}
    assert f": cleared\n{target}: nothing to remove\nTotal" in ctl(peer({"parameters": answer}), "history", "r").stdout
    swept = [{"step": "caches", "objects": 3, "engineReportedBytes": 0}]
    for changes in ({"outcome": "notCleared", "remaining": APP_LEFT}, {"remaining": APP_LEFT[1:]}, {"removed": swept},
                    {"outcome": "failed", "error": "x"}, {"outcome": "interrupted"}, {"caches": CACHES[:1]}):
        done = ctl(peer(app_receipt(**{**nothing, **changes})), "clear", target)
        assert "Receipt: " in done.stdout and "nothing" not in done.stdout, changes
        assert "that were removed" not in done.stdout, "none is named"
    for docker, outcome in (("all", "fresh"), ("docker", "fresh"), ("builder", "cleared"), ("images", "cleared")):
        done = ctl(peer(final(target=docker, outcome=outcome, caches=[])), "clear", docker)
        assert done.returncode == 0 and "nothing" not in done.stdout


@pytest.mark.parametrize("outcome", ["interrupted", "failed"])
def test_receipt_without_an_end(peer, outcome):
    """Its list was written before the first of them went, and its figures never."""
    removed = [{"step": "caches", "objects": 0, "engineReportedBytes": 0}]
    told = ["frontend: 3 caches removed or about to be (2 in the build context, 1 ignored by .dockerignore)",
            "    .next, in the build context", "    node_modules/.cache, ignored by .dockerignore",
            "    .turbo, in the build context",
            "backend: 1 cache removed or about to be (1 outside the build context)",
            "    src/__pycache__, outside the build context"]
    killed = app_receipt(outcome=outcome, finishedAt=None, appBytes=0, diskFreedBytes=0, notReached=[],
                         removed=removed)
    answer = {"parameters": {"receipt": killed["parameters"]["receipt"]}}
    done = ctl(peer(answer), "history", "r")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"Clear of apps by uid 0 (pid 1), 1970-01-01 00:00: {outcome}", *told]
    done = ctl(peer(killed), "clear", "apps")
    assert done.returncode == 1 and done.stdout.splitlines() == [*told, "Receipt: 20250102-030405-abcd"]
    assert done.stderr == f"wpcachectl: the clear ended as '{outcome}': no reason given\n"
    done = ctl(peer({"error": f"{CACHE}.JobFailed", "parameters": {
        "reason": "it is stopping", "receipt": killed["parameters"]["receipt"]}}), "clear", "apps")
    assert done.returncode == 1 and done.stdout.splitlines() == [*told, "Receipt: 20250102-030405-abcd"]
    removed[0]["objects"] = 140
    many = {"receipt": receipt(outcome=outcome, caches=MANY, removed=removed, names=[])}
    done = ctl(peer({"parameters": many}), "history", "r")
    assert done.stdout.splitlines()[1:5] == [
        "Removed: 140 caches", "Of 140 caches that were removed, the receipt names 100:",
        "backend: 100 caches removed or about to be (100 in the build context)",
        "    a0/__pycache__, in the build context"]
    assert "\n    and 90 more\nTotal reclaimed space: 2.5GB (engine reported 3.1GB)\n" in done.stdout, "it was read"
    many["receipt"].update(engineReportedBytes=0, diskFreedBytes=0)
    assert "Total" not in ctl(peer({"parameters": many}), "history", "r").stdout


def test_application_caches_beside_docker(peer):
    """Only targets of Docker's caches are told in the engine's figures, and in the words that logs are searched for."""
    done = ctl(peer(final(caches=CACHES, appBytes=1_200_000_000)), "clear")
    assert "INFO: Clearing Docker build cache\nfrontend: 3 caches removed, " in done.stdout
    assert "\nTotal reclaimed space: 2.5GB so far (engine reported 3.1GB, application caches 1.2GB)\n" in done.stdout
    assert done.stdout.endswith("SUCCESS: Docker build cache cleared\n")
    done = ctl(peer(final(appBytes=1_200_000_000, diskFreedBytes=4_300_000_000)), "clear")
    assert "\nTotal reclaimed space: 4.3GB (engine reported 3.1GB, application caches 1.2GB)\n" in done.stdout
    done = ctl(peer(final(appBytes=5, engineReportedBytes=0, diskFreedBytes=0)), "clear")
    assert "\nTotal reclaimed space: 0B so far (application caches 5B)\n" in done.stdout
    done = ctl(peer(app_receipt(target="frontend")), "clear", "frontend")
    assert "Clearing Docker" not in done.stdout and "Docker build cache cleared" not in done.stdout


@pytest.mark.parametrize("target", ["apps", "backend"])
def test_application_caches_left(peer, target):
    done = ctl(peer(app_receipt(target=target, outcome="notCleared", remaining=APP_LEFT)), "clear", target)
    assert done.returncode == 3 and "SUCCESS" not in done.stdout
    assert ("REMAINING: cache backend/__pycache__: container web has it mounted\n"
            "           end it: wpcachectl clear --target backend --include-mounted\n"
            "REMAINING: app backend: its root is missing\nTotal reclaimed") in done.stdout
    assert done.stderr == "NOT CLEARED: 2 left: cache backend/__pycache__, …\n"
    # whatever the outcome says
    done = ctl(peer(app_receipt(target=target, remaining=APP_LEFT[1:])), "clear", target)
    assert (done.returncode, done.stderr) == (3, "NOT CLEARED: 1 left: app backend\n")
    done = ctl(peer(final(outcome="notFresh", fresh=False, remaining=APP_LEFT[:1])), "clear")
    assert done.stderr == "NOT FRESH: 1 source of cached layers left: cache backend/__pycache__\n"
    # one of an application, too, may have something that would end it
    left = [{**APP_LEFT[1], "remedy": "mkdir /x"}, {**APP_LEFT[0], "remedy": None}]
    done = ctl(peer(app_receipt(target=target, outcome="notCleared", remaining=left)), "clear", target)
    assert ("REMAINING: app backend: its root is missing\n           end it: mkdir /x\n"
            "REMAINING: cache backend/__pycache__: container web has it mounted\nTotal reclaimed") in done.stdout


@pytest.mark.parametrize("changes, status", [
    ({"remaining": LEFT}, 3),                  # fresh, with something remaining
    ({"fresh": False}, 3),
    ({"fresh": None}, 3),
    ({"outcome": "notFresh"}, 3),
    ({"outcome": "cleared"}, 1),               # says nothing of freshness
    ({"outcome": "failed", "error": "disk"}, 1),
    ({"outcome": "interrupted"}, 1),
    ({"outcome": None}, 1),
    ({"remaining": None}, 1),
    ({"remaining": {}}, 1),
    ({"target": "builder"}, 1),                # the answer to another question
    ({"target": None}, 1)])
def test_no_success_that_was_not_seen(peer, changes, status):
    p = peer(final(**changes))
    for arguments in (("clear",), ("clear", "--json"), ("clear", "-q")):
        done = ctl(p, *arguments)
        assert done.returncode == status and done.stderr
        assert "SUCCESS" not in done.stdout


def test_clear_json(peer):
    notes = ['\x1b[2J \x7f \x9b "quoted" {[\\', "\N{WHALE}"]
    tricky = receipt(notes=notes, remaining=LEFT, outcome="notFresh", fresh=False)
    done = ctl(peer({"parameters": {"receipt": tricky}}), "clear", "--json")
    assert done.returncode == 3 and done.stderr.startswith("NOT FRESH: ")
    assert json.loads(done.stdout) == tricky
    assert done.stdout.count("\n") == 1 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stdout)
    pretty = ctl(peer({"parameters": {"receipt": tricky}}), "clear", "--json=pretty")
    assert json.loads(pretty.stdout) == tricky and pretty.stdout.startswith('{\n  "id": ')


def test_clear_options(peer):
    p = peer(final(target="docker"))
    assert ctl(p, "clear", "docker", "--keep-mounts", "--wait", "1min 30s", "--json").returncode == 0
    assert p.calls[0] == {"method": f"{CACHE}.Clear", "parameters": {
        "target": "docker", "keepMounts": True, "waitSec": 90,
        "command": f"wpcachectl --socket {p.path} clear docker --keep-mounts --wait 1min 30s --json"}}
    for option in (["--wait", "0"], ["--no-wait"]):
        ctl(p, "clear", "docker", *option)
        assert p.calls[-1]["parameters"]["waitSec"] == 0
    ctl(p, "clear", "docker", "--wait=10ms")
    assert p.calls[-1]["parameters"]["waitSec"] == 1
    ctl(p, "clear", "x" * 500)
    assert len(p.calls[-1]["parameters"]["command"]) < 256


def test_dry_run(peer):
    plan = {"target": "all", "names": [{"name": "a:1", "imageId": "sha256:" + "b" * 64}],
            "rollbackTags": [{"name": "a:wpcache-rollback-1", "imageId": "x"}], "untagged": ["sha256:" + "c" * 64],
            "records": 3, "recordBytes": 1200, "remaining": LEFT[:1], "assumes": ["A"], "notes": ["N"]}
    p = peer({"parameters": {"plan": plan}})
    done = ctl(p, "clear", "--dry-run")
    assert done.returncode == 0 and done.stderr == ""
    assert p.calls[0]["parameters"]["dryRun"] is True and "more" not in p.calls[0]
    assert done.stdout.splitlines() == [
        "Clearing 'all' would:", "  untag     a:1 (sha256:" + "b" * 12 + ")",
        "  tag       a:wpcache-rollback-1, to roll back to",
        "  remove    1 untagged image: sha256:" + "c" * 12, "  prune     3 build cache records, 1.2kB",
        "Left after it, with the commands for then:", "REMAINING: container web: it holds an image", "           end it: docker rm web",
        "NOTE: N", "ASSUMES: A"]
    assert json.loads(ctl(p, "clear", "--dry-run", "--json").stdout) == plan
    p = peer({"parameters": {"plan": plan}})
    ctl(p, "clear", "--dry-run", "--include-mounted")
    assert p.calls[0]["parameters"]["includeMounted"] is True
    # a receipt is no answer to a dry run
    assert ctl(peer(final()), "clear", "--dry-run").returncode == 1


# --- failures ---

@pytest.mark.parametrize("error, parameters, status, words", [
    (f"{CACHE}.EngineUnavailable", {"reason": "no socket"}, 6, "no socket; see systemctl status docker"),
    (f"{CACHE}.UnknownTarget", {"target": "x", "known": ["all", "docker"]}, 2, "'x'; there are: all, docker"),
    (f"{CACHE}.UnknownReceipt", {"receipt": "r", "reason": "none of this id"}, 1, "none of this id; see wpcachectl history"),
    (f"{CACHE}.UnknownObject", {"object": "ab", "reason": "2 objects begin with ab"}, 1, "'ab': 2 objects begin"),
    (f"{CACHE}.Busy", {"reason": "too many queued"}, 7, "busy: too many queued"),
    (f"{CACHE}.ConfigInvalid", {"reason": "f:3: bad"}, 1, "f:3: bad"),
    (f"{CACHE}.JobFailed", {"reason": "engine went away"}, 1, "engine went away"),
    (f"{CACHE}.ShuttingDown", {}, 5, "stopping"),
    ("org.varlink.service.PermissionDenied", {}, 4, "not permitted"),
    ("org.varlink.service.InvalidParameter", {"parameter": "waitSec"}, 1, "'waitSec'"),
    ("org.varlink.service.InvalidParameter", {"parameter": "receipt"}, 1, "no id of a receipt; see wpcachectl history"),
    ("org.varlink.service.MethodNotFound", {"method": "x"}, 1, "org.varlink.service.MethodNotFound"),
    ("com.example.Odd", None, 1, "com.example.Odd")])
def test_errors(peer, error, parameters, status, words):
    p = peer({"error": error, "parameters": parameters})
    for arguments in (("status",), ("clear", "all"), ("clear", "--json"), ("clear", "--dry-run"), ("rollback",),
                      ("watch",), ("reload",), ("plan",), ("plan", "all"), ("explain", "x"), ("history",), ("metrics",)):
        done = ctl(p, *arguments)
        assert (done.returncode, done.stdout) == (status, ""), arguments
        assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("target, words", [
    ("frontnd", "; did you mean 'frontend'? There are: all, docker, apps, frontend"),
    ("front", "; did you mean 'frontend'? There are: all, docker, apps, frontend"),
    ("Docker", "; did you mean 'docker'? There are: all, docker, apps, frontend"),
    ("api", "; there are: all, docker, apps, frontend"),
    ("", "; there are: all, docker, apps, frontend")])
def test_unknown_target(peer, target, words):
    p = peer({"error": f"{CACHE}.UnknownTarget", "parameters": {
        "target": target, "known": ["all", "docker", "apps", "frontend"]}})
    for arguments in (("clear", target), ("clear", "--target", target, "--dry-run"), ("plan", "--target", target)):
        done = ctl(p, *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"wpcachectl: unknown target '{target}'{words}\n"


def test_unknown_target_without_applications(peer):
    known = ["all", "docker", "builder", "images", "apps"]
    done = ctl(peer({"error": f"{CACHE}.UnknownTarget", "parameters": {"target": "web", "known": known}}), "clear", "web")
    assert done.returncode == 2 and done.stderr == (
        "wpcachectl: unknown target 'web'; there are: all, docker, builder, images, apps; no application is configured, "
        "see [app NAME] in wpcached.conf(5)\n")


@pytest.mark.parametrize("known, words", [
    (None, "there are:"), ([], "there are:"), ("all", "there are:"),
    ({"a": "frontend"}, "did you mean 'frontend'? There are: frontend"),
    ([1, None, "frontend"], "did you mean 'frontend'? There are: ?, ?, frontend")])
def test_unknown_target_of_an_odd_daemon(peer, known, words):
    p = peer({"error": f"{CACHE}.UnknownTarget", "parameters": {"target": "frontnd", "known": known}})
    done = ctl(p, "clear", "x")
    assert done.returncode == 2 and done.stderr.endswith(f" 'frontnd'; {words}\n")


def test_applications_do_without_an_engine(peer):
    p = peer({"error": f"{CACHE}.EngineUnavailable", "parameters": {"reason": "/run/docker.sock: timed out"}})
    plain = "wpcachectl: Docker engine not available, nothing was touched: /run/docker.sock: timed out; see systemctl status docker"
    hint = "; caches of applications can be cleared all the same with --include-mounted"
    for target in ("apps", "frontend", "all", "docker", "builder", "images"):
        for arguments in (("clear",), ("clear", "--dry-run"), ("plan",), ("clear", "--json")):
            told = plain + (hint if target in ("apps", "frontend") else "") + "\n"
            done = ctl(p, *arguments, "--target", target)
            assert (done.returncode, done.stdout, done.stderr) == (6, "", told), (target, arguments)
            done = ctl(p, *arguments, "--target", target, "--include-mounted")
            assert (done.returncode, done.stderr) == (6, plain + "\n")
    for verb in ("status", "plan", "rollback", "watch"):
        assert ctl(p, verb).stderr == plain + "\n"


def test_job_failed_with_receipt(peer):
    failed = receipt(outcome="failed", fresh=False, remaining=LEFT[:1], error="engine went away")
    p = peer({"error": f"{CACHE}.JobFailed", "parameters": {"reason": "engine went away", "receipt": failed}})
    done = ctl(p, "clear")
    assert done.returncode == 1 and "engine went away" in done.stderr
    assert done.stdout == ("REMAINING: container web: it holds an image\n           end it: docker rm web\n"
                           "Receipt: 20250102-030405-abcd\n")
    done = ctl(p, "clear", "--json")
    assert done.returncode == 1 and json.loads(done.stdout) == failed
    failed["caches"] = CACHES[1:2]
    p = peer({"error": f"{CACHE}.JobFailed", "parameters": {"reason": "engine went away", "receipt": failed}})
    assert ctl(p, "clear").stdout.startswith("backend: 1 cache removed or about to be (1 outside the build context)\n")


def test_unreachable(short_path):
    missing = short_path / "missing"
    done = ctl(missing)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (f"wpcachectl: cannot reach wpcached at {missing}: No such file or directory; "
                           "is the service running? systemctl status wpcached\n")
    dead = short_path / "dead"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    done = ctl(dead, "clear")
    assert done.returncode == 5 and f"{dead}: Connection refused" in done.stderr
    assert ctl(short_path / ("x" * 200)).returncode == 5


def test_may_not_open(peer, short_path):
    p = peer({"parameters": {"status": STATUS}})
    os.chmod(p.path, 0)
    user = {"user": 65534} if os.geteuid() == 0 else {}
    done = ctl(p, **user)
    assert done.returncode == 4 and "Permission denied" in done.stderr




@pytest.mark.parametrize("rest", [b"", b'{"parameters":{"rec', frame(final())[:-1]])
def test_lost_in_mid_job(peer, rest):
    done = ctl(peer(progress("images", "Removing x"), rest), "clear")
    assert done.returncode == 1
    assert done.stdout == "INFO: Removing x\n"
    assert "lost wpcached during the clear, job j1: " in done.stderr
    assert "it may go on: wpcachectl history j1 tells how it ended" in done.stderr


def test_lost_before_the_first_word(peer):
    done = ctl(peer(b""), "clear")
    assert done.returncode == 1 and "it may go on: wpcachectl history tells how it ended" in done.stderr
    assert ctl(peer(b"")).returncode == 5
    done = ctl(peer(progress("waiting", "waiting for inhibitor 'deploy'", jobId="")), "clear")
    assert done.returncode == 1 and "while the clear waited for inhibitors" in done.stderr


@pytest.mark.parametrize("garbage", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n\0", b"{}{}\0", b"[]\0", b"\0", b'{"parameters":1}\0', b"\xff\xfe\0",
    b'{"error":1}\0', b'{"continues":7}\0', b"[" * 5000 + b"\0", b'{"parameters":{},"extra":1}\0',
    b'{"error":"not a name","parameters":{}}\0'])
def test_garbage(peer, garbage):
    p = peer(garbage)
    for arguments in (("status",), ("clear",), ("rollback",), ("watch",), ("reload",), ("clear", "--json"), ("plan",),
                      ("explain", "x"), ("history",), ("metrics",), ("metrics", "--json")):
        done = ctl(p, *arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.startswith("wpcachectl: ") and done.stderr.count("\n") == 1
    assert ctl(p, "version").returncode == 0


@pytest.mark.parametrize("parameters", [
    {}, {"status": 1}, {"receipt": 1}, {"receipt": {}}, {"receipt": []}, {"plan": "x"}, {"restored": {}},
    {"status": None, "receipt": None, "plan": None}, {"policy": {}}, {"policy": {"policy": {}}}, {"verdict": {}},
    {"runs": {}}, {"text": 1}])
def test_replies_of_the_wrong_shape(peer, parameters):
    p = peer({"parameters": parameters})
    for arguments in (("status",), ("clear",), ("clear", "--dry-run"), ("rollback",), ("clear", "--json"), ("plan",),
                      ("plan", "all"), ("plan", "--json"), ("explain", "x"), ("history", "--json"), ("metrics",)):
        if arguments[0] == "history" and parameters.get("receipt") == {}:
            continue  # the shape of one run in full is the daemon's to say
        done = ctl(p, *arguments)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert done.stderr.count("\n") == 1


def test_endless_reply(peer):
    def script(conn: socket.socket, _: object) -> None:
        while True:
            conn.sendall(b"x" * 65536)

    done = ctl(peer(script))
    assert done.returncode == 1 and "too long" in done.stderr


def test_long_reply(peer):
    names = [{"name": f"image-{i}:latest", "imageId": "sha256:" + "a" * 64} for i in range(20_000)]
    done = ctl(peer(final(names=names)), "clear")
    assert done.returncode == 0
    assert "will now build: image-0:latest, image-1:latest, " in done.stdout and " and 19980 more\n" in done.stdout


def test_byte_by_byte(peer):
    def script(conn: socket.socket, _: object) -> None:
        for byte in frame(progress("builder", "Clearing Docker build cache")) + frame(final()):
            conn.sendall(bytes([byte]))

    done = ctl(peer(script), "clear")
    assert done.returncode == 0 and done.stdout.endswith("SUCCESS: Docker build cache cleared\n")


def test_mute_peer(peer):
    gone = threading.Event()
    p = peer(lambda conn, call: gone.wait(30) and None)
    start = time.monotonic()
    done = ctl(p)
    gone.set()
    assert done.returncode == 5 and "does not answer" in done.stderr
    assert 9 < time.monotonic() - start < 25


def test_full_backlog(short_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(short_path / "s"))
        listener.listen(0)
        first.connect(str(short_path / "s"))
        with subprocess.Popen([CTL, "--socket", short_path / "s"], stdout=subprocess.PIPE, text=True) as run:
            time.sleep(0.3)
            assert run.poll() is None
            listener.accept()[0].close()
            conn, _ = listener.accept()
            with conn:
                conn.recv(65536)
                conn.sendall(frame({"parameters": {"status": STATUS}}))
            assert run.wait(30) == 0


# --- the other verbs ---

def test_status(peer):
    p = peer({"parameters": {"status": STATUS}})
    done = ctl(p)
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"wpcached 0\.0\.1: ok, started \d+.* ago", lines[0])
    assert re.fullmatch(r" +Client: wpcachectl \S+, another version than the daemon's", lines[1])
    for line in ("     Engine: 28.5.1, API 1.51, image store containerd at /run/docker.sock",
                 "Build cache: [################----] 4GB, 80% of its limit of 5GB, in 312 records, and 100MB shared with "
                 "images, 2 in use",
                 "     Images: [####----------------] 8GB, 2 matching, 3 untagged, 14 in all, 1 rollback tag",
                 "       Disk: [###############-----] 75% used, 10GB of 40GB free at /var/lib/docker",
                 "     Policy: enforce", "       Next: remove 2 images (1.2GB)"):
        assert line in lines
    assert re.search(r"^     Looked: .* ago, and hears the engine's events$", done.stdout, re.M)
    assert "Forecast" not in done.stdout and "Inodes" not in done.stdout and "Inhibitor" not in done.stdout
    assert re.search(r"^        Job: clear all: Removing x, started .* ago; 1 queued$", done.stdout, re.M)
    assert re.search(r"^ Last clear: all, notFresh, .* ago, 3 left \(receipt r1\)$", done.stdout, re.M)
    assert re.search(r"^     Config: /etc/wpcache/wpcached.conf, loaded .* ago$", done.stdout, re.M)
    assert p.calls[0]["method"] == f"{CACHE}.GetStatus"
    assert json.loads(ctl(p, "status", "--json").stdout) == STATUS
    assert ctl(p, "status", "--quiet").stdout == ""


def test_status_of_a_bare_daemon(peer):
    version = ctl(Path("/"), "--version").stdout.split()[1]
    bare = {"version": version, "startedAt": 1, "queued": 0, "config": {"file": "", "loadedAt": 1, "error": "f:1: bad"},
            "engine": {"state": "unavailable", "reason": "refused", "socket": "/run/docker.sock"}}
    done = ctl(peer({"parameters": {"status": bare}}))
    assert done.returncode == 0
    assert "the Docker engine is not available" in done.stdout
    assert "     Engine: unavailable: refused at /run/docker.sock\n" in done.stdout
    assert "     Looked: never\n Last clear: none\n     Config: the defaults, loaded " in done.stdout
    assert "not in force: f:1: bad\n" in done.stdout
    assert "Client:" not in done.stdout and "Job:" not in done.stdout
    assert "App" not in done.stdout and "Not reached" not in done.stdout


def test_rollback_of_what_was_announced_as_deleted(peer):
    gone = {"name": "b:1", "imageId": "sha256:" + "b" * 64, "reason": "deleted", "deleted": True}
    answer = {"receipt": "r1", "restored": [{"name": "a:1", "imageId": "x"}], "skipped": [gone]}
    done = ctl(peer({"parameters": answer}), "rollback")
    assert (done.returncode, done.stderr) == (0, "") and "skipped   b:1: deleted\n" in done.stdout
    done = ctl(peer({"parameters": {**answer, "skipped": [gone, {**gone, "deleted": False}]}}), "rollback")
    assert done.returncode == 1 and "1 of 2 names of receipt r1 not put back" in done.stderr


def test_rollback(peer):
    answer = {"receipt": "r1", "restored": [{"name": "a:1", "imageId": "sha256:" + "b" * 64}], "skipped": []}
    p = peer({"parameters": answer})
    done = ctl(p, "rollback", "r1")
    assert (done.returncode, done.stdout) == (0, "restored  a:1 -> sha256:" + "b" * 12 + "\n")
    assert p.calls[0]["parameters"] == {"receipt": "r1"}
    ctl(p, "rollback")
    assert p.calls[1]["parameters"] == {}
    assert json.loads(ctl(p, "rollback", "--json").stdout) == answer
    answer["skipped"] = [{"name": "c:1", "imageId": "x", "reason": "the image is gone"}]
    done = ctl(peer({"parameters": answer}), "rollback")
    assert done.returncode == 1 and done.stdout.endswith("skipped   c:1: the image is gone\n")
    assert done.stderr == "wpcachectl: 1 of 2 names of receipt r1 not put back\n"
    reason = "receipt 20250102-030405-abcd took no names away"
    p = peer({"error": f"{CACHE}.UnknownReceipt", "parameters": {"receipt": "20250102-030405-abcd", "reason": reason}})
    for arguments in ((), ("--json",), ("-q",)):
        done = ctl(p, "rollback", "20250102-030405-abcd", *arguments)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"wpcachectl: {reason}; see wpcachectl history\n")


def test_reload(peer):
    done = ctl(peer({"parameters": {"restartNeeded": []}}), "reload")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = ctl(peer({"parameters": {"restartNeeded": ["[control] socket", "[docker] host"]}}), "reload")
    assert done.stdout == "In force after systemctl restart wpcached: [control] socket, [docker] host\n"


def test_watch(peer):
    events = [{"event": "status", "status": STATUS},
              {"event": "progress", "progress": progress("images", "Removing x")["parameters"]["progress"]},
              {"event": "progress", "progress": progress("images", "Removing x")["parameters"]["progress"]},
              {"event": "receipt", "receipt": receipt()}, {"event": "engine", "message": "the engine is gone"},
              {"event": "inhibitor", "message": "Inhibitor 'deploy' holds"},
              {"event": "alarm", "message": "the disk is full"}, {"event": "policy", "policyRun": POLICY_RUN},
              {"event": "new one", "message": "still told"}]
    replies = [{"parameters": event, "continues": True} for event in events]
    p = peer(*replies)
    done = ctl(p, "watch")
    assert done.returncode == 1 and done.stderr == "wpcachectl: wpcached ended the connection\n"
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in done.stdout.splitlines())
    assert [line[9:] for line in done.stdout.splitlines()] == [
        "status    engine ok, 312 build cache records, 4.1GB, clear: Removing x", "progress  Removing x",
        "receipt   all: fresh, 0 sources left, 2.5GB reclaimed (receipt 20250102-030405-abcd)",
        "engine    the engine is gone", "inhibitor Inhibitor 'deploy' holds", "alarm     the disk is full",
        "policy    left, 1 image and 7 build cache records removed, 1 left, 4.1GB reclaimed (run p1)",
        "new one   still told"]
    assert p.calls[0]["more"] is True
    p = peer(*({"parameters": event, "continues": True} for event in (
        {"event": "status", "status": {**STATUS, "job": {**STATUS["job"], "kind": "sweep", "target": None}}},
        {"event": "progress", "progress": progress("apps", "Removing caches of frontend")["parameters"]["progress"]},
        {"event": "receipt", "receipt": app_receipt(target="frontend")["parameters"]["receipt"]},
        {"event": "receipt", "receipt": app_receipt(outcome="notCleared", remaining=APP_LEFT)["parameters"]["receipt"]},
        {"event": "receipt", "receipt": app_receipt(outcome="failed", appBytes=0)["parameters"]["receipt"]},
        {"event": "receipt", "receipt": receipt(target="builder", outcome="notCleared", remaining=LEFT[:1])})))
    assert [line[9:] for line in ctl(p, "watch").stdout.splitlines()] == [
        "status    engine ok, 312 build cache records, 4.1GB, sweep of left-over caches: Removing x",
        "progress  Removing caches of frontend",
        "receipt   frontend: cleared, nothing left, 1.2GB reclaimed (receipt 20250102-030405-abcd)",
        "receipt   apps: notCleared, 2 left, 1.2GB reclaimed (receipt 20250102-030405-abcd)",
        "receipt   apps: failed, 0B reclaimed (receipt 20250102-030405-abcd)",
        "receipt   builder: notCleared, 1 source left, 2.5GB reclaimed (receipt 20250102-030405-abcd)"]
    p = peer(*replies)
    lines = ctl(p, "watch", "--json").stdout.splitlines()
    assert [json.loads(line) for line in lines] == events


def test_version(peer, short_path):
    p = peer({"parameters": {"vendor": "x", "product": "y", "version": "9.9", "url": "", "interfaces": []}})
    done = ctl(p, "version")
    assert done.returncode == 0 and re.fullmatch(r"wpcachectl \S+\nwpcached 9\.9\n", done.stdout)
    assert p.calls[0]["method"] == "org.varlink.service.GetInfo"
    done = ctl(short_path / "none", "version")
    assert done.returncode == 0 and f"no answer at {short_path}/none" in done.stdout
    assert json.loads(ctl(p, "version", "--json").stdout)["daemon"] == "9.9"
    assert ctl(short_path / "none", "--version").stdout == done.stdout.splitlines(True)[0]


def test_socket_from_the_environment(peer):
    p = peer({"parameters": {"status": STATUS}})
    done = subprocess.run([CTL], env={"WPCACHE_SOCKET": str(p.path)}, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and p.calls


@pytest.mark.parametrize("arguments, words", [
    (["staus"], "unknown verb 'staus'; did you mean 'status'?"),
    (["xyzzy"], "unknown verb 'xyzzy'"),
    (["--jsn"], "unknown option '--jsn'; did you mean '--json'?"),
    (["-x"], "unknown option '-x'"), (["-xq"], "unknown option '-x'"), (["status", "-qx"], "unknown option '-x'"),
    (["--quiet", "-xq"], "unknown option '-x'"), (["-qé"], "unknown option '-qé'"),
    (["-q", "--quiet=x"], "unknown option '--quiet=x'; did you mean '--quiet'?"),
    (["--json=long"], "--json=long: one of short, pretty"),
    (["--color=blue"], "--color=blue"),
    (["--socket"], "--socket wants an argument"),
    (["clear", "--wait", "soon"], "--wait soon: not a span of time"),
    (["clear", "--wait", "-1"], "--wait -1: not a span of time"),
    (["clear", "--target", "all", "docker"], "two targets, 'all' and 'docker'"),
    (["clear", "all", "docker"], "too many arguments: 'docker'"),
    (["status", "now"], "too many arguments: 'now'"),
    (["status", "--dry-run"], "--dry-run belongs to 'clear'"),
    (["--wait", "3s"], "--wait belongs to 'clear' and 'inhibit'"),
    (["plan", "--dry-run"], "--dry-run belongs to 'clear'"),
    (["rollback", "--target", "all"], "--target belongs to 'clear' and 'plan'"),
    (["clear", "--why", "x"], "--why belongs to 'inhibit'"),
    (["clear", "--since", "7d"], "--since belongs to 'history'"),
    (["plan", "all", "docker"], "too many arguments: 'docker'"),
    (["plan", "--target", "all", "docker"], "two targets, 'all' and 'docker'"),
    (["plan", "--keep-mounts"], "--keep-mounts wants a target"),
    (["plan", "--include-mounted"], "--include-mounted wants a target"),
    (["status", "--include-mounted"], "--include-mounted belongs to 'clear' and 'plan'"),
    (["explain"], "explain wants an image"),
    (["explain", "a", "b"], "too many arguments: 'b'"),
    (["metrics", "a"], "too many arguments: 'a'"),
    (["history", "--since", "long ago"], "--since long ago: neither a span"),
    (["history", "--since", "2026-02-30"], "--since 2026-02-30: neither a span"),
    (["history", "--since", "2026-02-03 "], "--since 2026-02-03 : neither a span"),
    (["history", "a", "b"], "too many arguments: 'b'"),
    (["inhibit", "--why", "x"], "inhibit wants a command"),
    (["inhibit", "--why", "x", "--"], "inhibit wants a command"),
    (["inhibit", "true"], "inhibit wants --why"),
    (["inhibit", "--why", "", "true"], "inhibit wants --why"),
    (["inhibit", "--why", "x", "--ttl", "soon", "true"], "--ttl soon: not a span"),
    (["inhibit", "--why", "x", "--ttl", "0", "true"], "--ttl 0: holds nothing"),
    (["inhibit", "--wy", "x", "true"], "unknown option '--wy'; did you mean '--why'?"),
    (["rollback", "a", "b"], "too many arguments: 'b'")])
def test_usage(short_path, arguments, words):
    done = subprocess.run([CTL, *arguments], capture_output=True, text=True, timeout=20,
                          env={"WPCACHE_SOCKET": str(short_path / "none")})
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["help"], ["--help"], ["-h"], ["clear", "--help"], ["help", "clear"]])
def test_help(short_path, arguments):
    done = ctl(short_path / "none", *arguments)
    assert done.returncode == 0 and done.stderr == ""
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    for word in ("status", "clear", "rollback", "watch", "reload", "version", "--keep-mounts", "--json", "inhibit",
                 "--include-mounted", "apps or the name of an",
                 "plan", "explain", "history", "metrics", "ssh-gate", "--host", "--ttl", "--since", "--ignore-inhibitors"):
        assert word in done.stdout


@pytest.mark.parametrize("page, option", [
    ("etc/completion/wpcachectl.bash", "--{}"), ("etc/completion/_wpcachectl", "--{}"),
    ("etc/completion/wpcachectl.fish", "-l {}"), ("docs/man/wpcachectl.1", "-{}")])
def test_documented(short_path, page, option):
    """Every verb and option of `help` is completed and in the man page."""
    shown = ctl(short_path / "none", "help").stdout
    verbs = re.findall(r"^  ([a-z][a-z-]+)", shown, re.M)
    options = re.findall(r"^  (?:-\w, )?--([a-z-]+)", shown, re.M)
    assert len(verbs) == 13 and len(options) == 19
    text = (Path(__file__).parents[2] / page).read_text()
    for word in verbs + [option.format(name) for name in options]:
        assert re.search(re.escape(word) + r"\b", text), word


def test_completion_knows_whose_options_are_whose(short_path):
    """bash is offered exactly those options that a verb takes."""
    common = {"--json", "--host", "--socket", "--color", "--no-pager", "--quiet", "--help", "--version"}
    values = {"--target": "=all", "--wait": "=0", "--why": "=x", "--ttl": "=1h", "--since": "=1h"}
    shown = ctl(short_path / "none", "help").stdout
    owned = {"--" + name for name in re.findall(r"^  (?:-\w, )?--([a-z-]+)", shown, re.M)} - common
    for verb in re.findall(r"^  ([a-z][a-z-]+)", shown, re.M):
        taken = {option for option in owned if "belongs to" not in ctl(
            short_path / "none", option + values.get(option, ""), verb).stderr}
        script = (f"source {Path(__file__).parents[2]}/etc/completion/wpcachectl.bash; COMP_WORDS=(wpcachectl {verb} -); "
                  f"COMP_CWORD=2; _wpcachectl wpcachectl - {verb}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
        # what follows ssh-gate are verbs
        expected = set() if verb == "ssh-gate" else taken | common
        assert {word.partition("=")[0] for word in done.stdout.split()} == expected, verb


def complete(peer: object, *words: str, path: Path | None = None) -> list[str]:
    """What bash is offered after WORDS."""
    script = (f"source {Path(__file__).parents[2]}/etc/completion/wpcachectl.bash; COMP_WORDS=(wpcachectl \"$@\"); "
              "COMP_CWORD=$#; _wpcachectl wpcachectl \"${!#}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; "
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    env = {"PATH": f"{CTL.parent.resolve()}:{os.environ['PATH']}", "WPCACHE_SOCKET": str(getattr(peer, "path", peer))}
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=20, env=env,
                          cwd=path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


TARGETS = ["all", "docker", "builder", "images", "apps"]


def test_completion_knows_the_applications(peer, short_path):
    evil = '{"name":"evil","root":"$(touch ran)'
    apps = [{"name": "frontend", "root": evil, "state": "ok", "context": evil},
            {"name": "back.end-2", "root": "/a]b", "state": "refused", "reason": evil, "context": "/"},
            {"name": "$(touch ran)", "root": "/", "state": "ok", "context": "/"},
            {"name": "a b", "root": "/", "state": "ok", "context": "/"}]
    p = peer({"parameters": {"status": {**STATUS, "apps": apps, "alarms": [{"kind": evil, "message": evil}]}}})
    for words in (("clear", ""), ("plan", ""), ("clear", "--target", ""), ("clear", "--target", "=", "")):
        assert complete(p, *words, path=short_path) == [*TARGETS, "frontend", "back.end-2"], words
    assert complete(p, "clear", "fr", path=short_path) == ["frontend"]
    assert not (short_path / "ran").exists()
    calls = len(p.calls)
    assert "--include-mounted" in complete(p, "clear", "--") and complete(p, "explain", "") == []
    assert len(p.calls) == calls, "asked only where targets are completed"


def test_completion_without_a_daemon(peer, short_path):
    assert complete(short_path / "none", "clear", "") == TARGETS
    for answer in ({"parameters": {"status": {**STATUS, "apps": []}}}, b"garbage\0",
                   {"error": "org.varlink.service.PermissionDenied"}):
        assert complete(peer(answer), "clear", "") == TARGETS
    gone = threading.Event()
    begin = time.monotonic()
    assert complete(peer(lambda conn, call: gone.wait(30) and None), "clear", "") == TARGETS
    assert time.monotonic() - begin < 20
    gone.set()
