"""What README says that a rebuild keeps of the release before it, per image store."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine import Engine
from helpers import Project, look, names, run
from scenarios import BACKEND


@pytest.mark.parametrize("used", ["no", "running", "stopped"])
@pytest.mark.parametrize("how", ["buildkit", "classic", "tag"])
def test_the_release_before(engine: Engine, short_path: Path, how: str, used: str) -> None:
    """The containerd store drops it where BuildKit takes its name; else it stays without a name."""
    project = Project(engine, short_path / "project")
    project.build(release="1")
    before = names(engine)[BACKEND]
    if used != "no":
        run(engine, BACKEND, "web")
    if used == "stopped":
        engine.docker("stop", "web")
    if how == "tag":
        engine.import_base("other:1")
        engine.docker("tag", "other:1", BACKEND)
    else:
        (project.dir / "release").write_text("2")
        engine.docker("build", "--network", "none", "--tag", BACKEND, project.dir,
                      env={"DOCKER_BUILDKIT": str(int(how == "buildkit"))})
    assert names(engine)[BACKEND] != before
    kept = [image for image in look(engine, "/v1.41/images/json?all=1") if image["Id"] == before]
    dropped = engine.name == "28c" and how == "buildkit"
    assert len(kept) == (not dropped)
    assert all(not image["RepoTags"] or image["RepoTags"] == ["<none>:<none>"] for image in kept)
    status, body = engine.api("POST", f"/images/{before}/tag?repo=rescued&tag=1")
    assert status == (404 if dropped else 201) and (not dropped or "No such image" in json.loads(body)["message"])
    if used != "no":  # the container does not need its image's name, nor its place in the list
        engine.docker("restart", "--time", "0", "web")
