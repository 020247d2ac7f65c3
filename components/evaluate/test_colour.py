# mypy: allow-untyped-defs, allow-untyped-calls
"""Images in colour, from ingest to the verdict."""

import json

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.artifacts import model as models
from components.artifacts.model import serving
from components.conftest import SHORT, SMALL, make
from components.contract.errors import BadInput
from components.evaluate.component import COMPONENT as EVALUATE
from components.ingest.component import COMPONENT as INGEST
from components.models import MODELS
from components.train.component import COMPONENT as TRAIN


@pytest.fixture(scope="module")
def colourful(tmp_path_factory):
    return make(INGEST, SMALL | {"colour": "rgb"}, {}, tmp_path_factory.mktemp("colour"))


def test_a_model_learns_colours_is_served_and_judged(colourful, tmp_path):
    made = make(TRAIN, SHORT, {"dataset": colourful / "dataset"}, tmp_path)
    spec = models.check(made / "trained_model")
    assert (spec.image_shape, spec.channels, spec.parameters) == ((28, 28, 3), 3, {"channels": 3})
    images = datasets.read(colourful / "dataset", "test").images[:]
    assert images.shape == (256, 28, 28, 3)
    inputs = {"dataset": colourful / "dataset", "trained_model": made / "trained_model"}
    judged = make(EVALUATE, {"look_at": "0"}, inputs, tmp_path)
    figures = json.loads((judged / "metrics" / "metrics.json").read_text())
    answers = serving.answers(made / "trained_model" / "saved_model", images)["class"]
    assert figures["accuracy"] == np.mean(answers == datasets.read(colourful / "dataset", "test").labels)
    assert figures["accuracy"] > 0.5
    assert "test image 0 and its saliency" in (judged / "report" / "report.html").read_text()


GREY_ONLY = """
import keras

def build(image_shape, classes):
    return keras.Sequential([keras.Input((*image_shape, 1)), keras.layers.Flatten(), keras.layers.Dense(classes)])
"""


def test_a_network_for_grey_images_is_refused_before_the_first_step(colourful, tmp_path, monkeypatch):
    (tmp_path / "grey_only_model.py").write_text(GREY_ONLY)
    monkeypatch.syspath_prepend(tmp_path)
    MODELS.add("grey-only", "grey_only_model", tmp_path / "grey_only_model.py")
    try:
        with pytest.raises(BadInput) as error:
            make(TRAIN, SHORT | {"model": "grey-only"}, {"dataset": colourful / "dataset"}, tmp_path / "out")
    finally:
        MODELS.remove("grey-only")
    assert (
        "takes (None, 28, 28, 1), but images come as (None, 28, 28, 3); give it one of these as its Input, or set "
        in (str(error.value))
    )
    assert "set `colour` to grey in ingest" in str(error.value)


def test_a_model_of_grey_images_is_not_judged_on_colours(colourful, trained, tmp_path):
    inputs = {"dataset": colourful / "dataset", "trained_model": trained / "trained_model"}
    with pytest.raises(BadInput) as error:
        make(EVALUATE, {}, inputs, tmp_path)
    assert "takes 28×28 images in grey and gives 10 classes, but the data set has 28×28 images in colour and 10" in (
        str(error.value)
    )
