"""The plan of a run, made once: what is kept at which step, and after which steps the loop comes back to Python."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.artifacts.record.columns import LEVELS
from components.artifacts.record.writer import BLOCK
from components.train.component import TrainParameters

# These bound the time from a SIGTERM to its answer, as Python handles signals only between calls.
STEPS_PER_CALL = 50
SECONDS_PER_CALL = 2.0

# A kind of record begins at the level of its name; this parameter says how often.
_EVERY = {"stats": "stats_every", "hist": "hist_every", "full": "snapshot_every"}


@dataclass(frozen=True)
class Plan:
    """For each step of a run, counted from 1: bool arrays [steps + 2], of which the first and the last are False."""

    kept: dict[str, npt.NDArray[np.bool_]]  # `stats`, `hist` and `full`; norms are kept at every step
    observed: npt.NDArray[np.bool_]  # whether statistics or histograms are computed
    stops: npt.NDArray[np.bool_]  # whether something is to be done in Python after the step

    def due(self, step: int) -> set[str]:
        """Return what is kept at a step, besides the norms."""
        return {kind for kind, at in self.kept.items() if at[step]}

    def calls(
        self,
        step: int,
        end: int,
        most: Callable[[], int] = lambda: STEPS_PER_CALL,
        agreed: Callable[[int], int] = lambda stop: stop,
    ) -> Iterator[tuple[int, bool]]:
        """Yield the steps after which the loop comes back, up to `end`, and whether those so far are observed.

        There are at most `most` steps from one to the next; `agreed` has the last word.
        """
        while step < end:
            limit = min(step + most(), end)
            found = np.flatnonzero(self.stops[step + 1 : limit + 1])
            step = agreed(step + 1 + int(found[0]) if len(found) else limit)
            yield step, bool(self.observed[step])


class Pace:
    """How many steps fit into a call, by how long those of the last one took. What comes out is the same."""

    def __init__(self) -> None:
        self._steps = STEPS_PER_CALL

    def steps(self) -> int:
        """Return how many steps the next call may have."""
        return self._steps

    @contextmanager
    def of(self, steps: int) -> Iterator[None]:
        """Take the time of a call of so many steps."""
        began = time.perf_counter()
        yield
        fit = int(SECONDS_PER_CALL * steps / (time.perf_counter() - began))
        self._steps = min(max(fit, 1), STEPS_PER_CALL)


def plan(parameters: TrainParameters, steps: int) -> Plan:
    """Return the plan of a run of so many steps."""
    numbers = np.arange(steps + 2)
    inside = (numbers > 0) & (numbers <= steps)
    level = LEVELS.index(parameters.gradient_level)
    kept = {}
    for kind, name in _EVERY.items():
        at = np.isin(numbers, _powers(parameters.geometric, steps))
        if every := getattr(parameters, name):
            at |= numbers % every == 0
        kept[kind] = at & inside & (level >= LEVELS.index(kind))
    observed = kept["stats"] | kept["hist"]
    stops = (numbers % BLOCK == 0) | kept["full"] | (observed != np.append(observed[1:], False))
    if parameters.checkpoints and parameters.checkpoint_every:
        stops |= numbers % parameters.checkpoint_every == 0
    if parameters.eager:
        stops[:] = True
    return Plan(kept, observed, stops)


def _powers(base: int, largest: int) -> list[int]:
    powers = [1] if base else []
    while powers and powers[-1] * base <= largest:
        powers.append(powers[-1] * base)
    return powers
