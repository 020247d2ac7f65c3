# mypy: allow-untyped-defs, allow-untyped-calls
"""Figures of images that weigh."""

import numpy as np
import pytest

from components.evaluate.metrics import measure

LOGITS = np.log(np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5], [0.1, 0.9]], np.float32))
LABELS = np.array([0, 0, 0, 1])


def test_weights_of_one_change_nothing():
    plain, weighed = measure(LOGITS, LABELS, ["a", "b"]), measure(LOGITS, LABELS, ["a", "b"], np.ones(4, np.float32))
    assert {name: value for name, value in weighed.items() if not name.startswith("weighted_")} == plain
    assert weighed["weighted_accuracy"] == plain["accuracy"] == 0.75
    assert weighed["weighted_loss"] == pytest.approx(plain["loss"], rel=1e-12)


def test_an_image_counts_as_much_as_it_weighs():
    figures = measure(LOGITS, LABELS, ["a", "b"], np.array([1, 2, 0, 1], np.float32))
    assert figures["accuracy"] == 0.75
    assert figures["weighted_accuracy"] == 0.5
    assert figures["weighted_recall"] == {"a": pytest.approx(1 / 3), "b": 1.0}
    assert figures["weighted_loss"] == pytest.approx(-(np.log(0.8) + 2 * np.log(0.4) + np.log(0.9)) / 4, rel=1e-6)
