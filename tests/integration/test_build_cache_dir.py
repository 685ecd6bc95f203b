"""A build cache in a directory of this host, as cache_to: type=local of buildx writes it."""
from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from apps import section, write
from daemon import Daemon
from engine import Engine, buildx
from helpers import Project, on
from scenarios import BACKEND, Build, count

def cache(directory: Path) -> Path:
    """What buildx leaves in DIRECTORY: an OCI image layout."""
    layer = b"a layer"
    digest = hashlib.sha256(layer).hexdigest()
    write(directory, "ingest/unfinished")
    (directory / "blobs/sha256").mkdir(parents=True)
    (directory / "blobs/sha256" / digest).write_bytes(layer)
    (directory / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(layer)}]}))
    return directory


def assumed(stdout: str) -> list[str]:
    return [line for line in stdout.splitlines() if line.startswith("ASSUMES: ") and "type=local" in line]


@pytest.mark.parametrize("caches, gone", [
    (".buildx-cache", {".buildx-cache", "api/.buildx-cache"}), (".cache/buildx", {".cache/buildx"}),
    ("api/.buildx-cache, .cache/buildx", {"api/.buildx-cache", ".cache/buildx"})])
def test_a_directory_in_caches(engine: Engine, short_path: Path, caches: str, gone: set[str]) -> None:
    """It is removed with all that is in it, where caches= names it: by its name, or by its path from the root."""
    root = write(short_path / "backend", "manage.py", ".cache/pip/wheel", "buildx-cache/index.json")
    every = {".buildx-cache", "api/.buildx-cache", ".cache/buildx"}
    for path in every:
        cache(root / path)
    with Daemon(engine.socket, short_path / "daemon", section(root, "backend", caches=caches)) as daemon:
        done = daemon.clear()
        assert (done.returncode, done.stderr) == (0, ""), done
    assert {path for path in every if (root / path).exists()} == every - gone
    assert (root / ".cache/pip/wheel").is_file() and (root / "buildx-cache/index.json").is_file()
    line, = assumed(done.stdout)
    assert "cache_from" in line and "directory on this host" in line and "caches= of an [app NAME]" in line


@pytest.mark.parametrize("caches", ["/var/cache/buildx", "../.buildx-cache", ".", "./.buildx-cache", ".cache//buildx"])
def test_no_directory_outside_of_the_root(short_path: Path, caches: str) -> None:
    """The names of caches are components of a path below the root."""
    root = write(short_path / "backend", "manage.py")
    daemon = Daemon(short_path / "e", short_path / "daemon", section(root, "backend", caches=caches))
    with pytest.raises(Exception, match=r"\[app backend\] caches: "):
        daemon.start()


@on("28c")  # the docker driver writes such a cache with the containerd store alone
def test_a_real_build_cache(engine: Engine, short_path: Path) -> None:
    """What no section names serves every step, which is what the ASSUMES line warns of; then it is named."""
    plugins = Path(engine.env["DOCKER_CONFIG"]) / "cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    shutil.copy(buildx(), plugins / "docker-buildx")
    project = Project(engine, short_path / "backend")
    directory = project.dir / ".buildx-cache"
    write(project.dir, "manage.py")
    (project.dir / "release").write_text("v1")
    (project.dir / ".dockerignore").write_text(".buildx-cache\n")
    (project.dir / "Dockerfile").write_text("FROM scratch\nCOPY rootfs /\nCOPY release /app/\n"
                                            "RUN cp /app/release /app/installed\n")

    def build() -> Build:
        done = engine.docker("buildx", "build", "--network", "none", "--progress", "plain", "--tag", BACKEND, "--load",
                             "--cache-to", f"type=local,dest={directory},mode=max",
                             "--cache-from", f"type=local,src={directory}", project.dir)
        return count(done.stdout + done.stderr)

    assert build().cached == 0
    with Daemon(engine.socket, short_path / "bare") as bare:
        done = bare.clear()
        assert done.returncode == 0 and assumed(done.stdout)
    assert build().cached == 3 and (directory / "index.json").is_file()
    extra = section(project.dir, "backend", caches="__pycache__, .buildx-cache")
    with Daemon(engine.socket, short_path / "daemon", extra) as daemon:
        done = daemon.clear()
        assert done.returncode == 0 and not directory.exists(), done
    assert build().cached == 0
    assert build().cached == 3
