"""The trainings of a study, done on this machine: take one, run it, note what came of it, until none is left."""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from components.contract.declaration import Parameters
from components.contract.errors import BadInput, StepError
from components.study import plan
from components.study.journal import Journal
from components.study.plan import Job, Outcome, Spec
from components.study.pulse import Pulse
from components.study.sampler import values_of
from dags.definition import Task, Trials, Workflow, figures_of
from dags.local_steps import Done, Place, StepFailed, run_task

LOOK_SECONDS = 1.0  # from one look at what others have done to the next
ITS_OWN = (1, 2)  # exit codes of a trial that failed by what it is; any other one may be mended by another try
TAKEN = "another artifact already"  # another machine has published the same trial, in slightly other bytes


@dataclass(frozen=True)
class Bench:
    """What the trainings of a study have in common."""

    workflow: Workflow
    trials: Trials
    spec: Spec
    parameters: Mapping[str, Parameters]  # of each task
    done: Mapping[str, Done]  # the tasks before
    place: Place
    checkpoints: str  # where those of this study are

    @property
    def task(self) -> Task:
        """The task that a trial runs."""
        return self.workflow.task(self.trials.component)


def before(workflow: Workflow, task: Task) -> list[Task]:
    """Return the tasks that a task needs, in the order of the workflow."""
    needed = {source.name for source, _ in task.inputs.values()}
    for each in reversed(workflow.tasks):
        if each.name in needed:
            needed |= {source.name for source, _ in each.inputs.values()}
    return [each for each in workflow.tasks if each.name in needed]


def work(bench: Bench, journal: Journal, pulse: Pulse) -> Mapping[Job, Outcome]:
    """Do trainings until the study is done, and return what came of all, done here or elsewhere."""
    removed: set[int] = set()
    waits = False
    while True:
        outcomes = journal.outcomes()
        given_up = plan.given_up(bench.spec, outcomes)
        _remove(bench, sorted(map(str, given_up - removed)))
        removed |= given_up
        jobs = plan.next_jobs(bench.spec, outcomes)
        if not jobs:
            return outcomes
        job = journal.take(jobs, pulse.lives)
        if job is None:
            if not waits:
                bench.place.say("waiting for what others are at")
            waits = True
            time.sleep(LOOK_SECONDS)
            continue
        waits = False
        outcome = train(bench, job, values_of(bench.spec, job.trial, outcomes))
        journal.note(job, outcome)
        if job.repeat:
            _remove(bench, [_folder(job)])


def train(bench: Bench, job: Job, values: Mapping[str, Any]) -> Outcome:
    """Do a training, and say what came of it."""
    spec, trials, place = bench.spec, bench.trials, bench.place
    rungs = plan.rungs(spec)
    last = job.rung == len(rungs) - 1
    more = {trials.seed: spec.seed + job.repeat, trials.pause: 0 if last else rungs[job.rung].epochs}
    place.say(_announced(bench, job, values))
    try:
        given = dict(bench.parameters[bench.task.name]) | dict(values) | more
        if bench.task.checkpoints:
            given[bench.task.checkpoints] = f"{bench.checkpoints}/{_folder(job)}"
        parameters = trials.component.parameters.checked(given)
        done = _run(bench, parameters)
    except (StepFailed, BadInput) as error:
        if error.exit_code not in ITS_OWN:
            raise
        said = (getattr(error, "said", "") or str(error)).removeprefix(f"{bench.task.name}: ")
        place.say(f"  failed: {said}")
        return Outcome(None, 0, said)
    outcome = _outcome(bench, done)
    place.say(f"  {spec.measure} {outcome.value:.4f}" if outcome.value is not None else f"  failed: {outcome.sentence}")
    return outcome


def _run(bench: Bench, parameters: Parameters) -> Done:
    """Run the task of a trial, its own words in a file."""
    name = bench.place.reports / "trials.log"
    with name.open("a", encoding="utf-8") as out:
        place = Place(bench.place.folder, bench.place.reports, bench.place.store, bench.place.settings, out,
                      cache=True, root=bench.place.root)  # fmt: skip
        try:
            return run_task(bench.task, parameters, bench.done, place)
        except StepFailed as error:
            if TAKEN not in error.said:
                raise
            return run_task(bench.task, parameters, bench.done, place)


def _outcome(bench: Bench, done: Done) -> Outcome:
    def figures(output: str) -> dict[str, Any]:
        place = done.outputs[output]
        return figures_of(bench.place.store.manifest(place) or b"", place)

    value = figures(bench.trials.output).get(bench.spec.measure, math.nan)
    output, name = bench.trials.steps
    steps = int(figures(output)[name])
    if not math.isfinite(value):
        return Outcome(None, steps, f"its {bench.spec.measure} is no number")
    return Outcome(float(value), steps)


def _announced(bench: Bench, job: Job, values: Mapping[str, Any]) -> str:
    rung = plan.rungs(bench.spec)[job.rung]
    shown = ", ".join(f"{name} {value}" for name, value in values.items())
    how = f"seed {bench.spec.seed + job.repeat}" if job.repeat else f"to epoch {rung.epochs} of {bench.spec.epochs}"
    return f"── Trial {job.trial}, {how}: {shown}"


def _remove(bench: Bench, folders: Iterable[str]) -> None:
    """Remove the checkpoints of trainings that do not go on; that this fails is no reason to end a study."""
    for folder in folders if bench.task.checkpoints else ():
        try:
            bench.place.store.remove(f"{bench.checkpoints}/{folder}")
        except StepError as error:
            bench.place.say(f"warning: checkpoints of trial {folder} stay: {error}")


def _folder(job: Job) -> str:
    return f"{job.trial}-{job.repeat}" if job.repeat else str(job.trial)
