"""From figures and thresholds to a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.evaluate.component import EvaluateParameters

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Check:
    """One thing that the verdict depends on."""

    what: str
    passed: bool


def judge(parameters: EvaluateParameters, figures: Mapping[str, Any]) -> tuple[str, list[Check]]:
    """Return `blessed`, `rejected` or, without any threshold, `unjudged`; and the checks that decided it.

    A baseline can only reject: being no worse than some other model is not yet being good.
    """
    worst = min(figures["classes"], key=lambda each: each["recall"] if each["images"] else 1.0)
    thresholds = [
        _at_least("accuracy", figures["accuracy"], parameters.min_accuracy),
        _at_least(f"recall of the worst class ({worst['name']})", worst["recall"], parameters.min_recall),
        _at_most("calibration error", figures["calibration_error"], parameters.max_calibration_error),
    ]
    checks = [check for check in thresholds if check]
    judged = bool(checks)
    if baseline := figures.get("baseline"):
        worse = baseline["p_worse"] < SIGNIFICANCE
        what = f"significantly worse than the baseline: p = {baseline['p_worse']:.3g}"
        checks.append(Check(what if worse else f"not {what}", not worse))
    if not all(check.passed for check in checks):
        return "rejected", checks
    return "blessed" if judged else "unjudged", checks


def _at_least(what: str, value: float, threshold: float) -> Check | None:
    if not threshold:
        return None
    passed = value >= threshold
    return Check(f"{what} {value:.4f} is {'at least' if passed else 'below'} {threshold:g}", passed)


def _at_most(what: str, value: float, threshold: float) -> Check | None:
    if not threshold:
        return None
    passed = value <= threshold
    return Check(f"{what} {value:.4f} is {'at most' if passed else 'above'} {threshold:g}", passed)
