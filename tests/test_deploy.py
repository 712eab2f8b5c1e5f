"""The recipes of deploy/: nobody here has a cluster, so at least what they call must exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from aecodec.cli.main import main

ROOT = Path(__file__).parent.parent
yaml = pytest.importorskip("yaml")
tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
pytest.importorskip("distributed")
pytest.importorskip("s3fs")


def commands() -> dict[str, list[str]]:
    """Return the arguments of ``aecodec`` in each recipe."""
    job, dask, compose, slurm = (
        (ROOT / "deploy" / name).read_text()
        for name in ("kubernetes-job.yaml", "dask-kubernetes.yaml", "compose.yaml", "slurm-array.sh")
    )
    client = next(each for each in yaml.safe_load_all(dask) if each["kind"] == "Job")
    script = next(each for each in yaml.safe_load_all(job) if each["kind"] == "Job")
    pod = script["spec"]["template"]["spec"]["containers"][0]
    comment = re.sub(r"\n# +", " ", compose.replace("\\\n", "\n"))
    return {
        "kubernetes": _after_exec(pod["args"][0]),
        "dask": client["spec"]["template"]["spec"]["containers"][0]["args"],
        "compose": shlex.split(re.search(r"run --rm client (.*?) docker compose", comment).group(1)),
        "slurm": _after_exec(slurm.replace("$SLURM_CPUS_PER_TASK", "4")),
    }


def _after_exec(script: str) -> list[str]:
    return shlex.split(re.search(r"exec aecodec (.*)", script.replace("\\\n", "")).group(1))


@pytest.mark.parametrize("recipe", ["kubernetes", "dask", "compose", "slurm"])
def test_recipes_call_options_that_exist(recipe):
    """A renamed option would be found out on a thousand cores."""
    name, *args = commands()[recipe]
    context = main.get_command(None, name).make_context(name, args)
    assert context.params["recursive"]
    assert context.params["output_dir"]


def test_the_image_installs_extras_that_exist():
    """Of an extra that pip does not know it only warns, and the image would lack a package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.search(r"/source\[(.*)\]", (ROOT / "deploy" / "Dockerfile").read_text()).group(1)
    assert set(named.split(",")) <= extras.keys()


def test_what_the_image_copies_is_what_the_package_is_built_from():
    """The build would fail, or take the whole checkout with its pictures to the builder."""
    lines = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert lines[0] == "**"
    assert all((ROOT / line[1:]).exists() for line in lines if line.startswith("!"))
