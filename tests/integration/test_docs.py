"""What the pages show is what the programs take: commands, configuration, fields, metrics, examples, links."""
from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import yaml

from apps import project
from daemon import BUILD, DaemonError
from engine import Engine
from helpers import ONE, Daemon, Project, receipts
from pages import DOCS, PAGES, SHOWN, TOP, anchors, commands, links, of, promtool
from scenarios import ALL, BACKEND, ROWS

MAN = {page.name: page.read_text().replace("\\&", "") for page in (DOCS / "man").iterdir()}
WORKFLOW = DOCS / "examples/clear-caches.yml"
RULES = DOCS / "examples/wpcache.rules.yml"
DEPLOY = DOCS / "examples/deploy.sh"
TARGETS = {"all", "docker", "builder", "images", "apps"}


# Command lines

def show(words: list[str]) -> str:
    return " ".join(words)


CALLS = sorted({tuple(words) for page in SHOWN for words in commands(page)})


def test_every_page_shows_commands() -> None:
    """So that a change of the way they are found is seen."""
    assert {page.name: len([*commands(page)]) >= n for page, n in zip(SHOWN, (30, 45, 15, 3))} == {
        page.name: True for page in SHOWN}, {page.name: len([*commands(page)]) for page in SHOWN}


@pytest.mark.parametrize("words", CALLS, ids=show)
def test_commands(words: tuple[str, ...], tmp_path: Path) -> None:
    """Verbs, options and their values are known. There is no daemon, so that nothing is done."""
    program, *arguments = words
    env = os.environ | {"WPCACHE_SOCKET": str(tmp_path / "none"), "PATH": str(tmp_path),
                        "SSH_ORIGINAL_COMMAND": "wpcachectl status", "SSH_CONNECTION": "::1 1 ::1 2"}
    if program == "wpcached":
        arguments.append("--version")
    elif "inhibit" in arguments and arguments[0] != "ssh-gate":
        arguments.insert(arguments.index("inhibit") + 1, "--require")  # the command is not run
    done = subprocess.run([BUILD / program, *arguments], env=env, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60)
    incomplete = words in {("wpcachectl", "inhibit"), ("wpcachectl", "explain"), ("wpcachectl", "ssh-gate")}
    assert done.returncode in ((0, 5, 125) if not incomplete else (2,)), done.stderr


@pytest.mark.parametrize("block", of("sh"), ids=str)
def test_shell(block, tmp_path: Path) -> None:
    done = subprocess.run(["shellcheck", "--shell=sh", "--severity=warning", "-"], input=block.text,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_exit_statuses() -> None:
    """The tables tell of the same ones as the manual."""
    manual = MAN["wpcachectl.1"].partition(".Sh EXIT STATUS")[2].partition(".Sh EXAMPLES")[0]
    known = set(re.findall(r"(?m)^\.It (\d+)$", manual)) | {"130"}
    table = (DOCS / "OPERATIONS.md").read_text().partition("## Exit status")[2].partition("\n## ")[0]
    assert set(re.findall(r"\d+", " ".join(re.findall(r"(?m)^\| ([\d, ]+) \|", table)))) == known


# The freshness matrix

def matrix(engine: str) -> list[tuple[str, str]]:
    """The rows of docs/FRESHNESS.md for an engine: title, and the cell of wpcachectl."""
    section = (DOCS / "FRESHNESS.md").read_text().partition(f"\n## Engine {engine} (")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [(row[0], row[1]) for row in rows[1:]]


@pytest.mark.parametrize("engine", ALL)
def test_freshness_matrix(engine: str) -> None:
    """Each row that test_freshness.py plays on this engine, in the order of scenarios.py, and with the exit status
    that it expects. What `tests/bench/freshness --engines ENGINE --rows ROW` prints is a line of the table."""
    rows = [row for row in ROWS.values() if engine in row.engines]
    shown = matrix(engine)
    assert [title for title, _ in shown] == [row.title for row in rows]
    for row, (title, cell) in zip(rows, shown):
        cached, _, status = cell.partition("/")
        assert status == (str(row.expect(engine)) if row.expect(engine) else "ok"), title
        assert (cached == "0") == (status == "ok" or bool(row.needless)), title


# Configuration

INI = of("ini")


@pytest.mark.parametrize("block", INI, ids=str)
def test_configuration(block, tmp_path: Path) -> None:
    if re.search(r"(?m)^\[(Unit|Service|Timer|Socket|Install)\]$", block.text):
        kind = "timer" if "[Timer]" in block.text else "service"
        stub = {"service": "", "timer": "[Timer]\nOnCalendar=daily\n"}
        (tmp_path / "x.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
        (tmp_path / f"x.{kind}").write_text(
            ((tmp_path / "x.service").read_text() if kind == "service" else stub[kind]) + block.text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / f"x.{kind}"],
                              capture_output=True, text=True)
        about = [line for line in done.stderr.splitlines() if f"x.{kind}" in line]
        assert done.returncode == 0 and not about, done.stderr
        return
    (tmp_path / "wpcached.conf").write_text(block.text)
    done = subprocess.run([BUILD / "wpcached", "--config", tmp_path / "wpcached.conf", "--check-config"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_alarm_command_is_taken_whole(tmp_path: Path) -> None:
    """A blank and ';' would start a comment."""
    for block in INI:
        for command in re.findall(r"(?m)^command=(.*)$", block.text):
            assert " ;" not in command
            assert subprocess.run(["sh", "-nc", command]).returncode == 0
            for variable in re.findall(r"\$(\w+)", command):
                assert f".It Ev {variable}" in MAN["wpcached.8"] or variable in MAN["wpcached.8"]


# Backup, and a daemon that is older than its database

def root_commands(section: str, state: Path, backup: Path) -> list[str]:
    """What a section has root do to files, elsewhere; in order. The units are the test's."""
    text = (DOCS / "OPERATIONS.md").read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = re.findall(r"(?m)^sudo ((?:tar|rm|mv) .*)$", text)
    return [line.replace("/var/lib", str(state)).replace("/root", str(backup)) for line in lines]


@ONE
def test_backup(engine: Engine, short_path: Path) -> None:
    Project(engine, short_path / "build").build()
    state = short_path / "daemon/state"
    daemon = Daemon(engine.socket, short_path / "daemon")
    daemon.state = state / "wpcache"
    daemon.state.mkdir(parents=True)
    save, remove, restore = root_commands("Backup and restore", state, short_path)
    with daemon:
        assert daemon.clear().returncode == 0
        daemon.stop()
        subprocess.run(save, shell=True, check=True)
        subprocess.run(remove, shell=True, check=True)
        assert not daemon.state.exists()
        daemon.state.mkdir()
        daemon.start()
        assert not json.loads(daemon.ctl("history", "--json=short").stdout)["runs"]
        daemon.stop()
        subprocess.run(remove, shell=True, check=True)
        subprocess.run(restore, shell=True, check=True)
        daemon.start()
        run, = json.loads(daemon.ctl("history", "--json=short").stdout)["runs"]
        assert run["kind"] == "clear" and run["outcome"] == "fresh"


@ONE
def test_downgrade(engine: Engine, short_path: Path) -> None:
    daemon = Daemon(engine.socket, short_path / "daemon")
    daemon.state = short_path / "wpcache"
    daemon.state.mkdir()
    with daemon:
        daemon.stop()
        with closing(sqlite3.connect(daemon.state / "wpcache.db")) as store:
            store.execute("PRAGMA user_version = 99")
        before = (daemon.state / "wpcache.db").read_bytes()
        with pytest.raises(DaemonError, match="was written by a newer wpcached.*left as it is"):
            daemon.start()
        assert (daemon.state / "wpcache.db").read_bytes() == before
        aside, = root_commands("Upgrade, downgrade, remove", short_path, short_path)
        subprocess.run(aside, shell=True, check=True)
        daemon.state.mkdir()
        daemon.start()
        assert (short_path / "wpcache.newer/wpcache.db").read_bytes() == before


# The journal

FIELDS = MAN["wpcached.8"].partition(".Ss Logging")[2].partition(".Sh ENVIRONMENT")[0]
JOURNAL = [line for page in SHOWN for block in of("sh", page) for line in
           block.text.replace("\\\n", " ").replace("|\n", "| ").splitlines() if line.startswith("journalctl")]


@pytest.mark.parametrize("line", JOURNAL)
def test_journal(line: str, tmp_path: Path) -> None:
    """Fields and their values are the manual's; journalctl takes the options."""
    command = re.sub(r" -f\b", "", line.partition(" | ")[0])
    command = re.sub(r"\s{2,}#.*", "", command)
    for field, value in re.findall(r"\b([A-Z_]{4,})=(\S+)", command):
        assert re.search(rf"(?m)^\.It Ev .*\b{field}\b", FIELDS), field
        if field == "WPCACHE_TARGET":
            assert value in TARGETS | app_names()
        else:
            assert f".Ql {value}" in FIELDS, value
    for field in re.findall(r"\.(WPCACHE_\w+)", line):
        assert re.search(rf"(?m)^\.It Ev .*\b{field}\b", FIELDS), field
    done = subprocess.run([*command.split(), "--quiet", "--no-pager", "--directory", tmp_path],
                          capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_journal_lines_are_found() -> None:
    assert len(JOURNAL) >= 8


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_names_in_capitals(page: Path) -> None:
    """Environment and fields are in a manual; what the workflow wants set is in the workflow."""
    known = "".join(MAN.values()) + WORKFLOW.read_text()
    for name in sorted(set(re.findall(r"\bWPCACHE_[A-Z_]+\b", page.read_text()))):
        assert re.search(rf"\b{name}\b", known) or name == "WPCACHE_TEST_CACHE", name


# Links

@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() and target.is_relative_to(TOP), link
        assert not anchor or anchor in anchors(target), link
    for name in re.findall(r"/usr/share/doc/wpcache/(examples/[\w.-]+)", page.read_text()):
        assert (DOCS / name).exists(), name


def test_every_page_is_linked() -> None:
    linked = {(page.parent / link.partition("#")[0]).resolve() for page in PAGES for link in links(page)}
    assert not {page for page in (*DOCS.glob("*.md"), *DOCS.glob("examples/*"))} - linked


# Prometheus

def app_names() -> set[str]:
    return {name for block in of("ini", DOCS / "OPERATIONS.md")
            for name in re.findall(r"(?m)^\[app ([^]]+)\]$", block.text)}


def apps_config(root: Path) -> str:
    """The applications of the page, below ROOT."""
    text = next(block.text for block in of("ini", DOCS / "OPERATIONS.md") if "[app " in block.text)
    return text[text.index("[app "):].replace("/srv/watch-party", str(root))


def metrics(engine: Engine, path: Path) -> str:
    for name in sorted(app_names()):
        project(path / "apps" / name, name)
    with Daemon(engine.socket, path / "daemon", apps_config(path / "apps")) as daemon:
        deadline = time.monotonic() + 30
        while True:
            text = daemon.ctl("metrics").stdout
            if "wpcache_disk_free_bytes{" in text and "wpcache_app_caches{" in text:
                return text
            assert time.monotonic() < deadline, text
            time.sleep(0.1)


@ONE
def test_rules_are_of_metrics_that_exist(engine: Engine, short_path: Path) -> None:
    text = metrics(engine, short_path)
    assert subprocess.run([promtool(), "check", "metrics"], input=text, text=True).returncode == 0
    samples = re.findall(r"(?m)^(wpcache_\w+)(?:\{(\w+)=\"([^\"]*)\"\})? ", text)
    names = {name for name, _, _ in samples} | {"wpcache_last_clear_fresh"}
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert len(rules) >= 6
    for rule in rules:
        used = re.findall(r"\b(wpcache_\w+)(?:\{(\w+)=~?\"([^\"]*)\"\})?", rule["expr"])
        assert used, rule
        for name, label, value in used:
            assert name in names, name
            values = {v for n, k, v in samples if n == name and k == label}
            assert not label or set(value.split("|")) <= values, (value, values)
        labels = {k for name, _, _ in used for n, k, _ in samples if n == name if k}
        shown = set(re.findall(r"\$labels\.(\w+)", str(rule["annotations"])))
        assert shown <= labels | {"instance"}, rule["alert"]
    for name in re.findall(r"\bwpcache_[a-z_]+\b", "".join(page.read_text() for page in SHOWN)):
        assert name in names, name


# Series as the text file would have them, one value a minute; when an alert is there, and with what.
PLAYED = [
    ("WpcacheMissing", {"up": "1x60"}, 20, [{}]),
    ("WpcacheMissing", {"wpcache_up": "1x60"}, 20, []),
    ("WpcacheStale", {"wpcache_last_poll_timestamp_seconds": "0x90"}, 70, [{}]),
    ("WpcacheStale", {"wpcache_last_poll_timestamp_seconds": "0+60x90"}, 90, []),
    ("WpcacheAlarm", {'wpcache_alarm{kind="diskPressure"}': "0 0 1x10", 'wpcache_alarm{kind="passFailed"}': "0x20"},
     5, [{"kind": "diskPressure"}]),
    ("WpcacheAlarm", {'wpcache_alarm{kind="diskPressure"}': "1 1 0x10"}, 5, []),
    ("WpcacheNotCleared", {'wpcache_clears_total{outcome="notFresh"}': "0x5 1x30",
                           'wpcache_clears_total{outcome="fresh"}': "0x5 7x30"}, 20, [{"outcome": "notFresh"}]),
    ("WpcacheNotCleared", {'wpcache_clears_total{outcome="notFresh"}': "3x100"}, 80, []),
    ("WpcacheConfigError", {"wpcache_config_error": "1x60"}, 10, [{}]),
    ("WpcacheConfigError", {"wpcache_config_error": "0x60"}, 10, []),
    ("WpcacheAppUnclearable", {'wpcache_app_ok{app="frontend"}': "0x60", 'wpcache_app_ok{app="backend"}': "1x60"},
     40, [{"app": "frontend"}]),
    ("WpcacheInhibited", {"wpcache_inhibitors": "1x300"}, 270, [{}]),
    ("WpcacheInhibited", {"wpcache_inhibitors": "1x30 0 1x240"}, 200, []),
    ("WpcacheDiskFilling", {'wpcache_disk_free_bytes{path="/"}': "100000-100x500"}, 300, [{"path": "/"}]),
    ("WpcacheDiskFilling", {'wpcache_disk_free_bytes{path="/"}': "100000-10x500"}, 300, []),
]


def test_alerts(tmp_path: Path) -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert {name for name, *_ in PLAYED} == {rule["alert"] for rule in rules}
    tests = []
    for name, series, minute, expected in PLAYED:
        rule = next(rule for rule in rules if rule["alert"] == name)

        def text(template: str, labels: dict[str, str]) -> str:
            return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda m: {"instance": "h", **labels}[m[1]], template)

        def with_instance(one: str) -> str:
            return one.replace("{", '{instance="h",') if "{" in one else one + '{instance="h"}'

        alone = name == "WpcacheMissing"
        annotations = [{key: text(value, labels).replace("{{ $value | humanizeDuration }}", "1h 10m 0s")
                        for key, value in rule["annotations"].items()} for labels in expected]
        tests.append({
            "interval": "1m",
            "input_series": [{"series": with_instance(key), "values": value} for key, value in series.items()],
            "alert_rule_test": [{
                "eval_time": f"{minute}m", "alertname": name,
                "exp_alerts": [{"exp_labels": {**rule["labels"], **labels, **({} if alone else {"instance": "h"})},
                                "exp_annotations": told} for labels, told in zip(expected, annotations)]}]})
    shutil.copy(RULES, tmp_path)
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [RULES.name], "tests": tests}))
    for check in (["check", "rules", RULES], ["test", "rules", tmp_path / "test.yml"]):
        done = subprocess.run([promtool(), *check], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


# The workflow

def workflow() -> dict[object, object]:
    return yaml.safe_load(WORKFLOW.read_text())


def test_workflow_is_one() -> None:
    page = workflow()
    inputs = page[True]["workflow_dispatch"]["inputs"]  # "on" is true in YAML 1.1
    job, = page["jobs"].values()
    step, = job["steps"]
    assert page["name"] == "Clear Application Caches" and page["permissions"] == {}
    assert set(inputs["target"]["options"]) == TARGETS - {"builder", "images"} | app_names()
    assert inputs["target"]["default"] == "all" and inputs["target"]["type"] == "choice"
    assert job["runs-on"] and job["timeout-minutes"] > 30
    assert "continue-on-error" not in str(page) and "||" not in step["run"]
    assert "${{" not in step["run"], "an expression in a script is code"
    assert set(re.findall(r"\$\{\{ (\S+) \}\}", str(step["env"]))) == {
        "secrets.WPCACHE_SSH_KEY", "vars.WPCACHE_HOST", "vars.WPCACHE_KNOWN_HOSTS", "inputs.target"}
    assert all(f"${name}" in step["run"] for name in step["env"])
    done = subprocess.run(["shellcheck", "--shell=bash", "-"], input=step["run"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    shown = (DOCS / "OPERATIONS.md").read_text()
    assert all(name in shown for name in ("WPCACHE_SSH_KEY", "WPCACHE_HOST", "WPCACHE_KNOWN_HOSTS"))


def forced_lines() -> list[str]:
    block = next(block for block in of("text", DOCS / "OPERATIONS.md") if block.text.startswith("restrict,"))
    return [line.partition(" ssh-ed25519")[0] for line in block.text.splitlines()]


class Host:
    """sshd on the loopback, with a key in authorized_keys behind OPTIONS."""

    def __init__(self, directory: Path, options: str, daemon: Daemon):
        self.dir = directory
        directory.mkdir()
        for name in ("host", "other", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / name], check=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (directory / "authorized_keys").write_text(f"{options} {(directory / 'key.pub').read_text()}")
        # Without PAM, sshd denies an account whose password is locked, with it in a container others.
        pam = re.search(r"(?m)^root:!", Path("/etc/shadow").read_text())
        (directory / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {directory}/host\nPidFile none\n"
            f"UsePAM {'yes' if pam else 'no'}\n"
            f"StrictModes no\nAuthorizedKeysFile {directory}/authorized_keys\nPermitRootLogin yes\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"SetEnv WPCACHE_SOCKET={daemon.socket} PATH={BUILD}:/usr/bin:/bin\n")
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.log = open(directory / "log", "wb")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", directory / "sshd_config"],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        until = time.monotonic() + 10
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    break
            assert self.process.poll() is None and time.monotonic() < until, (directory / "log").read_text()
            time.sleep(0.05)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def work(self, target: str, host_key: str = "host") -> subprocess.CompletedProcess[str]:
        """What the workflow's step does, as its runner starts it."""
        step = next(iter(workflow()["jobs"].values()))["steps"][0]
        known = " ".join((self.dir / f"{host_key}.pub").read_text().split()[:2])
        values = {"secrets.WPCACHE_SSH_KEY": (self.dir / "key").read_text().rstrip("\n"),
                  "vars.WPCACHE_HOST": f"ssh://root@127.0.0.1:{self.port}",
                  "vars.WPCACHE_KNOWN_HOSTS": f"[127.0.0.1]:{self.port} {known}", "inputs.target": target}
        env = {name: values[re.fullmatch(r"\$\{\{ (\S+) \}\}", value)[1]] for name, value in step["env"].items()}
        done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                              env={"PATH": os.environ["PATH"], "HOME": str(self.dir), "TMPDIR": str(self.dir)} | env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        secret = values["secrets.WPCACHE_SSH_KEY"].splitlines()[1]
        assert secret not in done.stdout + done.stderr
        assert not [*self.dir.glob("tmp.*")], "the key is left behind"
        return done


@contextmanager
def host(engine: Engine, path: Path, options: str) -> Iterator[tuple[Host, Daemon]]:
    for name in sorted(app_names()):
        project(path / "apps" / name, name)
    with Daemon(engine.socket, path / "daemon", apps_config(path / "apps")) as daemon:
        server = Host(path / "host", options, daemon)
        try:
            yield server, daemon
        finally:
            server.close()


@ONE
@pytest.mark.parametrize("options", forced_lines())
def test_workflow_clears(engine: Engine, short_path: Path, options: str) -> None:
    Project(engine, short_path / "build").build()
    with host(engine, short_path, options) as (server, daemon):
        done = server.work("all")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.endswith("SUCCESS: Docker build cache cleared\n")
        done = server.work("frontend")
        assert done.returncode == 0, done.stdout + done.stderr
        gate = "ssh-gate" in options
        assert [receipt["target"] for receipt in receipts(daemon)] == ["all", "frontend" if gate else "all"]


@ONE
def test_workflow_is_red(engine: Engine, short_path: Path) -> None:
    """With what is left named, and its exit status that of the clear; a host that is another is not asked."""
    with host(engine, short_path, forced_lines()[0]) as (server, daemon):
        shutil.rmtree(short_path / "apps/frontend")
        done = server.work("all")
        assert done.returncode == 3, done.stdout + done.stderr
        assert "REMAINING: app frontend: " in done.stdout and "SUCCESS" not in done.stdout
        assert "NOT FRESH: 1 source of cached layers left" in done.stderr
        assert len(receipts(daemon)) == 1
        done = server.work("all", host_key="other")
        assert done.returncode == 255, done.stderr
        assert "wpcachectl" not in done.stdout and len(receipts(daemon)) == 1
        assert server.work("nothing").returncode == 2
        daemon.stop()
        assert server.work("all").returncode == 5


# The deploy

COMPOSE = """#!/bin/sh
# Debian 12's client has no compose; what it would have the engine do.
echo "$*" >>{log}
case "$2" in
build) exec {docker} build --quiet --network none --tag {name} --build-arg "$4" {context} ;;
esac
"""


@ONE
def test_deploy(engine: Engine, short_path: Path) -> None:
    """Under an inhibitor of its own: the clear inside does not wait for it, and ends the deploy if it has to."""
    assert subprocess.run(["shellcheck", DEPLOY]).returncode == 0
    checkout, log, bin = short_path / "watch-party", short_path / "log", short_path / "bin"
    git = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x",
           "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}
    build = Project(engine, short_path / "build")
    build.build()
    for command in (("init", "-q", "-b", "main", "up"), ("-C", "up", "commit", "-q", "--allow-empty", "-m", "x"),
                    ("clone", "-q", "up", checkout)):
        subprocess.run(["git", *command], cwd=short_path, env=os.environ | git, check=True)
    bin.mkdir()
    (bin / "docker").write_text(COMPOSE.format(log=log, docker=engine.cli, name=BACKEND, context=build.dir))
    (bin / "deploy.sh").write_text(DEPLOY.read_text().replace("/srv/watch-party", str(checkout)))
    for name in ("docker", "deploy.sh"):
        (bin / name).chmod(0o755)
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        env = engine.env | git | {"PATH": f"{bin}:{BUILD}:/usr/bin:/bin", "WPCACHE_SOCKET": str(daemon.socket),
                                  "DOCKER_BUILDKIT": "1"}

        def deploy(*arguments: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(["wpcachectl", "inhibit", "--why", "deploy", "--", "deploy.sh", *arguments],
                                  env=env, executable=BUILD / "wpcachectl", stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=120)

        done = deploy("--clear")
        assert done.returncode == 0, done.stdout + done.stderr
        assert [(r["target"], r["outcome"], r["notes"]) for r in receipts(daemon)][-1][:2] == ("all", "fresh")
        assert log.read_text().count("compose build") == 1 and "compose up --detach" in log.read_text()
        done = deploy()
        assert done.returncode == 0 and len(receipts(daemon)) == 1
        engine.docker("run", "--detach", "--network", "none", "--name", "buildx_buildkit_b0", BACKEND,
                      "/bin/sleep", "600")
        done = deploy("--clear")
        assert done.returncode == 3, done.stdout + done.stderr
        assert log.read_text().count("compose build") == 2, "it went on with a stale build"
