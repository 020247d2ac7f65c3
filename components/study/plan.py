"""The plan of a study: which trainings come next, and which trial is best. All of it follows from what is known.

It is pure: the same specification and the same outcomes give the same plan, whoever asks, and on which machine.

Trials come in batches; what a batch tries follows from the outcomes of all batches before it. Successive halving
(Jamieson & Talwalkar 2016, arXiv 1502.07943) is in rungs: each trial trains to the first rung, and of those the best
share, 1 / eta, go on from where they are to the next one; the last rung has all epochs. The best few are then trained
from the start with seeds that nothing was chosen by.
"""

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from components.contract.errors import StepError
from components.study.space import Dimension


@dataclass(frozen=True)
class Spec:
    """What a study is: the same one gives the same trials in the same order."""

    space: tuple[Dimension, ...]
    fixed: tuple[tuple[str, Any], ...]  # the values that all trials have
    sampler: str
    trials: int
    at_once: int  # trials of a batch
    eta: int  # 1: no halving
    epochs: int
    seeds: int  # with which the finalists are trained; 1: only that of the search
    finalists: int
    seed: int
    measure: str
    higher: bool  # is better
    origin: str = ""  # the digest of code and data

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @property
    def few(self) -> int:
        """How many trials the last rung has to have at least."""
        return self.finalists if self.seeds > 1 else 1


class Job(NamedTuple):
    """A training: a trial's, to a rung; `repeat` 0 is that of the search, the others are with seeds of their own."""

    trial: int
    rung: int
    repeat: int = 0

    @property
    def key(self) -> str:
        """Return its name."""
        return f"{self.trial}/{self.rung}/{self.repeat}"


class Rung(NamedTuple):
    """How many trials train up to which epoch."""

    epochs: int
    trials: int


@dataclass(frozen=True)
class Outcome:
    """What came of a training: the figures of its validation, or the sentence with which it failed."""

    value: float | None  # of the measure; None where it failed
    steps: int = 0  # of the optimizer, from its beginning
    sentence: str = ""


Outcomes = Mapping[Job, Outcome]


def rungs(spec: Spec) -> list[Rung]:
    """Return the rungs: each has fewer trials and more epochs than the one before it, and the last one all epochs."""
    counts = [spec.trials]
    while spec.eta > 1 and len(counts) < spec.epochs and counts[-1] // spec.eta >= spec.few:
        counts.append(counts[-1] // spec.eta)
    found: list[Rung] = []
    for index, count in enumerate(counts):
        epochs = max(1, round(spec.epochs / spec.eta ** (len(counts) - 1 - index)))
        found.append(Rung(max(epochs, found[-1].epochs + 1) if found else epochs, count))
    return found


def next_jobs(spec: Spec, outcomes: Outcomes) -> list[Job]:
    """Return the trainings that can be done now, in their order; none where all is done.

    Raises `StepError` if no trial is left to go on with, and already if none of the first batch is.
    """
    first = [outcomes.get(Job(trial, 0)) for trial in range(min(spec.at_once, spec.trials))]
    if all(each is not None and each.value is None for each in first):
        said = next(each.sentence for each in first if each)
        raise StepError(f"all of the first {len(first)} trials failed, so the study ends; the first of them: {said}")
    for stage in _stages(spec, outcomes):
        if waiting := [job for job in stage if job not in outcomes]:
            return waiting
    return []


def _stages(spec: Spec, outcomes: Outcomes) -> Iterator[list[Job]]:
    """Yield what has to be done before the next can be known."""
    for first in range(0, spec.trials, spec.at_once):
        yield [Job(trial, 0) for trial in range(first, min(first + spec.at_once, spec.trials))]
    last = len(rungs(spec)) - 1
    for rung in range(1, last + 1):
        yield [Job(trial, rung) for trial in going_on(spec, outcomes, rung)]
    if spec.seeds > 1:
        yield [Job(trial, last, repeat) for trial in finalists(spec, outcomes) for repeat in range(1, spec.seeds + 1)]


def ranked(spec: Spec, outcomes: Outcomes, rung: int) -> list[int]:
    """Return the trials that came through a rung, the best first; of equals the earlier one."""
    values = {
        job.trial: outcome.value
        for job, outcome in outcomes.items()
        if job.rung == rung and job.repeat == 0 and outcome.value is not None
    }
    if not values:
        said = next((f": {each.sentence}" for _, each in sorted(outcomes.items()) if each.sentence), "")
        raise StepError(f"every trial failed, so there is nothing to choose from{said}")
    sign = -1 if spec.higher else 1
    return sorted(values, key=lambda trial: (sign * values[trial], trial))


def going_on(spec: Spec, outcomes: Outcomes, rung: int) -> list[int]:
    """Return the trials that train up to a rung after the first, by their numbers."""
    return sorted(ranked(spec, outcomes, rung - 1)[: rungs(spec)[rung].trials])


def given_up(spec: Spec, outcomes: Outcomes) -> set[int]:
    """Return the trials that are known not to go on, whatever comes of the others."""
    plan = rungs(spec)
    found = {job.trial for job, outcome in outcomes.items() if job.repeat == 0 and outcome.value is None}
    for rung in range(len(plan)):
        if any(job.rung == rung and job.repeat == 0 and outcome.value is not None for job, outcome in outcomes.items()):
            going = plan[rung + 1].trials if rung + 1 < len(plan) else 0
            found.update(ranked(spec, outcomes, rung)[going:])
    return found


def finalists(spec: Spec, outcomes: Outcomes) -> list[int]:
    """Return the best trials of the last rung, the best first."""
    return ranked(spec, outcomes, len(rungs(spec)) - 1)[: spec.few]


@dataclass(frozen=True)
class Final:
    """A finalist: its value in the search, and those with other seeds, if there are any."""

    trial: int
    searched: float
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over the seeds; where there are none, the value of the search."""
        return statistics.fmean(self.values) if self.values else self.searched

    @property
    def deviation(self) -> float:
        """The standard deviation over the seeds; NaN for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else math.nan


def finals(spec: Spec, outcomes: Outcomes) -> list[Final]:
    """Return the finalists of a study that is done, the best first; one that failed with any seed is none."""
    last = len(rungs(spec)) - 1
    found = []
    for trial in finalists(spec, outcomes):
        again = [outcomes[Job(trial, last, repeat)] for repeat in range(1, spec.seeds + 1 if spec.seeds > 1 else 1)]
        values = tuple(each.value for each in again if each.value is not None)
        searched = outcomes[Job(trial, last)].value
        if len(values) == len(again) and searched is not None:
            found.append(Final(trial, searched, values))
    if not found:
        raise StepError("every finalist failed with some seed, so none can be relied on; vary something else")
    sign = -1 if spec.higher else 1
    return sorted(found, key=lambda final: (sign * final.mean, final.trial))


def steps_taken(outcomes: Outcomes) -> tuple[int, int]:
    """Return how many steps the search took, and the seeds; a trial that went on did not begin again."""
    reached: dict[int, int] = {}
    for job, outcome in outcomes.items():
        if job.repeat == 0:
            reached[job.trial] = max(reached.get(job.trial, 0), outcome.steps)
    return sum(reached.values()), sum(outcome.steps for job, outcome in outcomes.items() if job.repeat)


def steps_in_full(spec: Spec, outcomes: Outcomes) -> int:
    """Return how many steps all trials would take to their last epoch; one that failed at once counts as nothing."""
    first = rungs(spec)[0].epochs
    return sum(outcomes[Job(trial, 0)].steps * spec.epochs // first for trial in range(spec.trials))
