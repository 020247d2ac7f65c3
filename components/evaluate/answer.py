"""How good a model is, in words: the answer that the report begins with."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from components.artifacts.page import Answer
from components.artifacts.words import classes, count, listed, percent
from components.evaluate.component import EvaluateParameters
from components.evaluate.verdict import worst_class

TONES = {"passed": "good", "failed": "error", "unjudged": "info"}
UNCALIBRATED = 0.05  # a calibration error that is worth a sentence

Figures = Mapping[str, Any]


def answer(parameters: EvaluateParameters, figures: Figures) -> Answer:
    """Say whether the model is good, why, and what to do next; `figures` are those of metrics.json."""
    return Answer(
        TONES[figures["verdict"]], _headline(figures), list(_why(figures)), list(_advice(parameters, figures))
    )


def _headline(figures: Figures) -> str:
    right = f"{percent(figures['accuracy'])} of {count(figures['images'], 'test image')} right"
    if figures["verdict"] == "passed":
        return f"Passed: {right}."
    if figures["verdict"] == "unjudged":
        return f"Unjudged, as no threshold was given: {right}."
    failed = [check["what"] for check in figures["checks"] if not check["passed"]]
    return f"Not passed: {'; '.join(failed)}."


def _why(figures: Figures) -> Iterator[str]:
    low, high = figures["accuracy_interval"]
    yield (
        f"{figures['images'] - figures['mistakes']:,} of {count(figures['images'], 'test image')} are right: "
        f"{percent(figures['accuracy'])}, with a 95 % interval from {percent(low)} to {percent(high)}."
    )
    if "weighted_accuracy" in figures:
        share = percent(figures["weighted_accuracy"])
        yield f"With each image counted as much as the data set says that it weighs, {share} are right."
    if passed := [check["what"] for check in figures["checks"] if check["passed"]]:
        yield f"Met: {'; '.join(passed)}."
    tested = [each for each in figures["classes"] if each["images"]]
    if len(tested) > 1:
        yield from _classes(figures, tested)
    if untested := [each["name"] for each in figures["classes"] if not each["images"]]:
        which, have, _ = classes(untested)
        yield f"C{which[1:]} {have} no test image."
    if figures["calibration_error"] >= UNCALIBRATED:
        surer = "surer" if _confidence(figures) > figures["accuracy"] else "less sure"
        yield f"It is {surer} than it is right: it gives its answers {percent(_confidence(figures))} on average."


def _classes(figures: Figures, tested: list[Mapping[str, Any]]) -> Iterator[str]:
    answers = [sum(column) for column in zip(*figures["confusion_matrix"], strict=True)]
    common = max(tested, key=lambda each: each["images"])
    if max(answers) == figures["images"]:
        yield f"Every image gets the same answer, {figures['classes'][answers.index(max(answers))]['name']}."
    if _guesses(figures):
        share = common["images"] / figures["images"]
        better = "no" if figures["accuracy"] <= share else "not surely"
        yield f"That is {better} better than always answering {common['name']}, which is right for {percent(share)}."
    elif figures["mistakes"]:
        worst = worst_class(figures)
        index = figures["classes"].index(worst)
        row = [0 if i == index else number for i, number in enumerate(figures["confusion_matrix"][index])]
        taken = figures["classes"][row.index(max(row))]["name"]
        yield (
            f"The worst class is {worst['name']}: {percent(worst['recall'])} of its "
            f"{count(worst['images'], 'image')} are found, and it is most often taken for {taken} "
            f"({count(max(row), 'time')})."
        )
        if len(lost := [each["name"] for each in tested if not each["recall"]]) > 1:
            yield f"Not one image is found of classes {listed(lost)}."


def _guesses(figures: Figures) -> bool:
    """Tell whether the model may be no better than one that always answers the most frequent class."""
    most = max(each["images"] for each in figures["classes"])
    return bool(most < figures["images"] and figures["accuracy_interval"][0] <= most / figures["images"])


def _confidence(figures: Figures) -> float:
    """Return how sure the model is of its answers, on average."""
    total = math.fsum(each["count"] * each["confidence"] for each in figures["calibration"])
    return total / int(figures["images"])


def _advice(parameters: EvaluateParameters, figures: Figures) -> Iterator[str]:
    worst = worst_class(figures)
    if _guesses(figures) and figures["verdict"] != "passed":
        yield "See the report of export: it may say what went wrong in the training."
    elif figures["accuracy"] < parameters.min_accuracy:
        yield (
            "The threshold is within the interval, so this may be chance: judge it on more test images."
            if figures["accuracy_interval"][1] >= parameters.min_accuracy
            else "Train for more `epochs`, or another `model`; the worst mistakes below show what is hard."
        )
    if worst["recall"] < parameters.min_recall and not _guesses(figures):
        yield f"Give class {worst['name']} more training images, or, if it is rare, set `class_weight` to balanced."
    if 0 < parameters.max_calibration_error < figures["calibration_error"]:
        if _confidence(figures) > figures["accuracy"]:
            yield "Set `label_smoothing`, or train for fewer `epochs`, so that it is less sure."
        elif figures["accuracy"] >= parameters.min_accuracy:
            yield "Train for more `epochs`, so that it is as sure as it may be."
    if figures["verdict"] == "unjudged":
        yield "Set `min_accuracy`, `min_recall` or `max_calibration_error`, so that the model is judged."
    if figures["verdict"] == "passed":
        yield (
            "Raise the thresholds: they let a model through that does hardly more than guess."
            if _guesses(figures)
            else "Nothing needs doing. The worst mistakes and suspected labels below show what would make it better."
            if figures["mistakes"]
            else "Nothing needs doing."
        )
