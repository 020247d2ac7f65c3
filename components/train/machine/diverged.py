"""A loss that is no number any more."""

import numpy as np
import numpy.typing as npt

from components.contract.errors import StepError

ADVICE = "try a lower learning_rate, or diverged=publish to have export explain it"


class Diverged(StepError):
    """The loss is no longer a finite number."""


def check_finite(step: int, losses: npt.NDArray[np.float32]) -> None:
    """Raise `Diverged` naming the first of the steps after `step` of which a loss is not a finite number."""
    finite = np.isfinite(losses).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        wrong = losses[first][~np.isfinite(losses[first])][0]
        raise Diverged(f"the loss is {wrong} at step {step + first + 1}; {ADVICE}")
