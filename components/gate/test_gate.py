# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code=union-attr
"""The gate with real artifacts: from the first version to one that is rejected, in a registry in a folder."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.artifacts.registry import Registry
from components.conftest import make
from components.contract import artifact
from components.contract.declaration import argument
from components.contract.errors import BadInput
from components.gate.component import COMPONENT


@pytest.fixture
def model(ingested, tmp_path):
    """Return a function that makes a model and what evaluate found of it: that many test images are wrong."""
    labels = datasets.read(ingested / "dataset", "test").labels

    def made(name, wrong=(), *, passed=True, judged=True, sure=0.99):
        folder = tmp_path / name
        for part in ("trained_model", "metrics"):
            (folder / part).mkdir(parents=True)
        (folder / "trained_model" / "weights").write_text(name)
        answers = labels.copy()
        answers[list(wrong)] = (answers[list(wrong)] + 1) % 10
        logits = np.log(np.where(np.eye(10)[answers] == 1, sure, (1 - sure) / 9)).astype(np.float32)
        np.save(folder / "metrics" / "logits.npy", logits)
        accuracy = 1 - len(wrong) / len(labels)
        figures = {
            "accuracy": accuracy, "accuracy_interval": [accuracy - 0.02, accuracy + 0.001], "loss": 0.1,
            "calibration_error": 0.01, "verdict": "passed" if passed else "failed",
            "checks": [{"what": "accuracy is at least 0.5", "passed": passed}] if judged else [],
        }  # fmt: skip
        (folder / "metrics" / "metrics.json").write_text(json.dumps(figures))
        for part in ("trained_model", "metrics"):
            artifact.seal(folder / part, component="x", output=part, parameters={"name": name}, inputs={})
        return folder

    return made


@pytest.fixture
def gate(ingested, tmp_path, monkeypatch):
    """Return a function that has a model judged, and returns what decision.json says."""
    monkeypatch.setenv("TAPELINE_REGISTRY", str(tmp_path / "registry"))

    def judged(folder, **values):
        inputs = {"dataset": ingested / "dataset", **{part: folder / part for part in ("trained_model", "metrics")}}
        made = make(COMPONENT, values, inputs, folder / "gate")
        return json.loads((made / "decision" / "decision.json").read_text())

    return judged


def what(said, *, passed):
    return [check["what"] for check in said["checks"] if check["passed"] is passed]


def test_the_first_one_is_version_1(gate, model, ingested, tmp_path):
    first = model("first", range(10))
    said = gate(first)
    assert (said["verdict"], said["version"], said["baseline"]) == ("blessed", 1, None)
    assert said["notes"] == ["Nothing is blessed yet as model for this test set, so it is held against nothing."]
    (shelf,) = Registry(str(tmp_path / "registry")).shelves()
    assert (shelf.name, shelf.test_set) == ("model", datasets.test_set(ingested / "dataset"))
    version = shelf.state().current
    kept = {part: artifact.digest(first / part) for part in ("trained_model", "metrics")}
    assert (version.model, version.metrics) == tuple(kept.values())
    assert version.dataset == artifact.digest(ingested / "dataset")
    for digest in kept.values():
        artifact.verify(Path(shelf.registry.artifact(digest)))
    assert shelf.state().events[0].why == "accuracy is at least 0.5"
    metadata = artifact.verify(first / "gate" / "decision").metadata
    assert (metadata["verdict"], metadata["version"], metadata["reasons"]) == (
        "blessed", 1, "accuracy is at least 0.5",
    )  # fmt: skip
    # Once more is the same version, and the same bytes but for the words.
    again = gate(first)
    assert (again["verdict"], again["version"]) == ("blessed", 1)
    assert again["notes"] == ["It is version 1, the blessed one already."]
    assert len(shelf.state().events) == 1


def test_one_that_is_no_worse_is_the_next_version(gate, model):
    gate(model("first", range(20)))
    said = gate(model("second", range(10)), margin=5)
    assert (said["verdict"], said["version"]) == ("blessed", 2)
    baseline = said["baseline"]
    assert (baseline["version"], baseline["only_ours"], baseline["only_theirs"], baseline["n"]) == (1, 10, 0, 256)
    assert baseline["difference"] == pytest.approx(10 / 256)
    assert what(said, passed=False) == []
    assert what(said, passed=True)[1].startswith("accuracy is surely at most 5 points below that of version 1 (p = ")
    assert what(said, passed=True)[2] == "no class is surely found less often than by version 1"


def test_one_that_is_worse_is_rejected_and_not_kept(gate, model, tmp_path):
    gate(model("first", range(5)))
    worse = model("worse", range(5, 60))
    said = gate(worse, margin=1)
    assert (said["verdict"], said["version"]) == ("rejected", 0)
    assert what(said, passed=False)[0].startswith("it is not sure that accuracy is at most 1 point below that of ver")
    page = (worse / "gate" / "report" / "report.html").read_text()
    assert "Rejected: it is not sure that accuracy is at most 1 point below" in page
    assert "Keep version 1: it is better." in page
    registry = Registry(str(tmp_path / "registry"))
    assert not Path(registry.artifact(artifact.digest(worse / "trained_model"))).exists()
    assert registry.shelves()[0].state().current.number == 1


def test_few_images_say_what_they_cannot_show(gate, model):
    gate(model("first", range(10)))
    alike = model("alike", range(1, 11))
    said = gate(alike)
    assert said["verdict"] == "rejected"
    smallest = f"{100 * said['baseline']['smallest']:.2f} points"
    sight = f"256 test images show a difference of {smallest} four times in five; a smaller one may stay unseen."
    assert said["notes"] == [sight]
    assert "This may be chance. Judge on more test images, or, " in (alike / "gate/report/report.html").read_text()


def test_a_margin_of_nothing_asks_for_more(gate, model):
    gate(model("first", range(20)))
    same = gate(model("same", range(1, 21)), margin=0)
    assert what(same, passed=False)[0].startswith("it is not sure that accuracy is higher than that of version 1")
    better = gate(model("better"), margin=0)
    assert (better["verdict"], better["version"]) == ("blessed", 2)
    assert what(better, passed=True)[1].startswith("accuracy is surely higher than that of version 1 (p = ")


def test_of_many_candidates_more_is_asked(gate, model):
    gate(model("first", range(20)))
    second = model("second", range(13))
    strict = gate(second, margin=0, candidates=64)
    assert strict["verdict"] == "rejected"
    assert strict["baseline"]["significance"] == 0.025 / 64
    assert "at most 0.00039 is asked for of one of 64" in what(strict, passed=False)[0]
    assert gate(model("third", range(13), sure=0.98), margin=0)["verdict"] == "blessed"


def test_a_class_that_became_worse_rejects_though_the_whole_is_better(gate, model, ingested):
    labels = datasets.read(ingested / "dataset", "test").labels
    sevens, others = np.flatnonzero(labels == 7)[:15], np.flatnonzero(labels != 7)[:40]
    gate(model("first", others))
    said = gate(model("second", sevens), margin=0)
    assert said["verdict"] == "rejected"
    (found,) = what(said, passed=False)
    assert found.startswith("class 7 is surely found less often than by version 1: ")
    assert found.endswith(" images, before 100.00 %")


def test_one_that_is_less_honest_about_its_doubts_is_rejected(gate, model):
    gate(model("first", range(20), sure=0.92))
    said = gate(model("second", range(1, 21), sure=0.7), margin=10)
    assert said["verdict"] == "rejected"
    (found,) = what(said, passed=False)
    assert found.startswith("the calibration error, 0.22")
    assert "is surely more than 10 points above that of version 1, 0.00" in found


def test_thresholds_come_first(gate, model, tmp_path):
    assert gate(model("bad", range(99), passed=False))["verdict"] == "rejected"
    unjudged = gate(model("unjudged", judged=False))
    assert (unjudged["verdict"], unjudged["version"]) == ("unjudged", 0)
    assert Registry(str(tmp_path / "registry")).shelves() == []
    # A comparison alone blesses nothing, but it can reject.
    gate(model("good"))
    assert gate(model("as-good", judged=False, sure=0.98), margin=5)["verdict"] == "unjudged"
    assert gate(model("worse", range(60), judged=False), margin=5)["verdict"] == "rejected"


def test_an_older_version_does_not_come_back_by_itself(gate, model, tmp_path):
    first, second = model("first", range(20)), model("second")
    gate(first)
    gate(second)
    replaced = gate(first)
    assert (replaced["verdict"], replaced["version"]) == ("rejected", 1)
    assert "it is version 1 of model, which was replaced: if it is to be blessed again, promote it by hand" in what(
        replaced, passed=False
    )
    Registry(str(tmp_path / "registry")).shelves()[0].roll_back("it is slow")
    assert "it is version 2 of model, which was stepped back from: " in gate(second)["checks"][1]["what"]
    assert gate(first)["verdict"] == "blessed"


def places(folder, ingested):
    named = {"dataset": ingested / "dataset"} | {part: folder / part for part in ("trained_model", "metrics")}
    named |= {part: folder / "gate" / part for part in ("decision", "report")}
    return [argument(name, path) for name, path in named.items()]


@pytest.mark.usefixtures("gate")
def test_of_many_at_once_each_is_held_against_the_one_before(model, ingested, tmp_path):
    folders = [model(f"model-{count}", range(count)) for count in (60, 40, 20, 0)]
    running = [subprocess.Popen([sys.executable, *COMPONENT.command[1:], "--margin=0", *places(folder, ingested)])
               for folder in folders]  # fmt: skip
    assert [process.wait() for process in running] == [0] * len(folders)
    said = [json.loads((folder / "gate" / "decision" / "decision.json").read_text()) for folder in folders]
    state = Registry(str(tmp_path / "registry")).shelves()[0].state()
    blessed = [each for each in said if each["verdict"] == "blessed"]
    assert sorted(each["version"] for each in blessed) == list(range(1, len(state.versions) + 1))
    for each in blessed:
        assert (each["baseline"] or {"version": 0})["version"] == each["version"] - 1
    accuracies = [version.figures["accuracy"] for version in state.versions.values()]
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] == 1.0


def test_without_a_registry_the_thresholds_decide(gate, model, monkeypatch):
    monkeypatch.delenv("TAPELINE_REGISTRY")
    said = gate(model("first"))
    assert (said["verdict"], said["version"]) == ("blessed", 0)
    assert said["notes"] == [
        "No registry is set (TAPELINE_REGISTRY), so it is held against no other model, and kept in none."
    ]


def test_what_is_not_of_this_data_set_is_refused(gate, model):
    folder = model("first")
    np.save(folder / "metrics" / "logits.npy", np.zeros((3, 10), np.float32))
    artifact.seal(folder / "metrics", component="x", output="metrics", parameters={}, inputs={})
    with pytest.raises(
        BadInput, match=r"logits.npy holds float32 \(3, 10\), expected float32 \(256, 10\); evaluate the"
    ):
        gate(folder)
    (folder / "metrics" / "logits.npy").unlink()
    artifact.seal(folder / "metrics", component="x", output="metrics", parameters={}, inputs={})
    with pytest.raises(BadInput, match=r"there is no .*/metrics/logits.npy; evaluate the model again"):
        gate(folder)


def test_the_same_inputs_and_registry_give_the_same_bytes(gate, model, monkeypatch, tmp_path):
    digests = []
    for name in ("one", "other"):
        monkeypatch.setenv("TAPELINE_REGISTRY", str(tmp_path / name))
        first, second = model("first", range(20)), model("second", range(10))
        gate(first)
        gate(second, margin=5)
        digests.append([artifact.digest(second / "gate" / output) for output in ("decision", "report")])
        for folder in (first, second):
            folder.rename(folder.with_name(f"{name}-{folder.name}"))
    assert digests[0] == digests[1]
