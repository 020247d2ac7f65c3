# mypy: allow-untyped-defs, allow-untyped-calls
"""A training that pauses after an epoch goes on later to the very bytes of one that did not."""

import json

import pytest

from components.contract.errors import BadInput
from components.train.component import TrainParameters
from components.train.conftest import checkpoint_of, digests, train
from components.train.machine import identity

# A schedule with a horizon, an optimizer with a memory, and chance in the images.
WHOLE = {"epochs": 3, "schedule": "one-cycle", "optimizer": "sgd", "augment": "rotate"}


def epochs_of(folder):
    return json.loads((folder / "metrics/metrics.json").read_text())["epochs"]


@pytest.fixture(scope="module")
def straight(ingested, tmp_path_factory):
    return train(ingested, tmp_path_factory.mktemp("straight"), **WHOLE)


def test_it_goes_on_from_each_pause_to_the_same_bytes(ingested, straight, tmp_path, capsys):
    place = {"checkpoints": str(tmp_path / "place")}
    one = train(ingested, tmp_path / "one", pause_at=1, **WHOLE, **place)
    assert epochs_of(one) == epochs_of(straight)[:1]
    assert "paused after epoch 1 of 3" in capsys.readouterr().out
    two = train(ingested, tmp_path / "two", pause_at=2, **WHOLE, **place)
    assert "going on from step 14 " in capsys.readouterr().out
    assert epochs_of(two) == epochs_of(straight)[:2]
    three = train(ingested, tmp_path / "three", **WHOLE, **place)
    assert "going on from step 28 " in capsys.readouterr().out
    assert digests(three) == digests(straight)
    again = train(ingested, tmp_path / "again", pause_at=1, **WHOLE, **place)  # what is beyond the pause is not taken
    assert digests(again) == digests(one)
    with pytest.raises(BadInput, match=r"^checkpoint is of step 28, but the run pauses after step 14; give an earlier"):
        train(ingested, tmp_path / "no", pause_at=1, checkpoint=checkpoint_of(tmp_path / "place", 28), **WHOLE)


def test_where_it_pauses_is_no_part_of_what_it_is():
    keys = {identity.key_of(TrainParameters(pause_at=at), "0" * 64) for at in (0, 1, 5)}
    assert len(keys) == 1


def test_a_pause_after_the_end_is_refused():
    with pytest.raises(BadInput, match=r"^pause_at: 6 is after the last of 5 epochs; give one of them$"):
        TrainParameters.checked({"pause_at": 6})
