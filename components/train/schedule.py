"""At which steps what is kept: every N steps, at the powers of a number, or both."""

from components.step.gradients import LEVELS
from components.train.component import TrainParameters

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
