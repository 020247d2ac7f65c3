"""From figures and thresholds to a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.evaluate.component import EvaluateParameters


@dataclass(frozen=True)
class Check:
    """One thing that the verdict depends on."""

    what: str
    passed: bool


def judge(parameters: EvaluateParameters, figures: Mapping[str, Any]) -> tuple[str, list[Check]]:
    """Return `passed`, `failed` or, without any threshold, `unjudged`; and the checks that decided it."""
    worst = worst_class(figures)
    thresholds = [
        _at_least("accuracy", figures["accuracy"], parameters.min_accuracy),
        _at_least(f"recall of the worst class ({worst['name']})", worst["recall"], parameters.min_recall),
        _at_most("calibration error", figures["calibration_error"], parameters.max_calibration_error),
    ]
    checks = [check for check in thresholds if check]
    if not checks:
        return "unjudged", checks
    return "passed" if all(check.passed for check in checks) else "failed", checks


def worst_class(figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the class with the lowest recall, of those that have test images."""
    tested = [each for each in figures["classes"] if each["images"]]
    return min(tested, key=lambda each: float(each["recall"]))


def _at_least(what: str, value: float, threshold: float) -> Check | None:
    if not threshold:
        return None
    passed = value >= threshold
    return Check(f"{what} {_beside(value, threshold)} is {'at least' if passed else 'below'} {threshold:.10g}", passed)


def _at_most(what: str, value: float, threshold: float) -> Check | None:
    if not threshold:
        return None
    passed = value <= threshold
    return Check(f"{what} {_beside(value, threshold)} is {'at most' if passed else 'above'} {threshold:.10g}", passed)


def _beside(value: float, threshold: float) -> str:
    """Return the value to four digits, or to so many more that it is seen on which side of the threshold it is."""

    def side(number: float) -> int:
        return (number > threshold) - (number < threshold)

    texts = (f"{value:.{digits}f}" for digits in range(4, 17))
    return next((text for text in texts if side(float(text)) == side(value)), repr(value))
