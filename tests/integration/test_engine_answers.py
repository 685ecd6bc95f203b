"""Answers of an engine that are not what they should be: absent, unreadable, circular, an error, another
program's. A stub gives what a real engine can't be made to say; labels are a real engine's."""
from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon import Daemon
from engine import Engine, UnixHTTP
from helpers import names, receipts, wait_until
from stub import Stub

FIXTURES = Path(__file__).parents[1] / "unit/fixtures"
OLD = "2001-01-01T00:00:00Z"
FAST = "[policy]\ngrace=0\nquiet=0\n[poll]\ninterval=3600s\n"


def image_id(n: int) -> str:
    return f"sha256:{n:064x}"


@pytest.fixture
def stub(short_path: Path):
    with Stub(short_path / "e") as running:
        yield running


@pytest.fixture
def daemon_of(short_path: Path):
    started: list[Daemon] = []

    def start(stub: Stub, extra: str = FAST) -> Daemon:
        daemon = Daemon(stub.path, short_path / "d", extra)
        started.append(daemon)
        daemon.start()
        return daemon
    yield start
    for daemon in started:
        print(daemon.log)
        if daemon.process and daemon.process.poll() is None:
            assert daemon.stop() == 0


def clear(daemon: Daemon, *options: str):
    return daemon.ctl("clear", "--target", "all", "--wait", "1s", *options, timeout=60)


def policy(daemon: Daemon) -> dict[str, Any]:
    return json.loads(daemon.ctl("plan", "--json").stdout)["policy"]


# --- absent is not empty ---

@pytest.mark.parametrize("call, body, words", [
    ("GET /system/df", {}, "no member BuildCache or BuildCacheUsage"),
    ("GET /system/df", {"LayersSize": 0, "Images": None, "Containers": [], "Volumes": None}, "no member BuildCache"),
    ("GET /system/df", {"Images": [{"BuildCache": []}]}, "no member BuildCache"),
    ("GET /system/df", {"buildcache": [], "BuildCacheUsages": {}}, "no member BuildCache"),
    ("GET /system/df", {"BuildCache": {}}, "no list in the place of BuildCache"),
    ("GET /system/df", {"BuildCacheUsage": []}, "no list in the place of BuildCacheUsage"),
    ("GET /system/df", '{"BuildCache":[],"BuildCache":[]}', "BuildCache is in the answer twice"),
    ("GET /system/df", [], "no list in the place of BuildCache"),
    ("GET /system/df", "null", "no list in the place of BuildCache"),
    ("GET /system/df", "", "ends too early"),
    ("GET /images/json", {}, "no list"),
    ("GET /images/json", {"Images": []}, "no list"),
    ("GET /images/json", '""', "no list"),
    ("GET /containers/json", {"message": "x"}, "no list"),
    ("GET /containers/json", "0", "no list")])
def test_an_absent_list_is_an_error(stub: Stub, daemon_of, call: str, body: object, words: str) -> None:
    stub.say(call, body)
    daemon = daemon_of(stub)
    for verb in (("clear", "--target", "all"), ("clear", "--dry-run"), ("plan",)):
        done = daemon.ctl(*verb)
        assert done.returncode == 6, done.stdout + done.stderr
        assert f"{call}: " in done.stderr and words in done.stderr
        assert "systemctl status docker" not in done.stderr and "not available" not in done.stderr
    assert stub.removals() == []


@pytest.mark.parametrize("body", [
    {"BuildCache": None}, {"BuildCache": []}, {"BuildCacheUsage": None}, {"BuildCacheUsage": {}},
    {"BuildCacheUsage": {"Items": None}}, {"BuildCacheUsage": {"TotalCount": 0}},
    {"LayersSize": 0, "Images": None, "BuildCache": None, "BuildCacheUsage": {}}])
@pytest.mark.parametrize("api", ["1.41", "1.51", "1.55"])
def test_null_and_a_usage_without_items_are_empty(stub: Stub, daemon_of, api: str, body: object) -> None:
    stub.api = api
    stub.say("GET /system/df", body)
    done = clear(daemon_of(stub))
    assert done.returncode == 0, done.stdout + done.stderr


def test_volumes_absent(stub: Stub, daemon_of, short_path: Path) -> None:
    root = short_path / "app"
    (root / ".next").mkdir(parents=True)
    (root / "package.json").write_text("{}")
    stub.say("GET /containers/json", [{
        "Id": "c" * 64, "Names": ["/web"], "Image": "x", "ImageID": image_id(1), "State": "running",
        "Mounts": [{"Type": "volume", "Name": "v", "Source": "", "Destination": "/v"}]}])
    stub.say("GET /volumes", {"Warnings": None})
    daemon = daemon_of(stub, FAST + f"[app frontend]\nroot={root}\ncaches=.next\n")
    done = daemon.ctl("clear", "--target", "frontend")
    assert done.returncode == 6 and "GET /volumes: the answer has no member Volumes" in done.stderr, done.stderr
    assert (root / ".next").is_dir()


# --- what can't be read ---

HARMLESS = {
    "NUL in a label": {"Labels": {"x": "a\0b"}},
    "NUL in a label's name": {"Labels": {"a\0b": "x", "com.docker.compose.project": "other"}},
    "NUL in the project": {"Labels": {"com.docker.compose.project": "a\0b"}},
    "2 MiB in a label": {"Labels": {"x": "y" * (2 << 20)}},
    "10,000 labels": {"Labels": {f"label-{i}": "x" * 300 for i in range(10_000)}},
    "a deep member": {"Manifests": json.loads("[" * 500 + "]" * 500)},
    "1,000 tags": {"RepoTags": [f"watchparty-backend:{i}" for i in range(1000)]},
    "nulls for strings": {"ParentId": None, "RepoTags": [None, "watchparty-backend:1"], "RepoDigests": [None],
                          "Labels": {"com.docker.compose.project": None}},
    "unknown members": {"Descriptor": {"digest": "x"}, "Size2": -1},
}


@pytest.mark.parametrize("members", HARMLESS.values(), ids=HARMLESS)
@pytest.mark.parametrize("what", ["image", "container"])
def test_what_is_not_used_harms_nothing(stub: Stub, daemon_of, what: str, members: dict[str, Any]) -> None:
    if what == "container":
        members = {name: value for name, value in members.items() if name not in ("RepoTags", "RepoDigests", "ParentId")}
    stub.say("GET /images/json", [stub.image(image_id(1), RepoTags=["other:1"]),
                                  stub.image(image_id(2), **(members if what == "image" else {}))], [])
    stub.say("GET /containers/json", [{"Id": "c" * 64, "Names": ["/web"], "Image": "other:1", "ImageID": image_id(1),
                                       "State": "running", "Mounts": [], **(members if what == "container" else {})}])
    daemon = daemon_of(stub)
    done = clear(daemon)
    assert done.returncode == 0, done.stdout + done.stderr
    assert daemon.ctl("status").returncode == 0


def broken(members: dict[str, Any]) -> bytes:
    """An element of a list as JSON text; "RAW" in a string stands for bytes that JSON does not allow."""
    return json.dumps(members).encode().replace(b"RAW", b"\xff\xfe")


UNREADABLE = {
    "not UTF-8": {"Id": image_id(7), "RepoTags": ["watchparty-backend:RAW"]},
    "an id too long": {"Id": "sha512:" + "7" * 128, "RepoTags": []},
    "no id": {"RepoTags": ["watchparty-backend:7"]},
    "an id that is a number": {"Id": 7},
    "a size out of range": {"Id": image_id(7), "Size": 1e300},
    "a negative size": {"Id": image_id(7), "Size": -5},
    "tags that are no list": {"Id": image_id(7), "RepoTags": "x"},
    "tags nested deeply": {"Id": image_id(7), "RepoTags": json.loads("[" * 40 + "]" * 40)},
    "tags nested more deeply": {"Id": image_id(7), "RepoTags": json.loads("[" * 400 + "]" * 400)},
    "8 MiB of tags": {"Id": image_id(7), "RepoTags": ["watchparty-backend:" + "x" * 100] * 70_000},
    "no object": 7,
}


@pytest.mark.parametrize("members", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_image_keeps_all_images_and_is_remaining(stub: Stub, daemon_of, members: Any) -> None:
    old = json.dumps(stub.image(image_id(1), RepoTags=["watchparty-backend:old"])).encode()
    new = json.dumps(stub.image(image_id(2), RepoTags=["watchparty-backend:new"])).encode()
    stub.records = Stub(Path("x"), 3).records
    stub.say("GET /images/json", b"[" + b",".join([old, broken(members), new]) + b"]")
    daemon = daemon_of(stub, FAST + "[images]\nkeep_last=1\nmin_age=0\nmax_age=1d\n")
    object = members.get("Id") if isinstance(members, dict) and isinstance(members.get("Id"), str) else "number 2 of the list"

    daemon.clock.go_on(days=400)
    plan = daemon.ctl("plan")
    assert plan.returncode == 0, plan.stderr
    assert "All images are kept" in plan.stdout and object[:60] in plan.stdout
    daemon.clock.go_on(days=400)
    shown = policy(daemon)
    assert not any(image["remove"] for image in shown["images"])
    explained = daemon.ctl("explain", "watchparty-backend:old").stdout
    assert "stays" in explained
    assert [call for call in stub.removals() if "images" in call] == []

    done = clear(daemon)
    assert done.returncode == 3, done.stdout + done.stderr
    assert object[:60] in done.stdout + done.stderr and "it can't be read" in done.stdout + done.stderr
    # everything else went on
    assert "POST /build/prune" in stub.calls
    assert "DELETE /images/watchparty-backend:new" in stub.calls


def test_an_unreadable_image_is_the_reason_that_an_image_stays(stub: Stub, daemon_of) -> None:
    """The rules would take the old one; status says why they do not."""
    listed = [stub.image(image_id(n), RepoTags=[f"watchparty-backend:{n}"], Created=1_700_000_000 + n) for n in range(1, 5)]
    stub.say("GET /images/json", listed)
    daemon = daemon_of(stub, FAST + "[images]\nkeep_last=1\nmin_age=0\nmax_age=1d\n[policy]\nmode=observe\n")
    daemon.ctl("plan")
    daemon.clock.go_on(days=3)
    assert any(image["remove"] for image in policy(daemon)["images"])
    stub.say("GET /images/json", [*listed, {"Id": image_id(9), "Size": "x"}])
    shown = policy(daemon)
    assert not any(image["remove"] for image in shown["images"])
    assert {image["rule"] for image in shown["images"]} == {"keepLast", "unreadableImage"}
    assert f"image {image_id(9)} can't be read" in daemon.ctl("explain", "watchparty-backend:1").stdout
    stub.say("GET /images/json", listed)  # nothing was forgotten meanwhile
    assert any(image["remove"] for image in policy(daemon)["images"])


def test_an_unreadable_image_is_nothing_to_the_builder(stub: Stub, daemon_of) -> None:
    stub.records = Stub(Path("x"), 3).records
    stub.say("GET /images/json", [{"Id": image_id(7), "Size": "x"}])
    done = daemon_of(stub).ctl("clear", "--target", "builder", "--wait", "1s")
    assert done.returncode == 0 and "POST /build/prune" in stub.calls, done.stdout + done.stderr


UNREADABLE_CONTAINERS = {
    "not UTF-8": {"Id": "c" * 64, "Names": ["/web"], "ImageID": "sha256:RAW"},
    "mounts that are no list": {"Id": "c" * 64, "Mounts": {}},
    "a mount without a source": {"Id": "c" * 64, "Mounts": [{"Type": "bind"}]},
    "no id": {"Names": ["/web"]},
    "no object": None,
}


@pytest.mark.parametrize("members", UNREADABLE_CONTAINERS.values(), ids=UNREADABLE_CONTAINERS)
def test_an_unreadable_container_may_use_any_image_and_cache(stub: Stub, daemon_of, short_path: Path, members: Any) -> None:
    root = short_path / "app"
    (root / ".next").mkdir(parents=True)
    (root / "package.json").write_text("{}")
    listed = [stub.image(image_id(n), RepoTags=[f"watchparty-backend:{n}"], Created=1_700_000_000 + n) for n in range(1, 4)]
    stub.say("GET /images/json", listed)
    stub.say("GET /containers/json", b"[" + broken(members) + b"]")
    object = "c" * 12 if isinstance(members, dict) and "Id" in members else "number 1 of the list"
    daemon = daemon_of(stub, FAST + "[images]\nkeep_last=1\nmin_age=0\nmax_age=1d\n"
                       f"[app frontend]\nroot={root}\ncaches=.next\n[policy]\nmode=observe\n")
    daemon.ctl("plan")
    daemon.clock.go_on(days=3)
    shown = policy(daemon)
    assert "unreadableContainer" in {image["rule"] for image in shown["images"]}
    assert not any(image["remove"] for image in shown["images"])
    assert object in shown["policy"]["unreadable"]
    wait_until(lambda: json.loads(daemon.ctl("status", "--json").stdout)["engine"]["state"] == "ok")
    assert "all images" in daemon.ctl("status").stdout and object in daemon.ctl("status").stdout

    done = daemon.ctl("clear", "--target", "frontend")
    assert done.returncode == 3 and "may have it mounted" in done.stdout + done.stderr, done.stdout + done.stderr
    assert (root / ".next").is_dir()
    done = clear(daemon)
    assert done.returncode == 3, done.stdout + done.stderr
    assert object in done.stdout + done.stderr
    assert "DELETE /images/watchparty-backend:3" in stub.calls
    assert daemon.ctl("clear", "--target", "frontend", "--include-mounted").returncode == 0
    assert not (root / ".next").exists()


@pytest.mark.parametrize("record, object", [
    ({"ID": "x" * 25, "Type": "regular", "Size": "big"}, "x" * 25),
    ({"ID": "x" * 40}, "x" * 40),
    ({"Type": "regular"}, "number 3 of the list"),
    ({"ID": "x" * 25, "LastUsedAt": "yesterday"}, "x" * 25),
    ({"ID": "x" * 25, "Parents": ["RAW"]}, "x" * 25),
    (7, "number 3 of the list")])
def test_an_unreadable_build_record_is_remaining(stub: Stub, daemon_of, record: Any, object: str) -> None:
    readable = Stub(Path("x"), 2).records
    stub.say("GET /system/df", b'{"BuildCache":[' + readable + b"," + broken(record) + b"]}",
             b'{"BuildCache":[' + broken(record).replace(b"x", b"x") + b"]}")
    daemon = daemon_of(stub)
    plan = daemon.ctl("plan", "--json")
    assert plan.returncode == 0, plan.stderr
    done = clear(daemon)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "it can't be read" in done.stdout + done.stderr
    assert object in done.stdout + done.stderr or "number 1 of the list" in done.stdout + done.stderr
    assert "POST /build/prune" in stub.calls


def test_a_description_of_any_kind(stub: Stub, daemon_of) -> None:
    """It tells what a Dockerfile was read from. A record whose description can't be read is named, and the others
    are read."""
    one = (b'{"ID":"%s","Type":"regular","Description":"%s","InUse":true,"Shared":false,"Size":1,'
           b'"CreatedAt":"2026-11-20T12:09:13Z","LastUsedAt":null,"UsageCount":0}')
    bodies = [one % (b"a" * 25, text) for text in (b"a\\u0000b", b"\xff\xfe", b"x" * (3 << 20), b"\\ud800", b"")]
    stub.say("GET /system/df", b'{"BuildCache":[' + b",".join(bodies) + b"]}")
    daemon = daemon_of(stub)
    done = clear(daemon)
    assert done.returncode == 3 and done.stdout.count("it can't be read") == 2, done.stdout + done.stderr
    wait_until(lambda: json.loads(daemon.ctl("status", "--json").stdout).get("builder", {}).get("inUse") == 3)


@pytest.mark.parametrize("status, body", [
    (500, {"message": "content digest sha256:1: not found"}), (500, {"message": "oh no"}),
    (200, {"Id": image_id(2), "Metadata": {"LastTagTime": "yesterday"}}), (200, "[]"), (200, "<html>")])
def test_an_image_that_the_engine_cannot_describe(stub: Stub, daemon_of, status: int, body: object) -> None:
    stub.say("GET /images/json", [stub.image(image_id(1), RepoTags=["watchparty-backend:1"]),
                                  stub.image(image_id(2), RepoTags=["watchparty-web:1"])])
    for name in (image_id(2), "watchparty-web:1"):
        stub.say(f"GET /images/{name}/json", body, status=status)
    daemon = daemon_of(stub)
    done = daemon.ctl("clear", "--target", "all", "--wait", "1s", timeout=120)
    assert done.returncode == 3, done.stdout + done.stderr
    assert image_id(2) in done.stdout + done.stderr
    assert "DELETE /images/watchparty-backend:1" in stub.calls


def commit(engine: Engine, container: str, name: str, config: dict[str, Any]) -> None:
    connection = UnixHTTP(engine.socket, 60)
    try:
        connection.request("POST", f"/commit?container={container}&repo={name}&tag=1", json.dumps(config),
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 201, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("label", ["a\0b", "y" * (1 << 20) + "z"], ids=["NUL", "1 MiB"])
def test_labels_of_a_real_image(engine: Engine, daemon: Daemon, label: str) -> None:
    base = engine.import_base("other-base")
    engine.docker("create", "--name", "odd", base, "true")
    commit(engine, "odd", "other-odd", {"Labels": {"x": label}})
    commit(engine, "odd", "watchparty-odd", {"Labels": {"x": label}})
    engine.docker("create", "--name", "odd2", "other-odd:1", "true")
    done = daemon.clear()
    assert done.returncode in (0, 3), done.stdout + done.stderr
    assert "can't be read" not in done.stdout + done.stderr
    assert "watchparty-odd:1" not in names(engine) and "other-odd:1" in names(engine)
    for verb in ("plan", "status"):
        shown = daemon.ctl(verb)
        assert shown.returncode == 0 and "can't be read" not in shown.stdout, shown.stdout + shown.stderr


# --- an engine that answers with an error ---

GONE = {"message": "failed to read config content: NotFound"}


@pytest.mark.parametrize("call", ["GET /images/json", "GET /containers/json", "GET /system/df"])
def test_an_error_is_told_in_the_engine_s_own_words(stub: Stub, daemon_of, call: str) -> None:
    stub.say(call, {"message": "layer db: permission denied"}, status=500)
    daemon = daemon_of(stub)
    for verb in (("clear", "--target", "all"), ("plan",)):
        done = daemon.ctl(*verb)
        assert done.returncode == 6
        assert f"{call} was answered with 500: layer db: permission denied" in done.stderr
        assert "not available" not in done.stderr and "systemctl" not in done.stderr
        assert "Docker engine gives no usable answer, nothing was touched: " in done.stderr
    # the first poll may have waited for these
    wait_until(lambda: "the Docker engine gives no usable answer" in daemon.ctl("status").stdout)
    assert f"{call} was answered with 500" in daemon.ctl("status").stdout
    assert stub.removals() == []


@pytest.mark.parametrize("call, empty", [("GET /images/json", []), ("GET /containers/json", []),
                                         ("GET /system/df", {"BuildCache": []})])
@pytest.mark.parametrize("status, message", [
    (500, GONE), (500, {"message": "snapshot sha256:7 does not exist: not found"}),
    (404, {"message": "failed to read config content: rpc error: code = NotFound desc = content digest: not found"})])
def test_what_went_away_under_a_list_is_asked_for_again(stub: Stub, daemon_of, call: str, empty: object,
                                                        status: int, message: object) -> None:
    stub.say(call, (status, message), (status, message), (200, empty))
    done = clear(daemon_of(stub))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_list_that_keeps_failing_ends(stub: Stub, daemon_of) -> None:
    stub.say("GET /images/json", GONE, status=500)
    daemon = daemon_of(stub)
    begin = time.monotonic()
    done = clear(daemon)
    assert done.returncode == 6 and "failed to read config content: NotFound" in done.stderr
    assert time.monotonic() - begin < 50


@pytest.mark.parametrize("socket, remedy", [
    ("/run/user/1000/docker.sock", "; see systemctl --user status docker\n"),
    ("/run/docker.sock", "; see systemctl status docker\n"),
    ("/var/run/docker.sock", "; see systemctl status docker\n"),
    ("/srv/engines/docker.sock", "; see systemctl status docker\n"),
    ("/home/ada/.docker/run/docker.sock", "No such file or directory\n")])
def test_the_remedy_fits_the_socket(short_path: Path, socket: str, remedy: str) -> None:
    if Path(socket).exists():
        pytest.skip("there is an engine here")
    with Daemon(socket, short_path / "d") as daemon:
        done = daemon.ctl("clear", "--target", "all")
        assert done.returncode == 6 and done.stderr.endswith(remedy), done.stderr


# --- circles ---

def circle(stub: Stub, size: int, **members: object) -> list[dict[str, object]]:
    return [stub.image(image_id(n + 1), ParentId=image_id((n + 1) % size + 1), **members) for n in range(size)]


@pytest.mark.parametrize("size, named", [(1, "none"), (1, "ours"), (2, "another's"), (3, "none"), (500, "ours")])
def test_circular_parents_end(stub: Stub, daemon_of, size: int, named: str) -> None:
    images = circle(stub, size)
    if named != "none":
        name = "watchparty-backend:1" if named == "ours" else "other:1"
        images[0] = stub.image(image_id(1), ParentId=image_id(1 % size + 1), RepoTags=[name])
    # one that stands on the circle, and is of the classic builder
    images.append(stub.image(image_id(9999), ParentId=image_id(1), RepoTags=["watchparty-web:1"]))
    stub.say("GET /images/json", images)
    ids = [f"{n:025d}" for n in range(size)]
    stub.say("GET /system/df", {"BuildCache": [
        {"ID": id, " Parents": [ids[(n + 1) % size]], "Type": "exec.cachemount" if n == 0 else "regular", "Size": 1000 + n,
         "InUse": False, "Shared": False, "LastUsedAt": OLD, "UsageCount": 1} for n, id in enumerate(ids)]})
    for name in ("watchparty-backend", "watchparty-web"):
        stub.say(f"DELETE /images/{name}:1", [{"Untagged": "x"}])
    stub.say("POST /build/prune", {"CachesDeleted": None, "SpaceReclaimed": 0})
    daemon = daemon_of(stub, FAST + "[builder]\nmax_size=1kB\nmax_age=1h\n")
    for verb in (("plan",), ("explain", "watchparty-web:1"), ("explain", ids[0]), ("clear", "--dry-run"),
                 ("clear", "--target", "all", "--wait", "1s"), ("clear", "--target", "all", "--keep-mounts", "--wait", "1s"),
                 ("plan",)):
        done = daemon.ctl(*verb, timeout=60)
        assert done.returncode in (0, 1, 3), (verb, done.stdout, done.stderr)
    assert daemon.ctl("status").returncode in (0, 8)


# --- another program ---

def podman(stub: Stub, header: bool, version: bool) -> None:
    """As Podman 4.3.1 of Debian 12 answers."""
    stub.api = "1.41"
    if header:
        stub.headers = {"Libpod-Api-Version": "4.3.1", "Libpod-Buildah-Version": "1.28.2", "Builder-Version": ""}
    if version:
        stub.say("GET /version", (FIXTURES / "podman-version.json").read_bytes())
    stub.say("GET /system/df", {"LayersSize": 0, "Images": [], "Containers": [], "Volumes": [], "BuildCache": [],
                                "BuilderSize": 0})


@pytest.mark.parametrize("header, version", [(True, True), (False, True), (True, False)])
def test_podman_is_refused(stub: Stub, daemon_of, header: bool, version: bool) -> None:
    podman(stub, header, version)
    daemon = daemon_of(stub)
    for verb in (("clear", "--target", "all"), ("clear", "--target", "docker", "--dry-run"), ("plan",)):
        done = daemon.ctl(*verb)
        assert done.returncode == 6, done.stdout + done.stderr
        assert "Podman" in done.stderr and len(done.stderr.splitlines()) == 1 and "systemctl" not in done.stderr
    wait_until(lambda: "Podman" in daemon.ctl("status").stdout)  # the first poll may have waited for these
    assert set(stub.requests) <= {"/_ping", "/version"}


def test_podman_is_asked_for_once_a_connection(stub: Stub, daemon_of) -> None:
    daemon = daemon_of(stub)
    assert daemon.ctl("plan").returncode == 0
    before = len(stub.calls)
    for _ in range(5):
        assert daemon.ctl("plan").returncode == 0
    # the watcher has connections of its own, which the stub closes
    assert stub.calls[before:].count("GET /version") <= stub.calls[before:].count("GET /events") + 1


# --- images that become unreadable while the daemon works ---

ODD = (500, {"message": "oh no"})


def become_unreadable(stub: Stub, *objects: str) -> None:
    for object in objects:
        stub.say(f"GET /images/{object}/json", ODD)


def say_removed(stub: Stub, name: str, listed: list[dict[str, Any]]) -> None:
    """NAME goes when the engine is asked to; the list is LISTED then."""
    stub.say(f"DELETE /images/{name}", [{"Untagged": name}])
    stub.before[f"DELETE /images/{name}"] = partial(stub.say, "GET /images/json", listed)


@pytest.mark.parametrize("odd", [False, True])
def test_an_image_that_is_gone_is_not_announced_beside_an_unreadable_one(stub: Stub, daemon_of, odd: bool) -> None:
    """The clear took one of two names; that the list lacks the image then does not mean that it is deleted."""
    image = stub.image(image_id(1), ParentId=image_id(99), RepoTags=["watchparty-backend:1", "other:1"])
    others = [stub.image(image_id(99)), stub.image(image_id(2), RepoTags=["watchparty-backend:2"], Created=1_700_000_001)]
    stub.say("GET /images/json", [image, *others])
    say_removed(stub, "watchparty-backend:1", [{"Id": image_id(1), "Size": "x"}, *others] if odd else others)
    daemon = daemon_of(stub)
    clear(daemon)
    receipt, = receipts(daemon)
    name, = (name for name in receipt["names"] if name["name"] == "watchparty-backend:1")
    assert name.get("deleted", False) != odd, receipt


def test_a_rollback_goes_on_past_a_name_that_the_engine_fails_at(stub: Stub, daemon_of) -> None:
    listed = [stub.image(image_id(n), ParentId=image_id(99), RepoTags=[f"watchparty-backend:{n}", f"other:{n}"])
              for n in (1, 2, 3)]
    listed.append(stub.image(image_id(4), RepoTags=["watchparty-backend:4"], Created=1_700_000_001))
    listed.append(stub.image(image_id(99)))
    stub.say("GET /images/json", listed)

    def take(n: int) -> None:
        listed[n - 1] = {**listed[n - 1], "RepoTags": [f"other:{n}"]}
        stub.say("GET /images/json", listed)
    for n in (1, 2, 3):
        stub.say(f"DELETE /images/watchparty-backend:{n}", [{"Untagged": "x"}])
        stub.before[f"DELETE /images/watchparty-backend:{n}"] = partial(take, n)
    daemon = daemon_of(stub)
    clear(daemon)
    become_unreadable(stub, "watchparty-backend:1")
    stub.say("GET /images/watchparty-backend:2/json", (404, {"message": "No such image"}))
    stub.say("GET /images/watchparty-backend:3/json", (404, {"message": "No such image"}))
    stub.say(f"POST /images/{image_id(2)}/tag", (500, {"message": "no space left on device"}))
    stub.say(f"POST /images/{image_id(3)}/tag", (201, ""))
    done = daemon.ctl("rollback", "--json")
    assert done.returncode != 0
    reply = json.loads(done.stdout)
    assert {entry["name"] for entry in reply["restored"]} == {"watchparty-backend:3", "watchparty-backend:4"}
    assert {entry["name"] for entry in reply["skipped"]} == {"watchparty-backend:1", "watchparty-backend:2"}
    assert "no space left on device" in done.stdout and "oh no" in done.stdout


def test_a_pass_goes_on_past_an_image_that_became_unreadable(stub: Stub, daemon_of) -> None:
    listed = [stub.image(image_id(n), RepoTags=[f"watchparty-backend:{n}"], Created=1_700_000_000 + n)
              for n in range(1, 5)]
    stub.say("GET /images/json", listed)
    removed = []

    def take(n: int) -> None:
        removed.append(n)
        for other in {1, 2, 3} - set(removed):  # of two that are left, the next one can't be read any more
            become_unreadable(stub, image_id(other))
            break
        stub.say("GET /images/json", [image for n, image in enumerate(listed, 1) if n not in removed])
    for n in (1, 2, 3):
        stub.say(f"DELETE /images/watchparty-backend:{n}", [{"Untagged": "x"}])
        stub.before[f"DELETE /images/watchparty-backend:{n}"] = partial(take, n)
    daemon = daemon_of(stub, "[policy]\ngrace=0\nquiet=0\n[poll]\ninterval=1s\nevents=no\nshare=50%\n"
                       "[disk]\nmin_free=off\nmin_free_inodes=off\n"
                       "[images]\nkeep_last=1\nmin_age=0\nmax_age=1d\n")
    wait_until(lambda: json.loads(daemon.ctl("status", "--json").stdout)["engine"]["state"] == "ok")
    daemon.clock.go_on(days=3)
    wait_until(lambda: len(removed) > 1)
    wait_until(lambda: "is left for the next pass: it became unreadable" in daemon.log)


def test_a_poll_goes_on_past_images_that_it_would_inspect(stub: Stub, daemon_of) -> None:
    """For the time of the janitor's own tag, and for the order of a stage and an image of one second."""
    listed = [stub.image(image_id(1), ParentId=image_id(99), RepoTags=["watchparty-backend:1"]),
              stub.image(image_id(2), ParentId=image_id(99)),
              stub.image(image_id(3), RepoTags=["watchparty-backend:wpcache-rollback-3"])]
    stub.say("GET /images/json", listed)
    become_unreadable(stub, *map(image_id, (1, 2, 3)))
    daemon = daemon_of(stub)
    wait_until(lambda: json.loads(daemon.ctl("status", "--json").stdout).get("observedAt"))
    assert json.loads(daemon.ctl("status", "--json").stdout)["engine"]["state"] == "ok"
    assert {call for call in stub.calls if call.endswith("/json") and "sha256" in call} == {
        f"GET /images/{image_id(n)}/json" for n in (1, 2, 3)}
