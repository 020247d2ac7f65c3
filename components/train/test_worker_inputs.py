# mypy: allow-untyped-defs, allow-untyped-calls
"""Where workers on other machines find what the step was given, with a real store."""

import pytest

from components.contract import artifact, kubeflow, location
from components.contract.errors import BadInput
from components.train.component import TrainParameters
from components.train.workers.inputs import reached


def test_what_is_in_the_store_stays_there_and_what_is_not_is_put_beside_the_checkpoints_once(
    s3, ingested, tmp_path, monkeypatch
):
    monkeypatch.delenv("TAPELINE_CHECKPOINTS", raising=False)
    dataset = ingested / "dataset"
    assert reached({"dataset": f"{s3}/any"}, TrainParameters()) == {"dataset": f"{s3}/any"}
    target = f"{s3}/inputs/{artifact.digest(dataset)}"
    for _ in range(2):
        assert reached({"dataset": str(dataset)}, TrainParameters(checkpoints=f"{s3}/")) == {"dataset": target}
    assert artifact.digest(location.fetch(target, tmp_path / "fetched")) == artifact.digest(dataset)
    monkeypatch.setenv("TAPELINE_CHECKPOINTS", s3)
    assert reached({"dataset": str(dataset)}, TrainParameters()) == {"dataset": target}


def test_what_kubeflow_has_from_this_steps_own_store_is_read_there(s3, ingested, tmp_path, monkeypatch):
    bucket, _, prefix = s3.removeprefix("s3://").partition("/")
    monkeypatch.setattr(kubeflow, "_MOUNTS", {"minio://": f"{tmp_path}/"})
    there = tmp_path / bucket / prefix
    there.parent.mkdir(parents=True, exist_ok=True)
    there.symlink_to(ingested / "dataset")
    given = TrainParameters(checkpoints=f"{s3}/checkpoints")
    elsewhere = f"{s3}/checkpoints/inputs/{artifact.digest(there)}"
    assert reached({"dataset": str(there)}, given) == {"dataset": elsewhere}  # nothing is at its place here
    location.publish(ingested / "dataset", s3)
    assert reached({"dataset": str(there)}, given) == {"dataset": s3}
    strange = tmp_path / "no-such-bucket" / "dataset"
    strange.parent.mkdir()
    strange.symlink_to(ingested / "dataset")
    assert reached({"dataset": str(strange)}, given) == {"dataset": elsewhere}


def test_a_place_that_only_this_machine_has_is_refused(ingested, monkeypatch):
    monkeypatch.delenv("TAPELINE_CHECKPOINTS", raising=False)
    with pytest.raises(BadInput, match=r"^dataset: .*/dataset is on this machine, and the workers are on others; give"):
        reached({"dataset": str(ingested / "dataset")}, TrainParameters())
    with pytest.raises(BadInput, match=r"^checkpoints: /x is on this machine, and the workers are on others; give s3"):
        reached({"dataset": "s3://b/x"}, TrainParameters(checkpoints="/x"))
