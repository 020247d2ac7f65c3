# mypy: allow-untyped-defs, allow-untyped-calls
"""The list of images, and what is made from it."""

import re
import subprocess
import tomllib

from dags.definition import SHARED
from dags.workflow import WORKFLOW
from tests.containers import ROOT, images


def test_there_is_an_image_for_each_task_of_the_workflow():
    assert sorted(images("step")) == sorted(task.name for task in WORKFLOW.tasks)


def test_every_image_has_a_stage_and_a_group_that_are_there():
    stages = {
        stage
        for name in ("Containerfile", "minio.Containerfile")
        for stage in re.findall(r"^FROM .* AS (\S+)$", (ROOT / "images" / name).read_text(), re.MULTILINE)
    }
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    listed = subprocess.run([ROOT / "images/list"], check=True, capture_output=True, text=True).stdout.splitlines()
    for line in listed:
        _, name, stage, group = line.split()
        assert stage in stages, name
        assert group in groups or name == "minio", name


def test_a_steps_image_has_what_every_step_may_import():
    copied = re.findall(
        r"^COPY components/(\S+) components/\1$", (ROOT / "images/Containerfile").read_text(), re.MULTILINE
    )
    assert copied == [*SHARED, "${COMPONENT}"]


def test_an_unknown_image_is_refused_with_the_names_that_there_are():
    done = subprocess.run([ROOT / "images/build", "trian"], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"no image trian; there are: {' '.join(images())}\n"
