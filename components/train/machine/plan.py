"""At which steps what is kept: every N steps, at the powers of a number, or both; and after which Python is called."""

from collections.abc import Iterator

from components.artifacts.record.columns import LEVELS
from components.artifacts.record.writer import BLOCK
from components.train.component import TrainParameters

STEPS_PER_CALL = 50  # bounds the time from a SIGTERM to its answer, as Python handles signals only between calls

# A kind of record begins at the level of its name; this parameter says how often.
_EVERY = {"stats": "stats_every", "hist": "hist_every", "full": "snapshot_every"}


def due(parameters: TrainParameters, step: int) -> frozenset[str]:
    """Return what is kept at a step, counted from 1, besides the norms: some of `stats`, `hist` and `full`."""
    level = LEVELS.index(parameters.gradient_level)
    geometric = _is_power(step, parameters.geometric)
    return frozenset(
        kind
        for kind, name in _EVERY.items()
        if level >= LEVELS.index(kind)
        and (geometric or (getattr(parameters, name) and step % getattr(parameters, name) == 0))
    )


def _is_power(number: int, base: int) -> bool:
    while base and number % base == 0:
        number //= base
    return bool(base) and number == 1


def stops(parameters: TrainParameters, step: int, end: int) -> Iterator[tuple[int, bool]]:
    """Yield the steps after which the loop comes back to Python, up to `end`, and whether those so far are observed.

    Something is to be written then, or the steps that follow are observed and those before were not, or the reverse.
    """

    def observed(step: int) -> bool:
        return bool(due(parameters, step) & {"stats", "hist"})

    since = step
    while step < end:
        step += 1
        written = (step % parameters.checkpoint_every == 0 and parameters.checkpoints) or step % BLOCK == 0
        if step == end or written or step - since == STEPS_PER_CALL or parameters.eager or (
            "full" in due(parameters, step) or observed(step) != observed(step + 1)
        ):  # fmt: skip
            yield step, observed(step)
            since = step
