"""What a deployment of the Airflow DAGs may set: environment variables, read once, when Airflow reads the DAGs.

They must be the same for Airflow's API server, scheduler, workers, DAG processor and triggerer.
"""

import os
import re
import shlex
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Self

from pydantic import ValidationInfo, field_validator

from components.contract.declaration import Component, did_you_mean, parameter
from components.contract.errors import BadInput
from dags import cluster
from dags.cluster import NAME, REGISTRY, TAG, Cluster, parsed
from dags.definition import Place, Workflow

PREFIX = "TAPELINE_AIRFLOW_"
RUNNERS = ("process", "docker", "kubernetes")

_PATH = r"[a-z0-9]+([._-]+[a-z0-9]+)*"
_IMAGE = rf"[\w.-]+(:\d+)?(/{_PATH})*(:\w[\w.-]{{0,127}}|(:\w[\w.-]{{0,127}})?@sha256:[0-9a-f]{{64}})"
# What a text must look like, and what to call it.
_FORMS = {
    "store": (
        r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/(?!\.{1,2}(/|$))[^/]+)*",
        "s3://bucket/prefix, as S3 names buckets,",
    ),
    "gpu_pool": (r"\S(.*\S)?", "the name of a pool"),
    "python": (r"\S(.*\S)?", "the path of a Python"),
    "registry": (rf"[\w.-]+(:\d+)?(/{_PATH})*", "a registry, as registry.example/tapeline,"),
    "tag": (r"\w[\w.-]{0,127}|sha256:[0-9a-f]{64}", "a tag, or a digest sha256:… of 64 digits,"),
    "namespace": (r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "the name of a namespace"),
    "service_account": (NAME, "the name of a service account"),
    "pull_secret": (rf"({NAME}( {NAME})*)?", "the name of a Secret, or several with a space between them,"),
}


class Settings(Cluster):
    """Where and how the steps run; what they ask of a cluster concerns `kubernetes`, and the GPUs `docker` too."""

    runner: str = parameter("process", "What runs a step", choices=RUNNERS)
    schedule: str = parameter("0 3 * * *", "Cron expression, in UTC; empty: only on request")
    parameters: dict[str, Any] = parameter({}, "Parameters of the steps that differ from their defaults")
    store: str = parameter("s3://tapeline/airflow", "Where the artifacts go, each run in a folder named after it")
    retries: int = parameter(2, "How often a step is tried again, unless its input is bad", ge=0, le=10)
    retry_seconds: int = parameter(30, "Wait before the first other try; it doubles, up to 5 minutes", ge=1, le=300)
    gpu_pool: str = parameter(
        "gpu", "Airflow pool with a slot for each GPU, for the steps that can use one; it must exist"
    )
    on_failure: str = parameter("", "Called with the context when a step fails for good, as module:function")
    python: str = parameter(".venv/bin/python", "process: the Python that has the steps' dependencies")
    registry: str = parameter(REGISTRY, "docker, kubernetes: where the images are")
    tag: str = parameter(TAG, "docker, kubernetes: their tag, or digest sha256:…")
    images: dict[str, str] = parameter({}, "docker, kubernetes: the images of steps that are elsewhere, by their names")
    docker_options: str = parameter("", "docker: more options of `docker run`, such as --network=host")
    namespace: str = parameter("tapeline", "kubernetes: where the pods run")
    service_account: str = parameter("default", "kubernetes: the pods' service account; no token of it is mounted")
    pull_secret: str = parameter("", "kubernetes: Secret for the images' registry")
    start_seconds: int = parameter(
        1800, "kubernetes: how long a step that can use a GPU may wait for a node and its image", ge=1
    )

    @field_validator("parameters", "images", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        return parsed(value, dict)

    @field_validator("images")
    @classmethod
    def _images(cls, value: dict[str, str]) -> dict[str, str]:
        for name, image in value.items():
            if not re.fullmatch(_IMAGE, image):
                raise ValueError(f"{name}: {image!r}: an image with its tag or digest is needed")
        return value

    @field_validator("on_failure")
    @classmethod
    def _callable(cls, value: str) -> str:
        if value and not callable(function_of(value)):
            raise ValueError("it is no function")
        return value

    @field_validator("docker_options")
    @classmethod
    def _words(cls, value: str) -> str:
        shlex.split(value)
        return value

    @field_validator(*_FORMS)
    @classmethod
    def _formed(cls, value: str, info: ValidationInfo) -> str:
        form, what = _FORMS[str(info.field_name)]
        if not re.fullmatch(form, value):
            raise ValueError(f"{what} is needed")
        return value

    @classmethod
    def from_environment(cls, workflow: Workflow, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raise `BadInput` with a line for each variable that is unknown or wrong."""
        given = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
        known = {f"{PREFIX}{name.upper()}": name for name in cls.model_fields}
        unknown = [f"{name}: no such setting{did_you_mean(name, known)}" for name in given if name not in known]
        try:
            settings = cls.checked({known[name]: value for name, value in given.items() if name in known})
        except BadInput as error:
            wrong = [
                re.sub(r"^\w+", lambda name: f"{PREFIX}{name[0].upper()}", each) for each in str(error).splitlines()
            ]
            raise BadInput("\n".join(unknown + wrong)) from None
        names = [task.name for task in workflow.tasks]
        unknown += [
            f"{PREFIX}IMAGES: no such step: {name}{did_you_mean(name, names)}"
            for name in settings.images
            if name not in names
        ]
        try:
            workflow.parameters_of(settings.parameters)
        except BadInput as error:
            unknown += [f"{PREFIX}PARAMETERS: {each}" for each in str(error).splitlines()]
        if unknown:
            raise BadInput("\n".join(unknown))
        return settings


def image_of(component: Component, settings: Settings) -> str:
    """Return the image of a step."""
    return settings.images.get(component.name) or cluster.image_of(component, settings.registry, settings.tag)


def function_of(name: str) -> Any:
    """Return what `module:function` names; raise `ValueError` where there is no such thing."""
    module, _, function = name.partition(":")
    if not function:
        raise ValueError("it is not of the form module:function")
    try:
        return getattr(import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"it cannot be imported: {error}") from error


def dag_ids(workflow: Workflow) -> tuple[str, str]:
    """Return the names of the DAG that learns and of the one that judges again."""
    return workflow.name, f"{workflow.name}_reevaluate"


def output_of(settings: Settings, place: Place, *, run: tuple[str, str] | None = None) -> str:
    """Return the location of an output in a run, given as DAG and run id; in the present run, as a template."""
    component, output = place
    dag_id, run_id = run or ("{{ dag.dag_id }}", "{{ run_id }}")
    return f"{settings.store}/{dag_id}/{run_id}/{component.name}/{output}"
