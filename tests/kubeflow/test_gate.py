# mypy: allow-untyped-defs, allow-untyped-calls
"""The gate as a task of the pipeline: it hands out its verdict, and what needs a blessing runs by that alone."""

import json

import pytest
import yaml
from kfp import compiler

from dags.kubeflow_pipeline import build
from dags.workflow import WORKFLOW
from tests.blessed import CARDS, CONDITIONAL, LABELS
from tests.kubeflow.limits import too_early
from tests.kubeflow.played import play

GATE = WORKFLOW.gate
GROUP = "condition-1"
ALWAYS = [task.name for task in CONDITIONAL.tasks if not task.if_blessed]
MORE = [task.name for task in CONDITIONAL.tasks if task.if_blessed]


def compiled(path, **options):
    compiler.Compiler().compile(build(CONDITIONAL, **options), str(path))
    return list(yaml.safe_load_all(path.read_text()))


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("compiled") / "p.yaml", defaults=["gpu_count=1"])


def test_what_needs_a_blessing_is_in_a_group_that_only_the_verdict_opens(documents):
    spec, _ = documents
    graph, name = spec["root"]["dag"]["tasks"], GATE.component.name
    assert set(graph) == {"check", *ALWAYS, GROUP}
    assert spec["components"][f"comp-{name}"]["outputDefinitions"]["parameters"] == {
        GATE.verdict: {"parameterType": "STRING"}
    }
    group = graph[GROUP]
    assert group["taskInfo"]["name"] == "if blessed"
    told = f"pipelinechannel--{name}-{GATE.verdict}"
    assert group["triggerPolicy"]["condition"] == f"inputs.parameter_values['{told}'] == 'blessed'"
    assert group["inputs"]["parameters"][told] == {
        "taskOutputParameter": {"outputParameterKey": GATE.verdict, "producerTask": name}
    }
    assert "dependentTasks" not in group  # the verdict says it already
    inside = spec["components"][f"comp-{GROUP}"]["dag"]["tasks"]
    assert {name: task["taskInfo"]["name"] for name, task in inside.items()} == {
        task.name: task.component.title for task in CONDITIONAL.tasks if task.if_blessed
    }
    assert not [name for name, task in inside.items() if "dependentTasks" in task]


def test_every_input_of_the_group_is_declared_as_the_backend_wants_it(documents):
    spec, _ = documents
    group = spec["components"][f"comp-{GROUP}"]
    declared = {name for kind in group["inputDefinitions"].values() for name in kind}
    for task in group["dag"]["tasks"].values():
        for kind, key in (("parameters", "componentInputParameter"), ("artifacts", "componentInputArtifact")):
            asked = {each[key] for each in task["inputs"].get(kind, {}).values() if key in each}
            assert asked <= declared
    assert declared == set(spec["root"]["dag"]["tasks"][GROUP]["inputs"]["parameters"]) | set(
        spec["root"]["dag"]["tasks"][GROUP]["inputs"]["artifacts"]
    )


def test_what_is_fresh_is_never_cached_and_is_told_of_the_registry(documents):
    spec, platform = documents
    inside = spec["components"][f"comp-{GROUP}"]["dag"]["tasks"]
    assert [inside[task.name]["cachingOptions"] for task in (CARDS, LABELS)] == [{}, {"enableCache": True}]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    told = {
        name: [key for each in executors[f"exec-{name}"]["configMapAsEnv"] for key in each["keyToEnv"]]
        for name in ("card", "label")
    }
    registry = {"configMapKey": "registry", "envVar": "TAPELINE_REGISTRY"}
    assert (registry in told["card"], registry in told["label"]) == (True, False)
    run = [executors[f"exec-{name}"].get("fieldPathAsEnv") for name in ("card", "label")]
    assert run == [[{"name": "TAPELINE_RUN", "fieldPath": "metadata.labels['pipeline/runid']"}], None]


def test_limits_hold_in_the_group_too(documents):
    spec, platform = documents
    own = {task.name: task.resources.timeout_seconds for task in CONDITIONAL.tasks}
    assert too_early(spec, platform, own) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("verdict", "more"), [("blessed", MORE), ("rejected", []), ("unjudged", [])])
def test_kfp_local_runs_what_needs_a_blessing_where_there_is_one(tmp_path, monkeypatch, verdict, more):
    played = play(monkeypatch, tmp_path, CONDITIONAL, {GATE.verdict: verdict})
    assert played[0] == "kubeflow_check"
    assert sorted(played[1:]) == sorted([*ALWAYS, *more])
    outputs = next((tmp_path / "root").glob(f"*/{GATE.component.name}/executor_output.json"))
    assert json.loads(outputs.read_text())["parameterValues"] == {GATE.verdict: verdict}
