"""The four steps and how they connect: the only place that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.contract.declaration import Component, Parameters, did_you_mean
from components.contract.errors import BadInput
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN


@dataclass(frozen=True)
class Resources:
    """What a step may take of a machine, in Kubernetes' units, and how long it may run."""

    cpu: str
    cpu_limit: str
    memory: str
    memory_limit: str
    timeout_seconds: int
    gpu: bool = False  # it can use one
    shared_memory: str = ""


@dataclass(frozen=True)
class Task:
    """A component in its place: where each of its inputs comes from, as {input: (component, output)}."""

    component: Component
    resources: Resources
    inputs: Mapping[str, tuple[Component, str]] = field(default_factory=dict)
    checkpoints: str = ""  # the parameter that names a place from which another try goes on


# In an order in which they can run.
WORKFLOW = (
    Task(INGEST, Resources("500m", "2", "1Gi", "4Gi", timeout_seconds=1800)),
    Task(
        TRAIN,
        Resources("2", "8", "3Gi", "12Gi", timeout_seconds=6 * 3600, gpu=True, shared_memory="2Gi"),
        {"dataset": (INGEST, "dataset")},
        checkpoints="checkpoints",
    ),
    Task(EXPORT, Resources("500m", "2", "1Gi", "4Gi", timeout_seconds=1800), {"gradients": (TRAIN, "gradients")}),
    Task(
        EVALUATE,
        Resources("1", "4", "2Gi", "6Gi", timeout_seconds=1800),
        {"dataset": (INGEST, "dataset"), "trained_model": (TRAIN, "trained_model")},
    ),
)

# Kubeflow's own keys of a store's credentials -> the names that every S3 client reads.
SECRET_KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
CONFIG_KEYS = {"endpoint": "AWS_ENDPOINT_URL", "region": "AWS_REGION"}

# Where the images are; a caller may give another registry, tag, or digest.
REGISTRY = "tapeline"
TAG = "dev"


def image_of(component: Component, registry: str = REGISTRY, tag: str = TAG) -> str:
    """Return the image of a component, `tag` being a tag or a digest (sha256:…)."""
    return f"{registry}/{component.name}{'@' if tag.startswith('sha256:') else ':'}{tag}"


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
