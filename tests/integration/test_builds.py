"""What builds now: records that an engine has lost count of, and builds that hold no record."""
from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import proxy as proxy_module
from engine import Engine
from helpers import ONE, Daemon, Project, on, plain_names, receipts, records, start, wait_until
from policies import HASTY, hasty, poll, polls, status
from proxy import Exchange, Fault, Hook, Proxy, answer, error
from scenarios import BACKEND

proxy = proxy_module.proxy  # the fixture

FIXTURES = Path(__file__).parents[1] / "unit/fixtures"
LONG = "FROM scratch\nCOPY rootfs /\nRUN echo in-flight; sleep 10\n"
HISTORY = ("26", "28", "28c")  # engines that keep one


def recorded(name: str) -> list[dict[str, object]]:
    """The records in use of an answer that engine 29 gave."""
    return [record for record in json.loads((FIXTURES / name).read_text())["BuildCache"]
            if record["InUse"]]


LEAKED = recorded("29-leaked-df.json")
IDS = {str(record["ID"]) for record in LEAKED}


def adding(engine: Engine, path: str, extra: list[dict[str, object]]) -> bytes | None:
    """The engine's own answer to /system/df, and these records."""
    if not path.startswith("/system/df"):
        return None
    status, body = engine.api("GET", path)
    if status == 200:  # engine 20 may be busy
        usage = json.loads(body)
        usage["BuildCache"] = [*(usage["BuildCache"] or ()), *extra]
        body = json.dumps(usage).encode()
    return answer(status, body)


def leaking(engine: Engine) -> Hook:
    return lambda method, path: adding(engine, path, LEAKED)


@contextmanager
def flight(project: Project, dockerfile: str = LONG, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A build in its last step."""
    (project.dir / "Dockerfile").write_text(dockerfile)
    log = project.dir.with_suffix(".log")
    with open(log, "wb") as out:
        building = subprocess.Popen(
            [project.engine.cli, "build", "--network", "none", "--progress", "plain", *arguments,
             str(project.dir)], env=project.engine.env | {"DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        wait_until(lambda: b" in-flight\n" in log.read_bytes() or building.poll() is not None)
        yield building
    finally:
        building.kill()
        building.wait()


def remaining(daemon: Daemon) -> set[str]:
    return {left["object"] for left in receipts(daemon)[-1]["remaining"]}


# Records that the engine has lost count of

def test_leaked_records_hold_nothing_up(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """Engine 29 after one COPY of a missing file: everything else is cleared at once."""
    Project(engine, short_path / "project").build()
    proxy.before = leaking(engine)
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "60s")
        assert time.monotonic() - begin < 40, clear.stdout
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert "systemctl restart docker" in clear.stdout
        assert "wait for the build to end" not in clear.stdout
        assert remaining(daemon) == IDS
        assert not plain_names(engine) and not records(engine)

        # known by now: not even the two seconds that proof takes
        Project(engine, short_path / "again").build()
        assert daemon.ctl("clear", "--target", "all", "--wait", "0").returncode == 3
        assert remaining(daemon) == IDS
        assert not plain_names(engine) and not records(engine)
        proxy.before = lambda method, path: None
        assert daemon.clear().returncode == 0


def test_leaked_records_beside_a_build(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """The build is waited for, the leaked records are not."""
    project = Project(engine, short_path / "project")
    proxy.before = leaking(engine)
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        assert daemon.ctl("clear", "--target", "all", "--wait", "60s").returncode == 3
        with flight(project, LONG, "--tag", BACKEND) as building:
            clear = daemon.ctl("clear", "--target", "all", "--wait", "60s")
            assert building.wait(5) == 0, clear.stdout
        assert clear.returncode == 3, clear.stdout + clear.stderr
        assert "Waiting for a build to end" in clear.stdout
        assert remaining(daemon) == IDS
        assert not plain_names(engine) and not records(engine)


def test_long_step_is_no_leak(engine: Engine, short_path: Path) -> None:
    """The same records are in use for the whole length of a RUN, also where the context came through a
    pipe and no directory is held."""
    project = Project(engine, short_path / "project")
    (project.dir / "Dockerfile").write_text(LONG)
    tar = subprocess.run(["tar", "-C", project.dir, "-c", "."], capture_output=True, check=True)
    with hasty(engine, short_path / "daemon") as daemon:
        poll(daemon, 1)
        building = subprocess.Popen(
            [engine.cli, "build", "--network", "none", "--tag", BACKEND, "-"],
            env=engine.env | {"DOCKER_BUILDKIT": "1"}, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert building.stdin
        building.stdin.write(tar.stdout)
        building.stdin.close()
        wait_until(lambda: status(daemon)["builder"]["inUse"] > 0)
        polls(daemon, 3)
        assert status(daemon)["policy"]["hold"] == "building"
        clear = daemon.ctl("clear", "--target", "all", "--wait", "60s")
        assert building.wait(5) == 0, clear.stdout
        assert clear.returncode == 0, clear.stdout + clear.stderr
        assert not plain_names(engine) and not records(engine)


@ONE
def test_policy_goes_on_beside_leaked_records(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    proxy.before = leaking(engine)
    with hasty(engine, short_path / "daemon", socket=proxy.socket) as daemon:
        polls(daemon, 5)
        assert status(daemon)["builder"]["inUse"] == status(daemon)["builder"]["leaked"] == len(LEAKED)
        assert f", {len(LEAKED)} held by the engine for no build" in daemon.ctl("status").stdout
        assert f"wpcache_builder_cache_records_leaked {len(LEAKED)}\n" in daemon.ctl("metrics").stdout
        assert status(daemon)["policy"].get("hold") != "building"
        explain = daemon.ctl("explain", sorted(IDS)[0])
        assert "although no build runs" in explain.stdout, explain.stdout + explain.stderr


@ONE
def test_alarm_of_leaked_records(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """It goes by record: builds in between neither reset nor end it, a restart of the engine does."""
    project = Project(engine, short_path / "project")
    proxy.before = leaking(engine)
    with hasty(engine, short_path / "daemon", socket=proxy.socket) as daemon:
        def alarms() -> list[str]:
            return [alarm["kind"] for alarm in status(daemon)["alarms"]]

        polls(daemon, 5)
        assert not alarms()
        daemon.clock.go_on(minutes=61)
        with flight(project):
            polls(daemon, 2)
            assert status(daemon)["builder"]["inUse"] > len(LEAKED)
        wait_until(lambda: status(daemon)["builder"]["inUse"] == len(LEAKED))
        daemon.clock.go_on(minutes=61)
        wait_until(lambda: alarms() == ["recordInUse"])
        alarm, = status(daemon)["alarms"]
        assert f"lost count of {len(LEAKED)} build cache records" in alarm["message"]
        assert alarm["remedy"] == "restart the engine: systemctl restart docker"
        with flight(project):
            polls(daemon, 2)
            assert alarms() == ["recordInUse"]
        proxy.before = lambda method, path: None
        wait_until(lambda: not alarms())


# Builds that hold no record

SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 8000))
print("listens", flush=True)
peers = [listener.accept()[0]]
print("asked", flush=True)
sys.stdin.read()
"""


@on("20")
def test_build_of_a_download_is_no_leak(engine: Engine, short_path: Path) -> None:
    """Its Dockerfile came from a server: no directory of the client's is held, and no pipe."""
    project = Project(engine, short_path / "project")
    (project.dir / "Dockerfile").write_text(LONG)
    subprocess.run(["tar", "-C", project.dir, "-cf", short_path / "context.tar", "."], check=True)
    enter = ["nsenter", "--target", str(engine.init), "--net"]
    subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen(
        [*enter, "/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", "8000"],
        cwd=short_path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: subprocess.run(
            [*enter, "/usr/bin/python3", "-c",
             "import socket; socket.create_connection(('127.0.0.1', 8000))"],
            stderr=subprocess.DEVNULL).returncode == 0)
        with hasty(engine, short_path / "daemon") as daemon:
            poll(daemon, 1)
            building = subprocess.Popen(
                [engine.cli, "build", "--network", "none", "--tag", BACKEND,
                 "http://127.0.0.1:8000/context.tar"], env=engine.env | {"DOCKER_BUILDKIT": "1"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until(lambda: status(daemon)["builder"]["inUse"] > 0)
            polls(daemon, 3)
            assert status(daemon)["policy"]["hold"] == "building"
            clear = daemon.ctl("clear", "--target", "all", "--wait", "60s")
            assert building.wait(5) == 0, clear.stdout
            assert clear.returncode == 0, clear.stdout + clear.stderr
            assert not plain_names(engine) and not records(engine)
    finally:
        server.kill()
        server.wait()


@contextmanager
def hanging_context(engine: Engine) -> Iterator[str]:
    """An HTTP server beside the engine that never answers."""
    enter = ["nsenter", "--target", str(engine.init), "--net"]
    subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
    server = subprocess.Popen([*enter, "/usr/bin/python3", "-B", "-c", SERVER],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdin and server.stdout
    try:
        assert server.stdout.readline() == "listens\n"
        building = subprocess.Popen(
            [engine.cli, "build", "http://127.0.0.1:8000/context.tar"],
            env=engine.env | {"DOCKER_BUILDKIT": "1"}, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert server.stdout.readline() == "asked\n"
        yield "asked"
        server.stdin.close()
        server.wait()
        assert building.wait(60) != 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@on(*HISTORY)
def test_build_that_holds_no_record_is_waited_for(engine: Engine, short_path: Path) -> None:
    with Daemon(engine.socket, short_path / "daemon", HASTY) as daemon:
        with hanging_context(engine):
            assert not records(engine)
            poll(daemon)
            assert status(daemon)["policy"]["hold"] == "building"
            begin = time.monotonic()
            clear = daemon.ctl("clear", "--target", "all", "--wait", "2s")
            assert clear.returncode == 3 and time.monotonic() - begin < 40, clear.stdout
            assert "Waiting for a build to end" in clear.stdout
            assert [left["kind"] for left in receipts(daemon)[-1]["remaining"]] == ["build"]
            daemon.clock.go_on(minutes=121)
            wait_until(lambda: [alarm["kind"] for alarm in status(daemon)["alarms"]]
                       == ["recordInUse"])
            assert "they hang" in status(daemon)["alarms"][0]["message"]
            builder = daemon.ctl("clear", "--target", "builder", "--wait", "0")
            assert builder.returncode == 3, builder.stdout
            waiting = start(daemon, "clear", "--target", "all", "--wait", "60s")
            time.sleep(2)
            assert waiting.poll() is None
        assert waiting.wait(60) == 0
        waiting.communicate()


# A history that can't be read

def saying(text: bytes) -> Fault:
    def fault(exchange: Exchange) -> None:
        exchange.client.sendall(text)
    return fault


@on(*HISTORY)
def test_history_that_fails(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """What a proxy of the socket forbids is no history; any other failure may hide a build."""
    with Daemon(proxy.socket, short_path / "daemon", "[docker]\ntimeout=2s\n") as daemon:
        def clear() -> subprocess.CompletedProcess[str]:
            return daemon.ctl("clear", "--target", "all", "--wait", "1s")

        for refusal in (error(403, "forbidden"), error(404, "page not found"),
                        answer(403, b"<html>Forbidden</html>", "text/html")):
            proxy.before = lambda method, path: refusal if path == "/grpc" else None
            assert clear().returncode == 0
        for fault in (error(500, "no"), error(502, "bad gateway"), answer(200, b"{}"),
                      saying(b"no HTTP at all\r\n\r\n"),
                      saying(b"HTTP/1.1 101 UPGRADED\r\n\r\nno HTTP/2 at all"),
                      proxy_module.hang, proxy_module.close):
            proxy.before = lambda method, path: fault if path == "/grpc" else None
            failed = clear()
            assert failed.returncode == 3, (fault, failed.stdout)
            left, = receipts(daemon)[-1]["remaining"]
            assert left["kind"] == "build" and "can't be told" in left["reason"], left
        proxy.before = lambda method, path: None
        assert clear().returncode == 0


@on(*HISTORY)
def test_leak_without_a_history(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """Behind a proxy that forbids /grpc the records themselves tell."""
    building = recorded("29-building-df.json")
    extra = LEAKED

    def before(method: str, path: str) -> bytes | None:
        if path == "/grpc":
            return error(403, "forbidden")
        return adding(engine, path, extra)

    proxy.before = before
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        clear = daemon.ctl("clear", "--target", "all", "--wait", "60s")
        assert clear.returncode == 3 and "systemctl restart docker" in clear.stdout, clear.stdout
        assert remaining(daemon) == IDS
        extra = building
        begin = time.monotonic()
        clear = daemon.ctl("clear", "--target", "all", "--wait", "6s")
        assert clear.returncode == 3 and time.monotonic() - begin >= 6, clear.stdout
        assert "wait for the build to end" in clear.stdout
