# mypy: allow-untyped-defs, allow-untyped-calls
"""What the steps that judge fetch of a data set: of a large one, most is not needed."""

import pytest

from components.conftest import make
from components.contract import artifact, location
from components.contract.run import run
from components.contract.store.client import Store
from components.evaluate.component import COMPONENT
from components.gate.component import COMPONENT as GATE

SMALL = {"findings.json", "schema.json", "statistics.json"}
TEST = {"test-images-00000.npy", "test-labels.npy"}
LEARNED = {f"{split}-{what}" for split in ("train", "validation") for what in ("labels.npy", "images-00000.npy")}
ORIGINS = {"train-origins.txt", "validation-origins.txt"}


@pytest.fixture
def fetched(s3, ingested, trained, tmp_path, monkeypatch):
    """Return a function that runs a component on what is in the store, and returns what it got of the data set."""
    location.publish(ingested / "dataset", f"{s3}/dataset")
    location.publish(trained / "trained_model", f"{s3}/trained_model")
    names: list[str] = []
    fetch = Store.fetch_file

    def noted(store, uri, folder, name, *more):
        if uri.endswith("/dataset"):
            names.append(name)
        return fetch(store, uri, folder, name, *more)

    monkeypatch.setattr(Store, "fetch_file", noted)

    def call(component, values, **inputs):
        names.clear()
        given = {name: f"{s3}/{name}" for name in ("dataset", "trained_model")} | inputs
        outputs = {item.name: str(tmp_path / component.name / item.name) for item in component.outputs}
        run(component, component.parameters.checked(values), given, outputs)
        assert len(names) == len({*names})
        return {*names}

    return call


def test_evaluate_and_the_gate_fetch_the_test_split_alone(fetched, ingested, trained, tmp_path):
    inputs = {"dataset": ingested / "dataset", "trained_model": trained / "trained_model"}
    local = make(COMPONENT, {"check_labels": False}, inputs, tmp_path / "local")
    assert fetched(COMPONENT, {"check_labels": False}) == SMALL | TEST
    judged = tmp_path / "evaluate"
    assert artifact.digest(judged / "metrics") == artifact.digest(local / "metrics")
    assert artifact.digest(judged / "report") == artifact.digest(local / "report")
    assert fetched(GATE, {}, metrics=str(judged / "metrics")) == SMALL | {"test-labels.npy"}
    assert fetched(COMPONENT, {"check_labels": True}) == SMALL | TEST | LEARNED | ORIGINS
