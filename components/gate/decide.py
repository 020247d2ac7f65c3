"""From what evaluate found, and the blessed version, to a verdict with its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import paired
from components.artifacts.paired import Pair
from components.artifacts.registry import State
from components.artifacts.words import count
from components.gate import calibration
from components.gate.component import GateParameters

BLESSED, REJECTED, UNJUDGED = "blessed", "rejected", "unjudged"
SIGNIFICANCE = 0.025  # of one side, as of an interval at 95 %

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Answers:
    """What a model answers to the test images: logits, float32 [n, classes]."""

    logits: npt.NDArray[np.float32]

    @property
    def classes(self) -> npt.NDArray[np.intp]:
        """The answer to each image, [n]."""
        answers: npt.NDArray[np.intp] = self.logits.argmax(axis=1)
        return answers


@dataclass(frozen=True)
class Truth:
    """What is right of the test images: the label of each, [n], and the names of the classes."""

    labels: npt.NDArray[np.uint8]
    class_names: Sequence[str]


@dataclass
class Decision:
    """A verdict; the checks that it follows from, {"what", "passed"} each; what else is to be said; the comparison."""

    verdict: str
    checks: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)
    baseline: dict[str, Any] = field(default_factory=dict)

    @property
    def reasons(self) -> str:
        """What decided it, in a line."""
        decisive = [check["what"] for check in self.checks if check["passed"] is not (self.verdict == REJECTED)]
        return "; ".join(decisive or self.notes)


def alone(figures: Figures, note: str) -> Decision:
    """Return the verdict on a model that is held against no other, for the reason in `note`."""
    return _verdict(figures, [], [note])


def again(figures: Figures, state: State, model: str, name: str) -> Decision | None:
    """Return the verdict on a model that is in the registry already, or None for one that is not.

    The blessed one stays what it is. An older one does not come back by itself: the same inputs make the same model,
    and a version that was stepped back from would be blessed again the next night.
    """
    known = [version for version in state.versions.values() if version.model == model]
    if not known:
        return None
    if state.current in known:
        return _verdict(figures, [], [f"It is version {known[-1].number}, the blessed one already."])
    number = known[-1].number
    was = "stepped back from" if number in state.withdrawn else "replaced"
    what = f"it is version {number} of {name}, which was {was}: if it is to be blessed again, promote it by hand"
    return _verdict(figures, [{"what": what, "passed": False}], [])


def compare(  # noqa: PLR0913 - both models, and what they are held against
    parameters: GateParameters, figures: Figures, ours: Answers, theirs: Answers, truth: Truth, version: int
) -> Decision:
    """Return the verdict on a model that is held against the blessed `version`, whose answers are `theirs`."""
    pair = paired.counts(ours.classes, theirs.classes, truth.labels)
    found = _found(pair, parameters)
    classes = _classes(ours, theirs, truth)
    errors = calibration.compared(ours.logits, theirs.logits, truth.labels)
    checks = [
        _accuracy(parameters, found, version),
        _worst_class(parameters, classes, version),
        _calibration(parameters, errors, version),
    ]
    baseline = {"version": version, **found, "classes": classes, "calibration": errors}
    return _verdict(figures, checks, [_sight(pair, found)], baseline)


def _verdict(
    figures: Figures, more: list[dict[str, Any]], notes: list[str], baseline: dict[str, Any] | None = None
) -> Decision:
    """Return what follows from the thresholds, whose checks are among `figures`, and from further checks.

    A comparison can only reject: being no worse than another model is not yet being good.
    """
    checks = [*figures["checks"], *more]
    verdict = BLESSED if figures["checks"] else UNJUDGED
    if not all(check["passed"] for check in checks):
        verdict = REJECTED
    return Decision(verdict, checks, notes, baseline or {})


def _found(pair: Pair, parameters: GateParameters) -> dict[str, Any]:
    low, high = paired.interval(pair)
    return {
        **pair._asdict(),
        "accuracy": (pair.both + pair.only_theirs) / pair.n,
        "difference": pair.difference,
        "interval": [low, high],
        "p_two_sided": paired.mcnemar(pair),
        "p_worse_by_margin": paired.not_inferior(pair, parameters.margin / 100),
        "significance": SIGNIFICANCE / parameters.candidates,
        "smallest": paired.smallest(pair.n, pair.discordant_share),
    }


def _accuracy(parameters: GateParameters, found: Figures, version: int) -> dict[str, Any]:
    passed = found["p_worse_by_margin"] < found["significance"]
    than = f"at most {points(parameters.margin)} below" if parameters.margin else "higher than"
    said = f"{than} that of version {version}"
    what = f"accuracy is surely {said}" if passed else f"it is not sure that accuracy is {said}"
    sure = f"p = {found['p_worse_by_margin']:.2g}, at most {found['significance']:.2g} is asked for"
    if parameters.candidates > 1:
        sure += f" of one of {parameters.candidates}"
    return {"what": f"{what} ({sure})", "passed": bool(passed)}


def _worst_class(parameters: GateParameters, classes: Sequence[Figures], version: int) -> dict[str, Any]:
    """Return the check of the class that may have become worse, with as many tests taken into account as classes."""
    tested = [each for each in classes if each["images"]]
    worst = min(tested, key=lambda each: (each["p_worse"], each["recall"] - each["baseline_recall"]))
    lost = worst["baseline_recall"] - worst["recall"]
    passed = worst["p_worse"] * len(tested) >= SIGNIFICANCE or lost * 100 <= parameters.margin
    if passed:
        return {"what": f"no class is surely found less often than by version {version}", "passed": True}
    what = (
        f"class {worst['name']} is surely found less often than by version {version}: {100 * worst['recall']:.2f} % of "
        f"its {count(worst['images'], 'image')}, before {100 * worst['baseline_recall']:.2f} %"
    )
    return {"what": what, "passed": False}


def _classes(ours: Answers, theirs: Answers, truth: Truth) -> list[dict[str, Any]]:
    rows = []
    for index, name in enumerate(truth.class_names):
        mine = truth.labels == index
        row: dict[str, Any] = {"name": name, "images": int(mine.sum())}
        if row["images"]:
            pair = paired.counts(ours.classes[mine], theirs.classes[mine], truth.labels[mine])
            row |= {
                "recall": (pair.both + pair.only_ours) / pair.n,
                "baseline_recall": (pair.both + pair.only_theirs) / pair.n,
                "p_worse": paired.mcnemar(pair, "less"),
            }
        rows.append(row)
    return rows


def _calibration(parameters: GateParameters, errors: Figures, version: int) -> dict[str, Any]:
    passed = errors["interval"][0] * 100 <= parameters.margin
    what = (
        f"the calibration error, {errors['ours']:.4f}, is {'not surely' if passed else 'surely'} more than "
        f"{points(parameters.margin)} above that of version {version}, {errors['theirs']:.4f}"
    )
    return {"what": what, "passed": bool(passed)}


def points(margin: float) -> str:
    """Return `1 point`, or `0.5 points`."""
    return f"{margin:.10g} point{'' if margin == 1 else 's'}"


def _sight(pair: Pair, found: Figures) -> str:
    return (
        f"{count(pair.n, 'test image')} show a difference of {100 * found['smallest']:.2f} points four times in five; "
        "a smaller one may stay unseen."
    )
