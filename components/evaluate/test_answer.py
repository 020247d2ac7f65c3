# mypy: allow-untyped-defs, allow-untyped-calls
"""The answer in words, in every case that can happen."""

from dataclasses import asdict

import numpy as np
import pytest

from components.evaluate.answer import answer
from components.evaluate.component import EvaluateParameters
from components.evaluate.metrics import measure
from components.evaluate.verdict import judge


def judged(labels, predictions, names="abcd", sure=0.9, **thresholds):
    """Return the answer for a model that is that sure of each of its predictions."""
    labels, parameters = np.array(labels), EvaluateParameters(**thresholds)
    logits = logits_of(predictions, len(names), sure)
    figures = measure(logits, labels, list(names))
    verdict, checks = judge(parameters, figures)
    return answer(parameters, figures | {"verdict": verdict, "checks": [asdict(check) for check in checks]})


def logits_of(predictions, classes, sure):
    rest = (1 - sure) / (classes - 1)
    return np.log(np.where(np.eye(classes)[np.array(predictions)] == 1, sure, rest)).astype(np.float32)


EVEN = [0, 1, 2, 3] * 25
SOME = [*EVEN[:90], 3, 3, 3, 2, 0, 1, 3, 3, 0, 1]  # of the last ten, nine are wrong


def test_passed():
    said = judged(EVEN, SOME, min_accuracy=0.9)
    assert (said.tone, said.headline) == ("good", "Passed: 91.00 % of 100 test images right.")
    assert said.why == [
        "91 of 100 test images are right: 91.00 %, with a 95 % interval from 83.77 % to 95.19 %.",
        "Met: accuracy 0.9100 is at least 0.9.",
        "The worst class is c: 88.00 % of its 25 images are found, and it is most often taken for a (2 times).",
    ]
    assert said.advice == [
        "Nothing needs doing. The worst mistakes and suspected labels below show what would make it better."
    ]


def test_without_a_mistake():
    said = judged(EVEN, EVEN, sure=0.999, min_recall=1.0)
    assert said.headline == "Passed: 100.00 % of 100 test images right."
    assert said.why[1:] == ["Met: recall of the worst class (a) 1.0000 is at least 1."]
    assert said.advice == ["Nothing needs doing."]


def test_not_passed_and_the_threshold_may_be_missed_by_chance():
    said = judged(EVEN, SOME, min_accuracy=0.95)
    assert (said.tone, said.headline) == ("error", "Not passed: accuracy 0.9100 is below 0.95.")
    assert said.advice == ["The threshold is within the interval, so this may be chance: judge it on more test images."]


def test_not_passed_for_every_reason():
    said = judged(EVEN, SOME, min_accuracy=0.99, min_recall=0.9, max_calibration_error=0.001, sure=0.96)
    assert said.headline == (
        "Not passed: accuracy 0.9100 is below 0.99; recall of the worst class (c) 0.8800 is below 0.9; calibration "
        "error 0.0500 is above 0.001."
    )
    assert said.advice == [
        "Train for more `epochs`, or another `model`; the worst mistakes below show what is hard.",
        "Give class c more training images, or, if it is rare, set `class_weight` to balanced.",
        "Set `label_smoothing`, or train for fewer `epochs`, so that it is less sure.",
    ]


def test_less_sure_than_right():
    said = judged(EVEN, EVEN, sure=0.5, max_calibration_error=0.1)
    assert said.why[-1] == "It is less sure than it is right: it gives its answers 50.00 % on average."
    assert said.advice == ["Train for more `epochs`, so that it is as sure as it may be."]


def test_unjudged():
    said = judged(EVEN, SOME)
    assert said.tone == "info"
    assert said.headline == "Unjudged, as no threshold was given: 91.00 % of 100 test images right."
    assert said.advice == ["Set `min_accuracy`, `min_recall` or `max_calibration_error`, so that the model is judged."]


def test_no_better_than_guessing():
    said = judged(EVEN, [3] * 100, min_accuracy=0.9)
    assert said.why[1:3] == [
        "Every image gets the same answer, d.",
        "That is no better than always answering a, which is right for 25.00 %.",
    ]
    assert said.advice == ["See the report of export: it may say what went wrong in the training."]
    little = judged(EVEN, [0, 1, 3, 3, *[3] * 96])
    assert little.why[1] == "That is not surely better than always answering a, which is right for 25.00 %."
    assert judged(EVEN, [3] * 100, min_accuracy=0.1).advice == [
        "Raise the thresholds: they let a model through that does hardly more than guess."
    ]


def test_all_are_wrong():
    said = judged(EVEN, [(label + 1) % 4 for label in EVEN], min_recall=0.5)
    assert said.headline == "Not passed: recall of the worst class (a) 0.0000 is below 0.5."
    assert said.why[0].startswith("0 of 100 test images are right: 0.00 %")


def test_classes_that_are_not_found():
    said = judged(EVEN, [3 if label == 1 else 0 if label == 2 else label for label in EVEN], min_recall=0.5)
    assert said.why[1:3] == [
        "The worst class is b: 0.00 % of its 25 images are found, and it is most often taken for d (25 times).",
        "Not one image is found of classes b and c.",
    ]
    assert said.advice == ["Give class b more training images, or, if it is rare, set `class_weight` to balanced."]


def test_classes_that_are_not_tested():
    assert judged([0, 1] * 20, [0, 1] * 20, sure=0.999).why[1:] == ["Classes c and d have no test image."]
    said = judged([0] * 20, [0] * 19 + [1], sure=0.96, min_accuracy=0.5)
    assert said.why[2:] == ["Classes b, c and d have no test image."]  # of one class there is no worst
    many = judged([0, 1] * 20, [0, 1] * 20, names=[f"n{i}" for i in range(9)], sure=0.999)
    assert many.why[1] == "Classes n2, n3, n4, n5, n6 and 2 more have no test image."


@pytest.mark.parametrize(
    ("accuracy", "what"),
    [
        (0.97996, "accuracy 0.97996 is below 0.98"),  # in four digits it would seem to be enough
        (0.98, "accuracy 0.9800 is at least 0.98"),
        (0.98004, "accuracy 0.98004 is at least 0.98"),
    ],
)
def test_a_check_shows_on_which_side_of_the_threshold_the_figure_is(accuracy, what):
    figures = {"accuracy": accuracy, "calibration_error": 0.0, "classes": [{"name": "a", "recall": 1.0, "images": 1}]}
    assert [check.what for check in judge(EvaluateParameters(min_accuracy=0.98), figures)[1]] == [what]
