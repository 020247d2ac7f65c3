"""The four steps and how they connect: the only place that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.step.declaration import Component, Parameters, did_you_mean
from components.step.errors import BadInput
from components.train.component import COMPONENT as TRAIN


@dataclass(frozen=True)
class Task:
    """A component in its place: where each of its inputs comes from, as {input: (component, output)}."""

    component: Component
    inputs: Mapping[str, tuple[Component, str]] = field(default_factory=dict)


# In an order in which they can run.
WORKFLOW = (
    Task(INGEST),
    Task(TRAIN, {"dataset": (INGEST, "dataset")}),
    Task(EXPORT, {"gradients": (TRAIN, "gradients")}),
    Task(EVALUATE, {"dataset": (INGEST, "dataset"), "trained_model": (TRAIN, "trained_model")}),
)


def parameters_of(values: Mapping[str, Any]) -> dict[str, Parameters]:
    """Return the parameters of each component, by its name, from values for the workflow as a whole.

    A value goes to every component that declares its name, so `seed` is said once. Raises `BadInput` with a line for
    each value that is unknown or wrong.
    """
    known = {name for task in WORKFLOW for name in task.component.parameters.model_fields}
    problems = [f"{name}: no such parameter{did_you_mean(name, known)}" for name in values if name not in known]
    checked = {}
    for task in WORKFLOW:
        declared = task.component.parameters
        try:
            checked[task.component.name] = declared.checked(
                {name: value for name, value in values.items() if name in declared.model_fields}
            )
        except BadInput as error:
            problems += str(error).splitlines()
    if problems:
        raise BadInput("\n".join(dict.fromkeys(problems)))
    return checked
