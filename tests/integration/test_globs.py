"""[images] match, protect and base: what --check-config refuses is what no image of an engine can be called."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from daemon import BUILD, DaemonError
from engine import Engine
from helpers import Daemon, names, on, tag, wait_until
from policies import status

QUICK = "[poll]\ninterval=1s\nshare=50%\n[images]\n"

# Without wildcards, so that each is a name as well as a glob.
POSSIBLE = ["watchparty-keep", "a", "a.b_c__d---e", "a:V1.0-RC_2", "a:_x", "a:" + "x" * 128, "team/a", "localhost/a",
            "localhost:5000/team/a:1", "Registry.Example/a", "127.0.0.1:5/a/b/c:x", "a-b.c:5/d",
            "localhost/library/a", "team/library", "library/a/b"]
IMPOSSIBLE = ['"watchparty-keep"', "'a'", "“a”", "A", "team/A", "a-", "-a", ".a", "a..b", "a.-b", "a___b", "a//b", "/a",
              "a/", "a:", "a:.x", "a:-x", "a:x+y", "a:" + "x" * 129, "a:b:c", "^a$", "a$", "a;b", "{a", "a}", "a@b", "a|b",
              "reg:x/a", "-reg.example/a", "https://reg/a", "a:5000/B", "<none>", "é", "sha256:0123456789ab"]
# As it can be written, and as the engine lists it.
RENAMED = {"docker.io/a": "a", "docker.io/library/a": "a", "index.docker.io/team/a": "team/a", "library/a": "a"}


def check(directory: Path, lines: str) -> subprocess.CompletedProcess[str]:
    file = directory / "c.conf"
    file.write_text(f"[images]\n{lines}")
    return subprocess.run([BUILD / "wpcached", "--config", file, "--check-config"], capture_output=True, text=True)


def test_the_engine_agrees(engine: Engine, short_path: Path) -> None:
    """Each name is refused exactly if no image is listed by it after `docker tag`."""
    image = engine.import_base("x-import:1")
    for name in [*POSSIBLE, *IMPOSSIBLE, *RENAMED]:
        done = engine.docker("tag", image, name, check=False)
        listed = set(names(engine)) - {"x-import:1"}
        for listed_name in listed:
            engine.docker("rmi", listed_name)
        tagged = name if ":" in name.rsplit("/", 1)[-1] else name + ":latest"
        checked = check(short_path, f"protect={name}\n")
        assert (checked.returncode == 0) == (tagged in listed), (name, listed, done.stderr, checked.stderr)
        assert name in POSSIBLE or checked.stderr.startswith(f"{short_path}/c.conf:2: [images] protect: "), checked
        if name in RENAMED:
            assert f"write '{RENAMED[name]}'" in checked.stderr and listed == {f"{RENAMED[name]}:latest"}


@on("26", "28", "28c")
def test_a_registry_in_capitals(engine: Engine, short_path: Path) -> None:
    """Engine 20.10, and its client, take no registry's name for one without '.' and ':'; later ones do."""
    tag(engine, engine.import_base("x-import:1"), "REGISTRY/a", "1")
    assert "REGISTRY/a:1" in names(engine)
    assert check(short_path, "protect=REGISTRY/*\n").returncode == 0


@pytest.mark.parametrize("key", ["match", "protect", "base"])
@pytest.mark.parametrize("value, write", [
    ('"watchparty-keep*"', "watchparty-keep*"), ("'a', 'b'", "a, b"), ("“a-*”", "a-*"), ('""', "")])
def test_quotes(short_path: Path, key: str, value: str, write: str) -> None:
    done = check(short_path, f"{key}={value}\n")
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
    assert f"c.conf:2: [images] {key}: " in done.stderr
    assert done.stderr.endswith(f"; quotes are not removed: write {key}={write}\n")


def test_reload_refuses(engine: Engine, short_path: Path) -> None:
    """A mistaken glob leaves the one before in force, and it still protects."""
    with Daemon(engine.socket, short_path / "daemon", "[images]\nmatch=a-*\nprotect=\nprotect=a-keep*\n") as daemon:
        engine.import_base("a-keep:1")
        good = daemon.config.read_text()
        for glob in ('"a-keep*"', "a-Keep*", "a-keep*;a-other*", "{a-keep,a-other}", "^a-keep$"):
            daemon.config.write_text(good.replace("protect=a-keep*", f"protect={glob}"))
            done = daemon.ctl("reload")
            assert done.returncode == 1 and "[images] protect: " in done.stderr, done
        daemon.clear()
        assert set(names(engine)) == {"a-keep:1"}


def test_a_list_of_several_lines(engine: Engine, daemon_with) -> None:
    """Five names with their registry do not fit one line; each is protected, whichever line and file it stands in."""
    kept = [f"registry.eu-central-1.example.com:5000/watch-party/production/watchparty-{i}" for i in range(5)]
    image = engine.import_base(f"{kept[0]}:1")
    for name in [*kept[1:], "registry.example/watchparty-x", "watchparty-web"]:
        tag(engine, image, name, "1")
    daemon = daemon_with("[images]\nprotect=" + ", ".join(kept) + "\n", start=False)
    with pytest.raises(DaemonError, match=r"c?onf:\d+: the line has \d+ characters; 198 are possible: repeat protect= "):
        daemon.start()
    base = daemon.config.read_text().rpartition("protect=")[0]
    daemon.config.write_text(base + "protect=watchparty-web\n")
    drop_ins = Path(f"{daemon.config}.d")
    drop_ins.mkdir()
    (drop_ins / "10.conf").write_text("[images]\nprotect=watchparty-web\nprotect=*/watchparty-x\n")
    (drop_ins / "20.conf").write_text("[images]\n" + "".join(f"protect={name}\n" for name in kept))
    daemon.start()
    daemon.clear()
    left = set(names(engine))
    assert left >= {f"{name}:1" for name in kept}
    assert not left & {"watchparty-web:1", "registry.example/watchparty-x:1"}


def test_globs_that_match_no_image_now(engine: Engine, daemon_with, short_path: Path) -> None:
    """They may be misspelt all the same: status tells them, until an image comes that they match."""
    engine.import_base("watchparty-web:1")
    lines = QUICK + ("protect=watchparty-wbe*\nprotect=*:1, team/*, watchparty-web:2\nbase=base-a, base-b\n" +
                     "".join(f"base=base-{i}\n" for i in range(20)))
    daemon = daemon_with(lines)
    wait_until(lambda: "observedAt" in status(daemon))
    notes = status(daemon)["notes"]
    assert notes == ["[images] protect: no image now is matched by 'watchparty-wbe*', 'team/*', 'watchparty-web:2'",
                     "[images] base: 22 globs match no image now, such as 'base-a', 'base-b', 'base-0', 'base-1', "
                     "'base-2'"]
    assert f"       Note: {notes[0]}" in daemon.ctl("status").stdout.splitlines()
    engine.docker("tag", "watchparty-web:1", "watchparty-web:2")
    engine.docker("tag", "watchparty-web:1", "team/x")
    wait_until(lambda: status(daemon)["notes"][0].endswith("by 'watchparty-wbe*'"))


@pytest.fixture
def daemon_with(engine: Engine, short_path: Path):
    """daemon_with(CONFIGURATION): a daemon, its [images] section not set otherwise."""
    made: list[Daemon] = []

    def make(extra: str, start: bool = True) -> Daemon:
        daemon = Daemon(engine.socket, short_path / "daemon")
        daemon.config.write_text(daemon.config.read_text().replace("protect=watchparty-protected\n", "") + extra)
        if start:
            daemon.start()
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        if daemon.process and daemon.process.poll() is None:
            daemon.stop()
