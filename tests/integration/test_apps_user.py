"""The daemon as a user of its own: what it can do, and what it says where it can't."""
from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps import (CACHES, POLLING, caches, clear, plan_of, project, remaining, removed, section,
                  trash, tree, wait_for_state)
from daemon import BUILD
from engine import Engine
from helpers import ONE, Daemon, Project, names, wait_until
from policies import status
from scenarios import BACKEND

pytestmark = [ONE, pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")]

USER, SOMEBODY = 61234, 61235
CAPABILITY = ("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override")


def own(path: Path, uid: int) -> Path:
    """All of it."""
    for place, _, files in os.walk(path):
        for name in (place, *(os.path.join(place, file) for file in files)):
            os.lchown(name, uid, uid)
    return path


def daemon_of_user(engine: Engine, directory: Path, extra: str, *privileges: str) -> Daemon:
    """Started as USER, by a wpcached that is a script."""
    build = directory / "build"
    build.mkdir()
    daemon = Daemon(engine.socket, directory / "daemon", extra, build)
    command = shlex.join(["setpriv", "--reuid", str(USER), "--regid", str(USER), *privileges])
    (build / "wpcached").write_text(
        f'#!/bin/sh\nexec {command} {shlex.quote(str(BUILD))}/wpcached "$@"\n')
    (build / "wpcached").chmod(0o755)
    (build / "wpcachectl").symlink_to(BUILD / "wpcachectl")
    own(daemon.dir, USER)
    return daemon


@pytest.fixture
def group(engine: Engine) -> Iterator[tuple[str, ...]]:
    """Only a group may use the engine's socket, and nobody on this host is in it."""
    before = os.stat(engine.socket)
    os.chown(engine.socket, 0, 61236)
    os.chmod(engine.socket, 0o660)
    os.chmod(engine.dir.parent, 0o711)
    yield ("--groups", "61236")
    os.chmod(engine.dir.parent, 0o700)
    os.chown(engine.socket, before.st_uid, before.st_gid)
    os.chmod(engine.socket, before.st_mode & 0o777)


def privileges_of(daemon: Daemon) -> tuple[str, str, str]:
    assert daemon.process
    lines = dict(line.split(":\t", 1) for line in
                 Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines())
    return lines["Uid"].split()[1], lines["Groups"].strip(), lines["CapEff"]


def test_root_of_its_own(engine: Engine, short_path: Path, group: tuple[str, ...]) -> None:
    root = own(project(short_path / "frontend"), USER)
    Project(engine, short_path / "project").build()
    with daemon_of_user(engine, short_path, section(root), *group) as daemon:
        assert privileges_of(daemon) == (str(USER), "61236", "0" * 16)
        receipt = clear(daemon)
        assert removed(receipt) == CACHES["frontend"] and caches(root) == set()
        assert not any("no engine" in text for text in receipt["assumes"]) and trash(daemon) == []
        assert clear(daemon, "all")["outcome"] == "fresh"
    assert BACKEND not in names(engine)


def test_root_of_another(engine: Engine, short_path: Path, group: tuple[str, ...]) -> None:
    """Nothing is lost, and what stands against it is said."""
    root = own(project(short_path / "frontend"), SOMEBODY)
    before = tree(root)
    with daemon_of_user(engine, short_path, section(root) + POLLING, *group) as daemon:
        assert wait_for_state(daemon, "notWritable")["reason"]
        planned = plan_of(daemon, "frontend")
        assert planned["caches"] == [] and len(planned["remaining"]) == len(CACHES["frontend"])
        receipt = clear(daemon, "all", expect=3)
        reasons = remaining(receipt)
        assert set(reasons) == {str(root / path) for path in CACHES["frontend"]}
        assert all("Permission denied" in reason for reason in reasons.values())
        assert receipt["caches"] == [] and receipt["appBytes"] == 0 and trash(daemon) == []
        assert receipt["outcome"] == "notFresh"
    assert tree(root) == before


def test_root_that_it_may_not_read(engine: Engine, short_path: Path,
                                   group: tuple[str, ...]) -> None:
    root = own(project(short_path / "frontend"), SOMEBODY)
    root.chmod(0o700)
    with daemon_of_user(engine, short_path, section(root) + POLLING, *group) as daemon:
        told = wait_for_state(daemon, "unreadable")
        assert remaining(clear(daemon, expect=3)) == {"frontend": told["reason"]}
    assert caches(root) == CACHES["frontend"]


def test_with_the_capability(engine: Engine, short_path: Path, group: tuple[str, ...]) -> None:
    root = own(project(short_path / "frontend"), SOMEBODY)
    os.chmod(root / ".next/server", 0)
    os.chmod(root / ".turbo", 0o700)
    config = section(root) + POLLING
    with daemon_of_user(engine, short_path, config, *group, *CAPABILITY) as daemon:
        assert privileges_of(daemon)[2] == f"{1 << 1:016x}"
        wait_for_state(daemon, "ok")
        receipt = clear(daemon)
        assert removed(receipt) == CACHES["frontend"] and trash(daemon) == []
    assert caches(root) == set()


def test_without_anything(engine: Engine, short_path: Path, group: tuple[str, ...]) -> None:
    """An engine that is there and may not be asked is not one that is not there."""
    root = own(project(short_path / "frontend"), USER)
    before = tree(root)
    with daemon_of_user(engine, short_path, section(root), "--clear-groups") as daemon:
        wait_until(lambda: status(daemon)["engine"]["state"] == "unavailable")
        assert "ermission" in status(daemon)["engine"]["reason"]
        for target in ("frontend", "all"):
            done = daemon.ctl("clear", "--target", target)
            assert done.returncode == 6, done.stdout + done.stderr
            assert "ermission" in done.stderr
        assert tree(root) == before
        assert removed(clear(daemon, "frontend", "--include-mounted")) == CACHES["frontend"]
