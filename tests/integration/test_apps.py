"""Caches of applications: exactly they are cleared, and what is said of them is so."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import proxy as proxy_module
from apps import (CACHES, POLLING, app, caches, clear, fill, mounted, plan_of, project, remaining,
                  removed, section, tmpfs, trash, tree, wait_for_state, without_caches,
                  without_engine, write)
from daemon import DaemonError
from engine import Engine
from helpers import ONE, Daemon, Project, load, names, receipts, records, start, wait_until
from policies import ctl_json, hasty, status
from proxy import Proxy
from scenarios import BACKEND
from stub import Stub
from test_policy import AGED

proxy = proxy_module.proxy  # the fixture

SUCCESS = ("SUCCESS: Application caches cleared; Docker's caches untouched, the next build may be "
           "CACHED")
BOTH = ("frontend", "backend")


@pytest.fixture
def roots(short_path: Path) -> dict[str, Path]:
    """Both applications, each with its caches."""
    return {name: project(short_path / name, name) for name in BOTH}


def configuration(roots: dict[str, Path]) -> str:
    return "".join(section(root, name) for name, root in roots.items())


# What is cleared

@pytest.mark.parametrize("target, cleared", [
    ("frontend", {"frontend"}), ("backend", {"backend"}), ("apps", {"frontend", "backend"})])
def test_targets(short_path: Path, roots: dict[str, Path], target: str, cleared: set[str]) -> None:
    """The configured caches and nothing else; without an engine, which is said."""
    before = {name: without_caches(root, name) for name, root in roots.items()}
    with without_engine(short_path, configuration(roots)) as daemon:
        done = daemon.ctl("clear", "--target", target)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == SUCCESS
        assert "Clearing Docker build cache" not in done.stdout
        receipt, = receipts(daemon)
        assert trash(daemon) == []
        history = ctl_json(daemon, "history")
        told = daemon.ctl("history", receipt["id"]).stdout
    for name, root in roots.items():
        assert caches(root, name) == (set() if name in cleared else CACHES[name])
        assert without_caches(root, name) == before[name]
    assert receipt["target"] == target and receipt["outcome"] == "cleared"
    assert receipt["remaining"] == [] and receipt["notReached"] == []
    expected = {(name, path) for name in cleared for path in CACHES[name]}
    assert {(cache["app"], cache["path"]) for cache in receipt["caches"]} == expected
    assert receipt["appBytes"] == sum(cache["bytes"] for cache in receipt["caches"]) > 0
    assert all(cache["bytes"] > 0 for cache in receipt["caches"])
    step, = (step for step in receipt["removed"] if step["step"] == "caches")
    assert step["objects"] == len(expected)
    assert any("no engine" in text for text in receipt["assumes"])
    assert [(run["target"], run["outcome"]) for run in history["runs"]] == [(target, "cleared")]
    for name in cleared:
        assert f"{name}: {len(CACHES[name])} caches removed, " in done.stdout
        assert f"{name}: {len(CACHES[name])} caches removed, " in told


def test_all(engine: Engine, short_path: Path, roots: dict[str, Path]) -> None:
    """Docker's caches and the applications', in one word; `docker` leaves the latter alone."""
    before = {name: without_caches(root, name) for name, root in roots.items()}
    builds = Project(engine, short_path / "project")
    builds.build()
    with Daemon(engine.socket, short_path / "other", configuration(roots)) as daemon:
        plan = plan_of(daemon, "all")
        assert plan["records"] > 0 and len(plan["caches"]) == 8 and len(plan["apps"]) == 2
        assert {name["name"] for name in plan["names"]} == {BACKEND}

        receipt = clear(daemon, "docker")
        assert receipt["outcome"] == "fresh" and receipt["caches"] == []
        assert all(caches(root, name) == CACHES[name] for name, root in roots.items())
        builds.build()

        receipt = clear(daemon, "all")
        assert receipt["outcome"] == "fresh" and receipt["fresh"] and not receipt["remaining"]
        assert len(receipt["caches"]) == 8 and receipt["appBytes"] > 0
        assert {step["step"] for step in receipt["removed"]} >= {"names", "records", "caches"}
        assert BACKEND not in names(engine) and not records(engine)
        assert trash(daemon) == []
        build = builds.build()
        assert build.cached == 0
        # and with nothing of Docker's to clear
        clear(daemon, "all")
        fill(roots["frontend"])
        receipt = clear(daemon, "all")
        assert receipt["outcome"] == "fresh" and removed(receipt) == CACHES["frontend"]
        assert daemon.ctl("clear").stdout.splitlines()[-1] == "SUCCESS: Docker build cache cleared"
    for name, root in roots.items():
        assert caches(root, name) == set() and without_caches(root, name) == before[name]


def test_one_in_another(short_path: Path) -> None:
    """Whatever is found twice goes once, and the trash of one is in nobody's build context."""
    outer = project(short_path / "party", "backend")
    inner = project(outer / "web")
    before = without_caches(inner)
    (short_path / "way").symlink_to(outer)  # which no text tells
    config = (section(outer, "backend", caches="__pycache__, .next") +
              section(inner, "frontend", trash=str(short_path / "way/trash")))
    with without_engine(short_path, config) as daemon:
        receipt = clear(daemon, "apps")
        found = [(cache["app"], cache["path"]) for cache in receipt["caches"]]
        assert len(found) == len(set(found)) == 8, found
        assert [note for note in receipt["notes"] if "where they lay" in note], receipt["notes"]
        assert not (outer / "trash").exists()
    assert caches(outer, "backend") == caches(inner) == set()
    assert without_caches(inner) == before


def test_reload(short_path: Path, roots: dict[str, Path]) -> None:
    """An application that is new in the configuration can be cleared at once, and one that is no
    longer there can't."""
    with without_engine(short_path, section(roots["frontend"])) as daemon:
        text = daemon.config.read_text()
        backend = section(roots["backend"], "backend")
        daemon.config.write_text(text.replace(section(roots["frontend"]), backend))
        assert daemon.ctl("reload").returncode == 0
        assert removed(clear(daemon, "backend")) == CACHES["backend"]
        done = daemon.ctl("clear", "--target", "frontend")
        assert done.returncode == 2 and "backend" in done.stderr
        daemon.config.write_text(text.replace(str(roots["frontend"]), "/etc"))
        assert daemon.ctl("reload").returncode != 0
        fill(roots["backend"], "backend")
        assert removed(clear(daemon, "apps")) == CACHES["backend"]
    assert caches(roots["frontend"]) == CACHES["frontend"]


def test_twice(short_path: Path, roots: dict[str, Path]) -> None:
    with without_engine(short_path, configuration(roots)) as daemon:
        assert clear(daemon, "apps")["passes"] > 0
        again = clear(daemon, "apps")
        assert again["outcome"] == "cleared" and again["caches"] == [] and again["appBytes"] == 0
        assert again["passes"] == 0


def test_many(short_path: Path) -> None:
    """More than one look keeps, in a tree with as many directories around them."""
    with tmpfs(short_path / "disk") as disk:
        root = write(disk / "frontend", "package.json")
        for i in range(4500):
            (root / f"{i // 100}/{i}/.next").mkdir(parents=True)
        with without_engine(short_path, section(root)) as daemon:
            receipt = clear(daemon)
            step, = (step for step in receipt["removed"] if step["step"] == "caches")
            assert step["objects"] == 4500 and len(receipt["caches"]) == 100
            assert trash(daemon, disk / ".wpcache-trash") == []
        assert not list(root.glob("*/*/.next"))


def test_plan(short_path: Path, roots: dict[str, Path]) -> None:
    """Tells each cache with its size, and touches nothing."""
    (roots["frontend"] / ".next/large").write_bytes(b"x" * 1_000_000)
    before = [tree(root) for root in roots.values()]
    with without_engine(short_path, configuration(roots)) as daemon:
        plan = plan_of(daemon, "frontend")
        assert {cache["path"] for cache in plan["caches"]} == CACHES["frontend"]
        sizes = {cache["path"]: cache["bytes"] for cache in plan["caches"]}
        assert 1_000_000 <= sizes[".next"] < 1_100_000 and 0 < sizes[".turbo"] < 100_000
        assert {cache["reach"] for cache in plan["caches"]} == {"context"}
        told, = plan["apps"]
        assert told["name"] == "frontend" and told["root"] == str(roots["frontend"])
        assert told["state"] == "ok" and told["context"] == told["root"]
        assert told["caches"] == told["reached"] == 5 and told["bytes"] == sum(sizes.values())
        assert plan["records"] == 0 and plan["names"] == [] and plan["remaining"] == []
        text = daemon.ctl("plan", "--target", "frontend").stdout
        assert all(path in text for path in CACHES["frontend"]) and "prune" not in text
        dry = daemon.ctl("clear", "--dry-run", "frontend")
        assert dry.returncode == 0 and ".next" in dry.stdout
        assert len(plan_of(daemon, "apps")["caches"]) == 8
        assert receipts(daemon) == [] and trash(daemon) == []
    assert [tree(root) for root in roots.values()] == before


def test_status(short_path: Path, roots: dict[str, Path]) -> None:
    with without_engine(short_path, configuration(roots) + POLLING) as daemon:
        wait_until(lambda: "searchedAt" in app(daemon, "frontend"))
        told = app(daemon)
        assert told["state"] == "ok" and told["root"] == str(roots["frontend"])
        assert told["caches"] == told["reached"] == 5
        clear(daemon)
        wait_until(lambda: app(daemon).get("caches") == 0)
        assert app(daemon, "backend")["caches"] == 3
        text = daemon.ctl("status").stdout
        assert f"frontend at {roots['frontend']}, 0 caches" in text
        assert f"backend at {roots['backend']}, 3 caches" in text


def test_unknown_target(short_path: Path, roots: dict[str, Path]) -> None:
    with without_engine(short_path, configuration(roots)) as daemon:
        for verb in ("clear", "plan"):
            done = daemon.ctl(verb, "--target", "frontnd")
            assert (done.returncode, done.stdout) == (2, "")
            for known in ("all", "docker", "apps", "frontend", "backend"):
                assert known in done.stderr
        assert receipts(daemon) == []
    assert caches(roots["frontend"]) == CACHES["frontend"]


def test_links_and_files_are_no_caches(short_path: Path) -> None:
    root = write(short_path / "frontend", "package.json", "a/.turbo", "b/.next/BUILD_ID")
    outside = write(short_path / "outside", ".next/BUILD_ID", "package.json")
    (root / ".next").symlink_to(outside)
    (root / "src").symlink_to(outside)
    os.mkfifo(root / "a/.next")
    before = tree(root), tree(outside)
    with without_engine(short_path, section(root)) as daemon:
        receipt = clear(daemon)
    assert removed(receipt) == {"b/.next"}
    assert [note for note in receipt["notes"] if f"{root}/.next is a symlink" in note]
    after = tree(root), tree(outside)
    assert after[1] == before[1]
    assert after[0] == {path: info for path, info in before[0].items()
                        if b"/b/.next" not in path}


# Whether a cache can be in an image

@pytest.mark.parametrize("ignore, keys, reach", [
    (".next\n", {}, "ignored"),
    ("**/.next\n!.next\n", {}, "context"),
    ("dist\n", {}, "context"),
    (None, {}, "context"),
    (None, {"context": "{root}/docker"}, "outside"),
])
def test_reach(short_path: Path, ignore: str | None, keys: dict[str, str], reach: str) -> None:
    root = write(short_path / "frontend", "package.json", ".next/BUILD_ID", "docker/Dockerfile")
    if ignore:
        (root / ".dockerignore").write_text(ignore)
    keys = {key: value.format(root=root) for key, value in keys.items()}
    with without_engine(short_path, section(root, **keys)) as daemon:
        plan = plan_of(daemon, "frontend")
        assert [cache["reach"] for cache in plan["caches"]] == [reach]
        assert plan["apps"][0]["reached"] == (reach == "context")
        assert plan["apps"][0]["context"] == keys.get("context", str(root))
        receipt = clear(daemon)
        assert [cache["reach"] for cache in receipt["caches"]] == [reach]
    assert not (root / ".next").exists()


# Engines that do not answer may run containers that have caches mounted

@pytest.mark.parametrize("fault", ["hang", "hang at once", "garbage"])
def test_engine_that_does_not_answer(short_path: Path, roots: dict[str, Path], fault: str) -> None:
    before = tree(roots["frontend"])
    config = configuration(roots) + "[docker]\ntimeout=1s\n"
    with Stub(short_path / "e") as stub, Daemon(stub.path, short_path / "d", config) as daemon:
        if fault == "garbage":
            stub.garbage = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<!DOCTYPE"
        else:
            stub.stall("/" if fault == "hang at once" else "/containers")
        done = daemon.ctl("clear", "--target", "frontend")
        assert done.returncode == 6, done.stdout + done.stderr
        assert tree(roots["frontend"]) == before and trash(daemon) == []
        assert "SUCCESS" not in done.stdout
        if fault == "garbage":  # which takes no time
            plan = daemon.ctl("plan", "--target", "frontend")
            assert plan.returncode == 6, plan.stdout + plan.stderr
        if fault != "hang at once":
            clear(daemon, "frontend", "--include-mounted")
            assert caches(roots["frontend"]) == set()
            assert caches(roots["backend"], "backend") == CACHES["backend"]
        stub.garbage = b""
        stub.release()


# Roots

def test_root_that_comes_and_goes(short_path: Path) -> None:
    root = short_path / "frontend"
    with without_engine(short_path, section(root) + POLLING) as daemon:
        told = wait_for_state(daemon, "missing")
        assert told["reason"] and "caches" not in told
        assert remaining(clear(daemon, expect=3)) == {"frontend": told["reason"]}
        told = plan_of(daemon, "frontend")
        assert [left["kind"] for left in told["remaining"]] == ["app"]
        assert f"{root} does not exist" in daemon.ctl("status").stdout

        root.mkdir()
        told = wait_for_state(daemon, "empty")
        assert remaining(clear(daemon, expect=3)) == {"frontend": told["reason"]}

        project(root)
        wait_for_state(daemon, "ok")
        wait_until(lambda: app(daemon).get("caches") == 5)
        assert removed(clear(daemon)) == CACHES["frontend"]

        fill(root)
        (root / "package.json").unlink()
        shutil.rmtree(root / ".git")
        told = wait_for_state(daemon, "refused")
        assert remaining(clear(daemon, expect=3)) == {"frontend": told["reason"]}
        assert caches(root) == CACHES["frontend"]


@pytest.mark.parametrize("start", ["empty", "readOnly"])
def test_root_that_is_no_use_at_start(short_path: Path, start: str) -> None:
    """The daemon runs, and a clear of all that there is says what it did not do."""
    root = short_path / "frontend"
    config = section(root) + section(project(short_path / "backend", "backend"), "backend")
    if start == "empty":
        root.mkdir()
        with without_engine(short_path, config) as daemon:
            receipt = clear(daemon, "apps", expect=3)
            wait_for_state(daemon, start)
    else:
        before = tree(project(root))
        with mounted(root, "--bind", root):
            subprocess.run(["mount", "-o", "remount,bind,ro", root], check=True)
            with without_engine(short_path, config) as daemon:
                receipt = clear(daemon, "apps", expect=3)
                wait_for_state(daemon, start)
        assert tree(root) == before
    assert receipt["outcome"] == "notCleared"
    assert set(remaining(receipt)) == {"frontend"}
    assert removed(receipt) == CACHES["backend"]


def test_root_that_is_replaced(short_path: Path) -> None:
    """A link that somebody else put in its place is not followed."""
    root = project(short_path / "frontend")
    outside = project(short_path / "outside")
    before = tree(outside)
    with without_engine(short_path, section(root) + POLLING) as daemon:
        wait_for_state(daemon, "ok")
        root.rename(short_path / "aside")
        root.symlink_to(outside)
        os.lchown(root, 65534, 65534)
        told = wait_for_state(daemon, "refused")
        assert remaining(clear(daemon, expect=3)) == {"frontend": told["reason"]}
    assert tree(outside) == before


def refused(directory: Path, extra: str) -> str:
    """What wpcached says of a mistake, at its start and when it is asked."""
    daemon = without_engine(directory, extra)
    checked = subprocess.run(
        [daemon.build / "wpcached", "--config", daemon.config, "--check-config"],
        capture_output=True, text=True)
    assert checked.returncode == 1 and checked.stdout == "", checked
    with pytest.raises(DaemonError, match="exit 1"):
        daemon.start()
    line, = checked.stderr.splitlines()
    assert line.split(": ", 1)[1] in daemon.log
    return line


@pytest.mark.parametrize("root", ["/", "/etc", "/usr/share", "/root", "/srv/../etc", "relative",
                                  "{0}/file", "{0}/docs"])
def test_roots_that_are_none(short_path: Path, root: str) -> None:
    write(short_path, "file", "docs/README")
    line = refused(short_path, section(root.format(short_path)))
    assert "[app frontend] root: " in line and "wpcached.conf:" in line


def test_home_is_no_root(short_path: Path) -> None:
    """In a mount namespace, for a home has to lie where homes are."""
    daemon = without_engine(short_path, section("/home/somebody"))
    script = """set -e
        mount -t tmpfs -o mode=755 wpcache-test /home
        mkdir /home/somebody
        touch /home/somebody/package.json
        exec "$@" """
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
         daemon.build / "wpcached", "--config", daemon.config, "--check-config"],
        capture_output=True, text=True)
    assert done.returncode == 1 and "[app frontend] root: " in done.stderr, done
    assert "home" in done.stderr


@pytest.mark.parametrize("caches", ["..", "../.next", "a/../b", "/etc", "/", ".", "a//b", ""])
def test_names_that_are_none(short_path: Path, caches: str) -> None:
    root = project(short_path / "frontend")
    assert "[app frontend] caches: " in refused(short_path, section(root, caches=caches))


# The daemon on its own, and those who hold it

@ONE
def test_policy_touches_no_cache(engine: Engine, short_path: Path, roots: dict[str, Path]) -> None:
    load(engine, 2, "watchparty-backend")
    before = [tree(root) for root in roots.values()]
    with hasty(engine, short_path / "daemon", AGED + configuration(roots)) as daemon:
        wait_until(lambda: app(daemon).get("caches") == 5)
        daemon.clock.go_on(days=31)
        wait_until(lambda: not names(engine))
        wait_until(lambda: "job" not in status(daemon))
        assert trash(daemon) == []
    assert [tree(root) for root in roots.values()] == before


def test_inhibitors(short_path: Path, roots: dict[str, Path]) -> None:
    with without_engine(short_path, configuration(roots)) as daemon:
        deploy = start(daemon, "inhibit", "--why", "deploy", "--", "/bin/sleep", "60")
        wait_until(lambda: status(daemon)["inhibitors"])
        held = daemon.ctl("clear", "--target", "frontend", "--no-wait")
        assert held.returncode == 7 and "deploy" in held.stderr, held.stdout + held.stderr
        assert caches(roots["frontend"]) == CACHES["frontend"]
        clear(daemon, "frontend", "--ignore-inhibitors")
        waiting = start(daemon, "clear", "--json=short", "--target", "backend")
        wait_until(lambda: "1 queued" in daemon.ctl("status").stdout)
        assert caches(roots["backend"], "backend") == CACHES["backend"]
        deploy.terminate()
        deploy.communicate()
        assert json.loads(waiting.communicate()[0])["outcome"] == "cleared"
    assert caches(roots["backend"], "backend") == set()


@ONE
def test_engine_hears_nothing(proxy: Proxy, short_path: Path, roots: dict[str, Path]) -> None:
    """Of a clear of applications, but for the question which containers there are."""
    with Daemon(proxy.socket, short_path / "daemon", configuration(roots)) as daemon:
        clear(daemon, "apps")
        assert proxy.changes == [] and proxy.sent("GET", "^/containers/json")


def test_none_configured(short_path: Path) -> None:
    with without_engine(short_path, "") as daemon:
        done = daemon.ctl("clear", "apps")
        assert done.returncode == 3 and "no application is configured" in done.stdout, done.stdout
        assert "[app NAME]" in done.stdout
