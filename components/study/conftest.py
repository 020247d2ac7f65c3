"""What the tests of a study share: a specification, and trainings whose outcome is a formula."""

import math
from collections.abc import Mapping
from typing import Any

from components.study import plan
from components.study.plan import Job, Outcome, Outcomes, Spec
from components.study.sampler import values_of
from components.study.space import Choice, Range

SPACE = (Range("learning_rate", 1e-4, 1e-1, log=True, whole=False), Choice("model", ("convnet", "simple")))
STEPS = 10  # of an epoch


def spec_of(**values: Any) -> Spec:
    """Return a specification, with these values."""
    usual: dict[str, Any] = {
        "space": SPACE, "fixed": (), "sampler": "tpe", "trials": 16, "at_once": 4, "eta": 4, "epochs": 16, "seeds": 1,
        "finalists": 3, "seed": 0, "measure": "validation_accuracy", "higher": True,
    }  # fmt: skip
    return Spec(**usual | values)


def train(spec: Spec, job: Job, values: Mapping[str, Any]) -> Outcome:
    """Return what comes of a training: the best learning rate is 0.003, the better model the simple one."""
    epochs = plan.rungs(spec)[job.rung].epochs
    if values["learning_rate"] > 0.05:
        return Outcome(None, 0, "the loss is nan after step 3")
    off = abs(math.log10(values["learning_rate"] / 0.003)) + (values["model"] == "convnet") * 0.1
    value = 1 - 0.1 * off - 0.2 / epochs + 0.001 * ((job.trial * 7 + job.repeat * 3) % 5)
    return Outcome(value, STEPS * epochs)


def done(spec: Spec) -> Outcomes:
    """Do a whole study."""
    outcomes: dict[Job, Outcome] = {}
    while jobs := plan.next_jobs(spec, outcomes):
        for job in jobs:
            outcomes[job] = train(spec, job, values_of(spec, job.trial, outcomes))
    return outcomes
