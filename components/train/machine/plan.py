"""The plan of a run, made once: what is kept at which step, and after which steps the loop comes back to Python."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.artifacts.record.columns import LEVELS
from components.artifacts.record.writer import BLOCK
from components.train.component import TrainParameters

# These bound the time from a SIGTERM to its answer, as Python handles signals only between calls.
STEPS_PER_CALL = 50
SECONDS_PER_CALL = 2.0

# A kind of record begins at the level of its name; this parameter says how often.
_EVERY = {"stats": "stats_every", "hist": "hist_every", "full": "snapshot_every"}
_NONE = frozenset[int]()


@dataclass(frozen=True)
class Schedule:
    """The steps at which something is due: every Nth, and those of a set; none if there is no N (0), and the set empty.

    It is asked step by step: a list of all steps of a run would grow with the run.
    """

    every: int
    steps: frozenset[int]

    def __getitem__(self, step: int) -> bool:
        return step in self.steps or (self.every > 0 and step > 0 and step % self.every == 0)


@dataclass(frozen=True)
class Plan:
    """What is due at which step, counted from 1."""

    kept: dict[str, Schedule]  # `stats`, `hist` and `full`; norms are kept at every step
    saved: Schedule  # a checkpoint
    last: int  # step of the run
    eager: bool = False

    def due(self, step: int) -> set[str]:
        """Return what is kept at a step, besides the norms."""
        return {kind for kind, at in self.kept.items() if at[step]}

    def observes(self, step: int) -> bool:
        """Tell whether statistics or histograms are computed at a step."""
        return step <= self.last and (self.kept["stats"][step] or self.kept["hist"][step])

    def stops(self, step: int) -> bool:
        """Tell whether something is to be done in Python after a step."""
        return (
            self.eager
            or step % BLOCK == 0
            or self.kept["full"][step]
            or self.saved[step]
            or self.observes(step) != self.observes(step + 1)
        )

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
            step = agreed(next((at for at in range(step + 1, limit) if self.stops(at)), limit))
            yield step, self.observes(step)


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
    level, powers = LEVELS.index(parameters.gradient_level), _powers(parameters.geometric, steps)
    never = Schedule(0, _NONE)
    kept = {
        kind: Schedule(getattr(parameters, name), powers) if level >= LEVELS.index(kind) else never
        for kind, name in _EVERY.items()
    }
    saved = Schedule(parameters.checkpoint_every if parameters.checkpoints else 0, _NONE)
    return Plan(kept, saved, steps, parameters.eager)


def _powers(base: int, largest: int) -> frozenset[int]:
    powers = [1] if base else []
    while powers and powers[-1] * base <= largest:
        powers.append(powers[-1] * base)
    return frozenset(powers)
