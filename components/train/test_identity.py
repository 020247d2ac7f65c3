# mypy: allow-untyped-defs, allow-untyped-calls
"""The key under which a run's checkpoints are found: another one for whatever changes a byte, and for nothing else."""

import os
import re

import numpy as np

from components.models import MODELS
from components.train.component import TrainParameters
from components.train.machine import identity

DATASET = "0" * 64


def key(dataset=DATASET, **values):
    return identity.key_of(TrainParameters.checked(values), dataset)


def test_it_is_of_parameters_and_data():
    assert re.fullmatch("[0-9a-f]{16}", key())
    keys = [key(), key("1" * 64), key(seed=1), key(epochs=6), key(model="convnet"), key(eager=True), key(replicas=2)]
    assert len(set(keys)) == len(keys)
    assert key(checkpoints="s3://a/b", checkpoint_every=7, device="cpu") == key()


def test_it_is_of_the_code_that_a_run_may_use(own):
    def text(width):
        return f"from keras import Sequential, layers\ndef build(image_shape, classes): return {width}\n"

    before = key()
    chosen = own(MODELS, "mine", text(1))
    one = key(model=chosen)
    assert key() == before  # what is not chosen does not count
    MODELS.files[chosen].write_text(text(2), encoding="utf-8")
    assert key(model=chosen) != one
    names = {line.split()[0] for line in identity.code(TrainParameters())}
    assert {"tape.py", "simple.py", "adam.py", "plain.py", "cross_entropy.py", "writer.py", "artifact.py"} <= names
    assert not {"convnet.py", "sgd.py", "sam.py", "test_identity.py"} & names


def test_it_is_of_versions_machine_and_what_tensorflow_is_told(monkeypatch):
    keys = [key()]
    monkeypatch.setattr(np, "__version__", "0.0.0")
    keys.append(key())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    keys.append(key())
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    keys.append(key())
    assert len(set(keys)) == len(keys)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    assert key() == keys[-1]


def test_a_machine_is_what_the_order_of_sums_depends_on():
    found = identity.machine()
    assert found["processors"] == len(os.sched_getaffinity(0))
    assert found["instructions"] == sorted(found["instructions"])
    assert found["model name"] or found["CPU part"]
