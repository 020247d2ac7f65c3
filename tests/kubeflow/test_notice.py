# mypy: allow-untyped-defs, allow-untyped-calls
"""The pipeline with an exit handler that tells how the run ended, and what it tells."""

import json

import pytest
import yaml
from kfp import compiler

from components.contract import artifact
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags import kubeflow_notice
from dags.kubeflow_pipeline import build
from dags.notice import URL
from dags.workflow import WORKFLOW
from tests.blessed import CONDITIONAL
from tests.kubeflow.limits import too_early
from tests.kubeflow.played import play
from tests.receiver import receiver

GROUP = "exit-handler-1"
RUN = "0254beba-0be4-4065-8d97-7dc5e3adf300"
FIGURES = {"accuracy": 0.98, "accuracy_low": 0.97, "accuracy_high": 0.99, "verdict": "blessed", "version": 2}
SENTENCE = "test accuracy 98.00 % (95 % interval 97.00 to 99.00 %), blessed as version 2: it is good"
NOTHING = {"verdict": "", "metrics": {}}


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    path = tmp_path_factory.mktemp("compiled") / "p.yaml"
    compiler.Compiler().compile(build(CONDITIONAL, notice="hook"), str(path))
    return list(yaml.safe_load_all(path.read_text()))


def test_the_last_task_comes_after_all_others_whatever_came_of_them(documents):
    spec, _ = documents
    graph = spec["root"]["dag"]["tasks"]
    assert set(graph) == {GROUP, "notify"}
    last = graph["notify"]
    assert (last["dependentTasks"], last["cachingOptions"]) == ([GROUP], {})
    assert last["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert last["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": GROUP}}
    # The backend resolves it as a whole value alone.
    assert last["inputs"]["parameters"]["run"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    inside = spec["components"][f"comp-{GROUP}"]["dag"]["tasks"]
    assert {"check", *(task.name for task in WORKFLOW.tasks if not task.if_blessed)} < set(inside)


def test_what_resources_come_from_is_declared_around_them(documents):
    spec, platform = documents
    group = spec["components"][f"comp-{GROUP}"]
    declared = group["inputDefinitions"]["parameters"]
    for task in group["dag"]["tasks"].values():
        asked = {each.get("componentInputParameter") for each in task["inputs"]["parameters"].values()} - {None}
        assert asked <= set(declared)
    assert "pipelinechannel--gpu_count" in group["dag"]["tasks"]["train"]["inputs"]["parameters"]
    assert too_early(spec, platform, {task.name: task.resources.timeout_seconds for task in WORKFLOW.tasks}) == []


def test_the_address_comes_from_a_secret_of_its_own(documents):
    _, platform = documents
    told = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-notify"]
    keys = {
        secret["secretName"]: {item["secretKey"]: item["envVar"] for item in secret["keyToEnv"]}
        for secret in told["secretAsEnv"]
    }
    assert keys["hook"] == {"url": "TAPELINE_NOTICE_URL", "token": "TAPELINE_NOTICE_TOKEN"}
    assert told["podMetadata"]["labels"]["tapeline/downloads"] == "true"  # a cluster lets it out


def test_without_a_secret_there_is_no_such_task():
    path = build(WORKFLOW).pipeline_spec
    assert "notify" not in path.root.dag.tasks
    assert GROUP not in path.root.dag.tasks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("fails", "state"), [((), "finished"), (("kubeflow_check",), "failed")])
def test_kfp_local_tells_it_once_for_a_run_that_ends_well_and_one_that_fails(tmp_path, monkeypatch, fails, state):
    with receiver() as there:
        monkeypatch.setenv(URL, there.address)
        played = play(monkeypatch, tmp_path, CONDITIONAL, FIGURES | {"reasons": "it is good"}, fails, notice="hook")
    assert (played[0], played[-1]) == ("kubeflow_check", "kubeflow_notice")
    assert ("card" in played) == (state == "finished")
    ((_, _, document),) = there.came
    assert (document["state"], document["caller"], document["parameters"]) == (state, "kubeflow", {"epochs": 3})
    kept = next((tmp_path / "root").glob("*/notify/notice"))
    assert json.loads(kept.read_text()) == document


def told(folder, status, scheme="minio", **parameters):
    """Return what is told of a run whose tasks ended so."""
    place = f"{scheme}://mlpipeline/v2/artifacts/tapeline/{RUN}/notify/1b2c/notice"
    document = {
        "inputs": {"parameterValues": {"status": status, "run": RUN, "gpu_count": "1", **parameters}},
        "outputs": {
            "artifacts": {"notice": {"artifacts": [{"uri": place, "customPath": str(folder / "notice")}]}},
            "outputFile": str(folder / "output.json"),
        },
    }
    assert kubeflow_notice.tell(WORKFLOW, json.dumps(document)) == ""  # there is no address
    output = json.loads((folder / "output.json").read_text())
    notice = json.loads((folder / "notice").read_text())
    (kept,) = output["artifacts"]["notice"]["artifacts"]
    assert kept["metadata"] == {"state": notice["state"], "sentence": notice["sentence"]}
    return notice


def test_it_knows_what_the_gate_decided_where_the_store_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPELINE_KUBEFLOW_UI", "https://kubeflow.example/_/pipeline/")
    with serve(tmp_path / "store", "mlpipeline") as settings:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        assert told(tmp_path, {"state": "FAILED", "error": {"message": "no", "code": 9}}) == {
            "workflow": "tapeline", "run": RUN, "caller": "kubeflow", "state": "failed", "sentence": "no", **NOTHING,
            "parameters": {}, "link": f"https://kubeflow.example/_/pipeline/#/runs/details/{RUN}",
        }  # fmt: skip
        assert told(tmp_path, {"state": "RUNNING", "error": {}})["state"] == "failed"  # its last pod was lost
        decided = tmp_path / "decision"
        decided.mkdir()
        (decided / "decision.json").write_text("{}")
        said = FIGURES | {"reasons": "it is good"}
        artifact.seal(
            decided, component="gate", output="decision", parameters={}, inputs={}, packages=(), metadata=said
        )
        place = f"s3://mlpipeline/v2/artifacts/tapeline/{RUN}/gate/9f8e/decision"
        Store.from_environment().publish(decided, place)
        good = told(tmp_path, {"state": "COMPLETE"}, epochs=3.0, seed=0, unlisted_parameters={"margin": 1.0})
        assert good == {
            "workflow": "tapeline", "run": RUN, "caller": "kubeflow", "state": "finished", "sentence": SENTENCE,
            "verdict": "blessed", "metrics": {name: FIGURES[name] for name in FIGURES if name != "verdict"},
            "parameters": {"epochs": 3, "margin": 1}, "link": f"https://kubeflow.example/_/pipeline/#/runs/details/{RUN}",
        }  # fmt: skip
        # A group in which a condition was not met may never be marked as complete.
        assert told(tmp_path, {"state": "RUNNING", "error": {}}) == good | {"parameters": {}}
        failed = told(tmp_path, {"state": "FAILED", "error": {"message": "handover failed"}})
        assert (failed["state"], failed["sentence"]) == ("failed", f"{SENTENCE}; handover failed")
        ended = told(tmp_path, {"state": "CANCELED"})
        assert (ended["state"], ended["verdict"]) == ("interrupted", "blessed")


def test_a_store_that_cannot_be_read_leaves_the_verdict_empty(tmp_path, monkeypatch, capsys):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    notice = told(tmp_path, {"state": "SUCCEEDED"})
    assert (notice["state"], notice["sentence"], notice["link"]) == ("finished", "finished", "")
    assert notice.items() > NOTHING.items()
    assert capsys.readouterr().out.startswith("notify: what the gate decided cannot be read: no S3 credentials")
    assert told(tmp_path, {"state": "SUCCEEDED"}, scheme="gs").items() > NOTHING.items()
    assert capsys.readouterr().out == ""


def test_what_is_no_executor_input_is_refused():
    for text, said in (("[]", "is not an executor input"), ('{"inputs": {}}', "has no 'parameterValues'")):
        with pytest.raises(BadInput, match=said):
            kubeflow_notice.tell(WORKFLOW, text)
