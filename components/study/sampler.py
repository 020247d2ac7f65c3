"""The values of each trial: a function of the specification and of what came of the batches before the trial's own."""

import functools
import hashlib
import itertools
import math
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState

from components.contract.errors import BadInput
from components.study.plan import Job, Outcomes, Spec
from components.study.space import Choice, Dimension

DIGITS = 4  # of a number that is proposed: machines differ in the last ones of 16, and nobody reads those
STARTUP = 10  # trials by chance before TPE has something to go by

optuna.logging.set_verbosity(optuna.logging.WARNING)  # it tells each step; the caller has words of its own


def distributions(space: tuple[Dimension, ...]) -> dict[str, BaseDistribution]:
    """Return what is varied in Optuna's terms."""
    return {each.name: _distribution(each) for each in space}


def values_of(spec: Spec, trial: int, outcomes: Outcomes) -> dict[str, Any]:
    """Return the values of a trial; the outcomes of the first rung of all batches before its own are needed."""
    if spec.sampler == "grid":
        return dict(zip([each.name for each in spec.space], _grid(spec.space)[trial], strict=True))
    first = trial - trial % spec.at_once
    known = () if spec.sampler == "random" else tuple(outcomes[Job(each, 0)].value for each in range(first))
    return dict(_batch(spec, first, known)[trial - first])


def size_of_grid(space: tuple[Dimension, ...]) -> int:
    """Return of how many combinations a grid is; raise `BadInput` for a range, which has no end of them."""
    for each in space:
        if not isinstance(each, Choice):
            raise BadInput(f"--vary {each.name}: a grid is of values, not of a range; give them, joined by commas")
    return len(_grid(space))


@functools.lru_cache
def _grid(space: tuple[Dimension, ...]) -> list[tuple[Any, ...]]:
    return list(itertools.product(*(each.ends for each in space)))


@functools.lru_cache(maxsize=1024)
def _batch(spec: Spec, first: int, known: tuple[float | None, ...]) -> list[dict[str, Any]]:
    """Return the values of the batch that begins with a trial, `known` being what came of all before it."""
    seed = int.from_bytes(hashlib.sha256(f"{spec.seed} {first}".encode()).digest()[:4], "big")
    wanted = distributions(spec.space)
    made = optuna.samplers.RandomSampler(seed) if spec.sampler == "random" else _tpe(seed)
    study = optuna.create_study(direction="maximize" if spec.higher else "minimize", sampler=made)
    for begin in range(0, len(known), spec.at_once):
        for values, value in zip(_batch(spec, begin, known[:begin]), known[begin:], strict=False):
            # TPE takes no notice of what failed, and would try its like again; what was pruned is worse than all else.
            state = TrialState.PRUNED if value is None else TrialState.COMPLETE
            study.add_trial(optuna.create_trial(params=values, distributions=wanted, value=value, state=state))
    asked = [study.ask(wanted).params for _ in range(min(spec.at_once, spec.trials - first))]
    return [{each.name: _short(each, values[each.name]) for each in spec.space} for values in asked]


def _tpe(seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)


def _distribution(each: Dimension) -> BaseDistribution:
    if isinstance(each, Choice):
        return CategoricalDistribution(each.values)
    if each.whole:
        return IntDistribution(int(each.low), int(each.high), log=each.log)
    return FloatDistribution(each.low, each.high, log=each.log)


def _short(each: Dimension, value: Any) -> Any:
    """Return a number with few digits, within its range."""
    if isinstance(each, Choice) or each.whole or not value or not math.isfinite(value):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), each.low), each.high)
