"""Images of others, and builders, that may give cached layers to the next build: what is known of them,
and from where. What a build takes from them is in the freshness matrix."""
from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

import proxy as proxy_module
import test_apps_user
from engine import Engine, rootfs_tar
from helpers import ONE, Daemon, Project, load, on, run, untag
from proxy import Proxy
from scenarios import BACKEND, GRAPH, count
from test_apps_user import daemon_of_user

proxy = proxy_module.proxy  # the fixtures
group = test_apps_user.group
INLINE = ("--build-arg", "BUILDKIT_INLINE_CACHE=1")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")


def assumed(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("ASSUMES: "))


def remaining(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("REMAINING: "))


@on(*GRAPH)
@root_only
@pytest.mark.parametrize("inline", [True, False])
def test_where_the_data_root_cannot_be_read(engine: Engine, short_path: Path, inline: bool,
                                            group: tuple[str, ...]) -> None:
    """From engine 24 on the build history tells of images that were built here, and one with our first step is
    remaining. Before, only one that has all layers of ours is; of others it is assumed that no build names
    them."""
    options = INLINE if inline else ()
    Project(engine, short_path / "other").build(*options, name="ci/cache:main")
    project = Project(engine, short_path / "project")
    project.build(*options, release="1")
    project.build(*options, "--label", "of=others", name="scratchpad:same", release="1")
    project.build(*options, name="scratchpad:next", release="2")
    with daemon_of_user(engine, short_path, "", *group) as daemon:
        clear = daemon.ctl("clear", "all")
    if engine.name == "20":
        assert clear.returncode == 3, clear.stdout
        assert "ci/cache:main" not in remaining(clear.stdout)
        assert "scratchpad:same" in remaining(clear.stdout)
        assert "scratchpad:next" not in remaining(clear.stdout)
        assert "ci/cache:main" in assumed(clear.stdout) and "scratchpad:next" in assumed(clear.stdout)
    else:
        assert clear.returncode == (3 if inline else 0), clear.stdout
        for name in ("scratchpad:same", "scratchpad:next", "ci/cache:main"):
            assert (name in remaining(clear.stdout)) == inline, clear.stdout
        assert not assumed(clear.stdout).count("ci/cache:main"), clear.stdout


# The newest entry of the history of an image that another tool made, and one below it.
MADE_BY = {
    "the classic builder": [{"created_by": '/bin/sh -c #(nop)  CMD ["/bin/sh"]'},
                            {"created_by": "/bin/sh -c #(nop) COPY dir:0123456789 in / "}],
    "kaniko": [{"created_by": 'CMD ["/bin/sh"]'}, {"created_by": "COPY rootfs /"}],
    "buildah": [{"created_by": '/bin/sh -c #(nop) CMD ["/bin/sh"]'},
                {"created_by": "/bin/sh -c #(nop) COPY dir:0123456789 in /",
                 "comment": "FROM scratch"}],
    "jib": [{"created_by": "jib-maven-plugin:3.4.0", "comment": "classes"},
            {"created_by": "jib-maven-plugin:3.4.0", "comment": "dependencies"}],
    "nothing that says so": [{}, {}],
}


def load_made_elsewhere(engine: Engine, name: str, history: list[dict[str, str]]) -> None:
    layer = rootfs_tar("made elsewhere")
    # One entry for each layer, the oldest first; those of metadata alone say so.
    entries = [{"created": "2026-01-01T00:00:00Z", **history[1]},
               {"created": "2026-01-01T00:00:00Z", "empty_layer": True, **history[0]}]
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/sh"]}, "history": entries,
        "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for file, data in (("layer.tar", layer), ("config.json", config), ("manifest.json", json.dumps([
                {"Config": "config.json", "Layers": ["layer.tar"], "RepoTags": [name]}]).encode())):
            info = tarfile.TarInfo(file)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    engine.docker("load", "--quiet", input=archive.getvalue())


@pytest.mark.parametrize("tool", MADE_BY)
def test_image_made_elsewhere(engine: Engine, daemon: Daemon, tool: str) -> None:
    """No builder reaches what was loaded by its parents: once the name is gone, it serves nothing, and the
    container that runs it may go on."""
    load_made_elsewhere(engine, BACKEND, MADE_BY[tool])
    run(engine, BACKEND, "web")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert remaining(clear.stdout) == ""
    assert engine.docker("inspect", "--format", "{{.State.Running}}", "web").stdout == "true\n"


def test_loaded_image_of_one_step(engine: Engine, short_path: Path) -> None:
    """Made by the classic builder elsewhere, and running. Engines before 25.0.2 take such a step from any image
    without a parent; later ones from what they built themselves alone. The containerd store does not tell which
    that is, so it counts there."""
    project = Project(engine, short_path / "project")
    (project.dir / "Dockerfile").write_text("FROM scratch\nCOPY rootfs /\n")

    def build() -> int:
        done = engine.docker("build", "--tag", BACKEND, str(project.dir), env={"DOCKER_BUILDKIT": "0"})
        return count(done.stdout).cached

    build()
    archive = short_path / "image.tar"
    engine.docker("save", "--output", str(archive), BACKEND)
    engine.docker("rmi", BACKEND)
    engine.docker("load", "--quiet", "--input", str(archive))
    run(engine, BACKEND, "web")
    with Daemon(engine.socket, short_path / "daemon") as daemon:  # it did not see that the image was built here
        for _ in range(2):
            clear = daemon.ctl("clear", "all")
            assert clear.returncode == (0 if engine.name in ("26", "28") else 3), clear.stdout
            assert build() == (1 if engine.name == "20" else 0)
            untag(engine, BACKEND)
    if clear.returncode:
        assert "container web" in remaining(clear.stdout)


@on(*GRAPH)
def test_assumptions_are_one_line(engine: Engine, daemon: Daemon, short_path: Path) -> None:
    for i in range(7):
        Project(engine, short_path / f"project{i}").build(*INLINE, name=f"ci/cache:{i}")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    line, = (line for line in assumed(clear.stdout).splitlines() if "ci/cache" in line)
    assert all(f"ci/cache:{i}" in line for i in range(7))


@ONE
def test_base_images_are_exempt(engine: Engine, short_path: Path) -> None:
    project = Project(engine, short_path / "project")
    project.build(*INLINE, name="team/base:1")
    project.build()
    with Daemon(engine.socket, short_path / "daemon", "[images]\nbase=team/base\n") as daemon:
        clear = daemon.ctl("clear", "all")
    assert clear.returncode == 0, clear.stdout
    assert "team/base" not in clear.stdout


@ONE
def test_facts_are_remembered(engine: Engine, proxy: Proxy, short_path: Path) -> None:
    """An image is inspected once, over restarts of the daemon, too; one whose names changed, anew. Beside that a
    clear asks of the release that is to lose its name when it was last tagged."""
    load(engine, 20, "watchparty-backend")
    Project(engine, short_path / "project").build(name="other/app:1")

    def inspected() -> int:
        return len(proxy.sent("GET", "/images/")) - len(proxy.sent("GET", "/images/json"))

    for expected in (21, 0):
        proxy.requests.clear()
        with Daemon(proxy.socket, short_path / "daemon") as daemon:
            for _ in range(2):
                assert daemon.ctl("clear", "--dry-run").returncode == 0
            assert expected <= inspected() <= expected + 2
    proxy.requests.clear()
    with Daemon(proxy.socket, short_path / "daemon") as daemon:
        engine.docker("tag", "other/app:1", "other/app:2")
        assert daemon.ctl("clear", "--dry-run").returncode == 0
        assert 1 <= inspected() <= 2


@ONE
@pytest.mark.parametrize("running", [False, True], ids=["stopped", "running"])
def test_state_of_a_renamed_builder(engine: Engine, daemon: Daemon, running: bool) -> None:
    """Its volume is not left over: the container has it, under whatever name, and has to go first. Of a
    builder under its own name the container is named, and not the volume."""
    engine.import_base("other/service:1")
    for builder, container in (("ci0", "renamed"), ("keep0", "buildx_buildkit_keep0")):
        engine.docker("create", "--name", container, "--network", "none", "--stop-timeout", "0",
                      "--volume", f"buildx_buildkit_{builder}_state:/state", "other/service:1",
                      "/bin/sleep", "3600")
    if running:
        engine.docker("start", "renamed")
    clear = daemon.ctl("clear", "all")
    assert clear.returncode == 3, clear.stdout
    assert len(remaining(clear.stdout).splitlines()) == 2, clear.stdout
    assert "is gone" not in clear.stdout
    assert ("REMAINING: builder buildx_buildkit_ci0_state: the volume keeps the build cache of the buildx builder "
            "'ci', and the container renamed has it mounted\n") in clear.stdout
    remedy = f"docker rm {'-f ' if running else ''}renamed && docker volume rm buildx_buildkit_ci0_state"
    assert remedy in clear.stdout
    for part in remedy.split(" && "):
        engine.docker(*part.split()[1:])
    engine.docker("rm", "buildx_buildkit_keep0")
    engine.docker("volume", "rm", "buildx_buildkit_keep0_state")
    assert daemon.ctl("clear", "all").returncode == 0


@ONE
@pytest.mark.parametrize("container", [False, True])
def test_state_of_a_removed_builder(engine: Engine, short_path: Path, container: bool) -> None:
    """`docker buildx rm --keep-state` leaves the builder's volume, with its cache."""
    for volume in ("buildx_buildkit_ci0_state", "my_buildx_buildkit_ci0_state", "buildx_buildkit_ci0"):
        engine.docker("volume", "create", volume)
    if container:
        engine.import_base("other/service:1")
        engine.docker("create", "--name", "buildx_buildkit_ci0", "other/service:1", "/bin/true")
    with Daemon(engine.socket, short_path / "daemon") as daemon:
        for target, status in (("all", 3), ("builder", 3), ("images", 0)):
            clear = daemon.ctl("clear", target)
            assert clear.returncode == status, clear.stdout
            lines = remaining(clear.stdout).splitlines()
            assert len(lines) == (status == 3)
            volume = status == 3 and not container
            assert ("builder buildx_buildkit_ci0_state" in clear.stdout) == volume
            assert ("docker volume rm buildx_buildkit_ci0_state" in clear.stdout) == volume
    with Daemon(engine.socket, short_path / "daemon",
                "[builder]\nexternal_builders=ignore\n") as daemon:
        assert daemon.ctl("clear", "all").returncode == 0
