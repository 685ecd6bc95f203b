"""Policy inspects an image right before its removal only where the engine's events may tell of a tag."""
from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import proxy as proxy_module
import pytest
from engine import Engine, UnixHTTP
from helpers import Daemon, images, names, on, tag, wait_until
from policies import configure, poll, status
from proxy import Exchange, Fault, Hook, Proxy, answer, plain

proxy = proxy_module.proxy  # the fixture

SHORT = """[images]
keep_last=0
max_age=1min
min_age=0s
[poll]
interval=1s
share=50%
[policy]
mode=observe
grace=0
quiet=0
[disk]
min_free=off
min_free_inodes=off
"""
IMAGES = 10
STREAM = "^/events(?!.*until=)"  # with it, events of the past are asked for


def inspected(proxy: Proxy) -> list[str]:
    return proxy.sent("GET", "^/images/sha256:[0-9a-f]*/json$")


def build(engine: Engine, directory: Path, i: int, name: int | None = None, buildkit: str = "1") -> None:
    directory.mkdir(exist_ok=True)
    (directory / "Dockerfile").write_text(f"FROM scratch\nLABEL image={i}\nCOPY file /\n")
    (directory / "file").write_text(str(i))
    engine.docker("build", "--quiet", "--tag", f"watchparty-{i if name is None else name}:latest",
                  str(directory), env={"DOCKER_BUILDKIT": buildkit, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"})


def catch_up(engine: Engine) -> Hook:
    """The daemons' clock is ahead of the engine's, which would answer only when its own is there."""
    def hook(method: str, path: str) -> bytes | None:
        if not path.startswith("/events") or "until=" not in path:
            return None
        path = re.sub("until=[0-9.]*&filters=.*", f"until={time.time():.6f}", path)
        return answer(200, engine.api("GET", path)[1])
    return hook


@contextmanager
def learned(engine: Engine, proxy: Proxy, directory: Path, config: str = SHORT) -> Iterator[Daemon]:
    """A daemon that hears events and knows images."""
    before = proxy.before
    caught_up = catch_up(engine)
    proxy.before = lambda method, path: caught_up(method, path) or before(method, path)
    with Daemon(proxy.socket, directory / "daemon", config) as daemon:
        wait_until(lambda: status(daemon).get("policy", {}).get("events"))
        for i in range(IMAGES):
            build(engine, directory / "build", i)
        wait_until(lambda: len(set(inspected(proxy))) >= IMAGES)
        yield daemon


@contextmanager
def aged(engine: Engine, proxy: Proxy, directory: Path) -> Iterator[tuple[Daemon, dict[str, str]]]:
    """The images are old enough to go."""
    with learned(engine, proxy, directory) as daemon:
        daemon.clock.go_on(minutes=2)
        wait_until(lambda: status(daemon)["policy"].get("images") == IMAGES)
        yield daemon, names(engine)


def also(proxy: Proxy, hook: Hook) -> None:
    """Adds a hook."""
    before = proxy.before
    proxy.before = lambda method, path: hook(method, path) or before(method, path)


def enforce(daemon: Daemon) -> None:
    configure(daemon, "mode=observe", "mode=enforce")


def test_images_without_an_event_are_not_inspected(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    with aged(engine, proxy, short_path) as (daemon, _):
        before = len(inspected(proxy))
        enforce(daemon)
        wait_until(lambda: not names(engine))
        poll(daemon, 1)
        assert inspected(proxy)[before:] == []
        assert len(proxy.sent("DELETE")) == IMAGES


def test_after_a_gap_every_image_is_inspected(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    with aged(engine, proxy, short_path) as (daemon, before):
        streams = len(proxy.sent("GET", STREAM))
        proxy.hang_up()
        wait_until(lambda: len(proxy.sent("GET", STREAM)) > streams)
        wait_until(lambda: status(daemon)["policy"]["events"])
        n = len(inspected(proxy))
        enforce(daemon)
        wait_until(lambda: not names(engine))
        assert {path.split("/")[2] for path in inspected(proxy)[n:]} == set(before.values())


class Slice:
    """A hook that acts once, right before a pass asks what became of the names that it is about to remove."""

    def __init__(self, act: Callable[[], object]):
        self.act, self.done, self.lock = act, threading.Event(), threading.Lock()

    def __call__(self, method: str, path: str) -> "bytes | Fault | None":
        if path.startswith("/events") and "until=" in path:
            with self.lock:  # several connections may ask at once
                if not self.done.is_set():
                    self.done.set()
                    self.act()
        return None


def wait_until_left(daemon: Daemon) -> None:
    """Until a pass has left watchparty-3 alone, or ended early since it heard of the build first. The next pass may
    take it: by the engine's clock, which the test does not move, a tag of now is two minutes old."""
    wait_until(lambda: re.search("watchparty-3:latest is left for the next pass: it changed|"
                                 "Images came or went: the rest is left for the next pass", daemon.log))


def test_image_built_again_from_the_cache_is_left(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """The image keeps its id and its name: LastTagTime alone moves."""
    with aged(engine, proxy, short_path) as (daemon, before):
        moment = Slice(lambda: build(engine, short_path / "build", 3))
        also(proxy, moment)
        enforce(daemon)
        assert moment.done.wait(60)
        wait_until_left(daemon)
        assert names(engine)["watchparty-3:latest"] == before["watchparty-3:latest"]


def test_name_that_moved_to_another_image_stays(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    with aged(engine, proxy, short_path) as (daemon, before):
        other = before["watchparty-4:latest"]
        moment = Slice(lambda: tag(engine, other, "watchparty-3", "latest"))
        also(proxy, moment)
        enforce(daemon)
        assert moment.done.wait(60)
        wait_until_left(daemon)
        assert names(engine).get("watchparty-3:latest") == other


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_name_that_a_build_moved_stays(engine: Engine, proxy: Proxy, short_path: Path, buildkit: str) -> None:
    def rebuild() -> None:
        build(engine, short_path / "build", 4, name=3, buildkit=buildkit)

    with aged(engine, proxy, short_path) as (daemon, before):
        moment = Slice(rebuild)
        also(proxy, moment)
        enforce(daemon)
        assert moment.done.wait(60)
        wait_until_left(daemon)
        assert names(engine).get("watchparty-3:latest") not in (None, before["watchparty-3:latest"])


@pytest.mark.parametrize("buildkit", ["0", "1"])
def test_name_that_a_build_moves_under_a_clear(engine: Engine, proxy: Proxy, short_path: Path, buildkit: str) -> None:
    """On a full disk, where no rollback tag makes the clear list the names anew."""
    full = SHORT.replace("min_free=off\n", "min_free=99%\ntarget_free=99%\n", 1)
    with learned(engine, proxy, short_path, full) as daemon:
        before = names(engine)
        time.sleep(1.5)
        moment = Slice(lambda: build(engine, short_path / "build", 4, name=3, buildkit=buildkit))
        also(proxy, moment)
        listed = len(proxy.sent("GET", "^/images/json.*reference"))
        done = daemon.ctl("clear", "--target", "images")
        assert moment.done.is_set() and done.returncode in (0, 3), done.stdout + done.stderr
        assert len(proxy.sent("GET", "^/images/json.*reference")) > listed
        receipt = json.loads(daemon.ctl("history", "--json").stdout)
        assert (before["watchparty-3:latest"] in json.dumps(receipt)) is False, receipt


@on("20", "28")
def test_nothing_is_listed_anew_while_nothing_is_tagged(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    with aged(engine, proxy, short_path) as (daemon, _):
        before = len(proxy.sent("GET", "^/images/json.*reference"))
        enforce(daemon)
        wait_until(lambda: not names(engine))
        poll(daemon, 1)
        assert len(proxy.sent("GET", "^/images/json.*reference")) == before


class Late:
    """A stream of events that is held back on its way from some moment on."""

    def __init__(self, engine: Engine):
        self.engine, self.held = engine, threading.Event()

    def stream(self, exchange: Exchange) -> None:
        upstream = UnixHTTP(self.engine.socket, 600)
        upstream.request("GET", "/events")
        sock = upstream.sock
        while piece := sock.recv(65536):
            while self.held.is_set():
                time.sleep(0.1)
            exchange.client.sendall(piece)

    def __call__(self, method: str, path: str) -> "bytes | Fault | None":
        return self.stream if path.startswith("/events") and "until=" not in path else None


def test_late_stream(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """What the stream does not deliver in time the engine is asked for."""
    proxy.before = late = Late(engine)
    with aged(engine, proxy, short_path) as (daemon, before):
        late.held.set()
        build(engine, short_path / "build", 3)
        enforce(daemon)
        wait_until_left(daemon)
        assert before["watchparty-3:latest"] in images(engine)
        late.held.clear()


def test_clear_inspects_what_was_tagged_since_it_was_asked_for(engine: Engine, proxy: Proxy,
                                                               short_path: Path) -> None:
    """A clear that began a second ago knows by the events which images got a name since."""
    with learned(engine, proxy, short_path) as daemon:
        before, acted = names(engine), threading.Event()

        def act(method: str, path: str) -> None:
            if method == "GET" and path.startswith("/system/df") and not acted.is_set():
                acted.set()
                time.sleep(1.5)
                build(engine, short_path / "build", 3)

        n = len(proxy.requests)
        also(proxy, act)
        daemon.ctl("clear", "--target", "images")
        assert acted.is_set()
        ahead = itertools.takewhile(lambda request: request[0] != "DELETE" and "/tag?" not in request[1],
                                    proxy.requests[n:])
        asked = {plain(path).split("/")[2] for _, path in ahead if re.search("^/images/sha256.*/json$", plain(path))}
        assert asked == {before["watchparty-3:latest"]}
