# mypy: allow-untyped-defs, allow-untyped-calls
"""The study as a pipeline: as many workers as are asked for, and one task that waits for all of them."""

import subprocess
import sys

import pytest
import yaml

from components.contract.errors import BadInput
from dags.kubeflow_study import build
from dags.workflow import WORKFLOW


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    command = [sys.executable, "-m", "dags.kubeflow_study", str(path), "--workers=3", "--registry=here/t", "--tag=1"]
    subprocess.run(command, check=True)
    return next(yaml.safe_load_all(path.read_text()))


def test_the_form_has_what_make_study_has(compiled):
    asked = compiled["root"]["inputDefinitions"]["parameters"]
    assert set(asked) == {
        "vary", "others", "place", "measure", "trials", "sampler", "at_once", "eta", "seeds", "finalists",
    }  # fmt: skip
    assert (asked["trials"]["defaultValue"], asked["seeds"]["defaultValue"]) == (20, 1)


def test_workers_are_side_by_side_and_all_have_the_study_of_this_run(compiled):
    (loop,) = [name for name in compiled["root"]["dag"]["tasks"] if name.startswith("for-loop")]
    tasks = compiled["root"]["dag"]["tasks"]
    assert tasks[loop]["parameterIterator"]["items"]["raw"] == '["1", "2", "3"]'
    assert tasks["choose"]["dependentTasks"] == [loop]
    inner = compiled["components"][tasks[loop]["componentRef"]["name"]]["dag"]["tasks"]["work"]
    for task in (inner, tasks["choose"]):
        assert task["inputs"]["parameters"]["name"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"
        assert not task["cachingOptions"].get("enableCache")
    executors = compiled["deploymentSpec"]["executors"]
    assert {each["container"]["image"] for each in executors.values()} == {"here/t/study:1"}
    assert {tuple(each["container"]["command"]) for each in executors.values()} == {("python", "-m", "dags.study_task")}


def test_what_the_cluster_is_asked_for_is_checked():
    with pytest.raises(BadInput, match=r"^gpu_cuont: no such parameter"):
        build(WORKFLOW, defaults=["gpu_cuont=1"])
