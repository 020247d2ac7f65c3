"""What a deployment of the Airflow DAGs may set: environment variables, read once, when Airflow reads the DAGs.

They must be the same for Airflow's API server, scheduler, workers, DAG processor and triggerer.
"""

import inspect
import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Self

from pydantic import ValidationInfo, field_validator

from components.contract.declaration import Component, did_you_mean, parameter
from components.contract.errors import BadInput
from dags import cluster, cluster_rules, docker_options
from dags.cluster import REGISTRY, TAG, Cluster, parsed
from dags.cluster_rules import NAME
from dags.definition import Workflow

PREFIX = "TAPELINE_AIRFLOW_"
RUNNERS = ("process", "docker", "kubernetes")

_PATH = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"  # a part of an image's name
_HOST = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_REGISTRY = rf"((localhost|{_HOST}(\.{_HOST})+)(:\d{{1,5}})?|{_HOST}:\d{{1,5}}|{_PATH})(/{_PATH})*"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = rf"{_REGISTRY}(:{_TAG}|(:{_TAG})?@sha256:[0-9a-f]{{64}})"
_IN_BUCKET = r"(/(?!\.{1,2}(/|$))[\w!.*'()=+,:@-]+)*"
# What a text must look like, how long it may be, and what to call it.
_FORMS = {
    "store": (
        rf"s3://(?!\d+\.\d+\.\d+\.\d+(/|$))(?=[^/]{{3,63}}(/|$)){_HOST}(\.{_HOST})*{_IN_BUCKET}", 512,
        "s3://bucket/prefix, a bucket as S3 names buckets and a prefix of letters, digits and !.*'()=+,:@_-,",
    ),
    "gpu_pool": (r"\S(.*\S)?", 256, "the name of a pool"),
    "python": (r"\S(.*\S)?", 4096, "the path of a Python"),
    "registry": (_REGISTRY, 200, "a registry, as registry.example/tapeline,"),
    "tag": (rf"{_TAG}|sha256:[0-9a-f]{{64}}", 200, "a tag, or a digest sha256:… of 64 digits,"),
    "pull_secret": (rf"({NAME}( {NAME})*)?", 2000, "the name of a Secret, or several with a space between them,"),
}  # fmt: skip
LONGEST = 400  # of a sentence about a setting


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
    service_account: str = parameter(
        "default", "kubernetes: the pods' service account; only with `workers` a pod has a token of it"
    )
    workers: bool = parameter(
        False, "kubernetes: let train start other workers as a Job, with the token of the service account"
    )
    pull_secret: str = parameter("", "kubernetes: Secret for the images' registry")
    start_seconds: int = parameter(
        1800, "kubernetes: how long a step that can use a GPU may wait for a node and its image", ge=1, le=604_800
    )

    @field_validator("*", mode="before")
    @classmethod
    def _printable(cls, value: Any, info: ValidationInfo) -> Any:
        is_json = cls.model_fields[str(info.field_name)].annotation not in (str, int)
        if isinstance(value, str) and not is_json and not value.isprintable():
            raise ValueError("it has a character that cannot be seen, such as the end of a line; leave it out")
        return value

    @field_validator("parameters", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        return parsed(value, dict)

    @field_validator("images", mode="before")
    @classmethod
    def _images(cls, value: Any) -> Any:
        images = parsed(value, dict)
        for name, image in images.items():
            if not isinstance(image, str) or not re.fullmatch(_IMAGE, image, re.ASCII):
                raise ValueError(f"{name}: {image!r} is no image with its tag or digest, as registry.example/train:1.2")
        return images

    @field_validator("on_failure")
    @classmethod
    def _callable(cls, value: str) -> str:
        if value:
            function_of(value)
        return value

    @field_validator("docker_options")
    @classmethod
    def _words(cls, value: str, info: ValidationInfo) -> str:
        gpus = any(word.startswith("--gpus") for word in docker_options.words(value))
        if gpus and info.data.get("gpu_count"):
            raise ValueError("--gpus cannot be added where gpu_count is not 0")
        return value

    @field_validator("namespace", "service_account")
    @classmethod
    def _named(cls, value: str, info: ValidationInfo) -> str:
        return cluster_rules.namespace(value) if info.field_name == "namespace" else cluster_rules.name(value)

    @field_validator(*_FORMS)
    @classmethod
    def _formed(cls, value: str, info: ValidationInfo) -> str:
        form, longest, what = _FORMS[str(info.field_name)]
        if not re.fullmatch(form, value) or len(value) > longest:
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
            raise BadInput(*map(_shortened, unknown + wrong)) from None
        names = [task.name for task in workflow.tasks]
        unknown += [
            f"{PREFIX}IMAGES: no such step: {name}{did_you_mean(name, names)}"
            for name in settings.images
            if name not in names
        ]
        unknown += [f"{PREFIX}PARAMETERS: {each}" for each in wrong_parameters(workflow, settings.parameters)]
        if unknown:
            raise BadInput(*map(_shortened, unknown))
        return settings


def image_of(component: Component, settings: Settings) -> str:
    """Return the image of a step."""
    return settings.images.get(component.name) or cluster.image_of(component, settings.registry, settings.tag)


def function_of(name: str) -> Callable[[Any], Any]:
    """Return what `module:function` names; raise `ValueError` where there is no such function of one argument."""
    module, _, function = name.partition(":")
    if not module or not function:
        raise ValueError("it is not of the form module:function")
    try:
        found: Callable[[Any], Any] = getattr(import_module(module), function)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a module does when it is imported
        raise ValueError(f"it cannot be imported: {_shortened(' '.join(str(error).split()))}") from None
    try:
        inspect.signature(found).bind("the context")
    except TypeError:
        raise ValueError("it is no function that can be called with the context alone") from None
    except ValueError:  # it is written in C, and does not say what it takes
        pass
    return found


def wrong_parameters(workflow: Workflow, parameters: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each of the steps' parameters that is not known, wrong, or not to be set here."""
    places = {task.checkpoints for task in workflow.tasks if task.checkpoints}
    wrong = [f"{name}: each run has a place of its own for them; leave it out" for name in places & parameters.keys()]
    texts = {name: value for name, value in parameters.items() if isinstance(value, str)}
    # What may stand in a text, but in no argument of a program.
    odd = [name for name, text in texts.items() if text.encode(errors="ignore").decode().replace("\0", "") != text]
    wrong += [f"{name}: {texts[name]!r} has a character that no step can be given" for name in odd]
    try:
        workflow.parameters_of(parameters)
    except BadInput as error:
        wrong += str(error).splitlines()
    return wrong


def _shortened(text: str) -> str:
    """Return a text that may hold a long value without its middle."""
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]} … {text[-half:]}"


def study_id(workflow: Workflow) -> str:
    """Return the name of the DAG that studies which values are best."""
    return f"{workflow.name}_study"


def dag_ids(workflow: Workflow) -> tuple[str, str]:
    """Return the names of the DAG that learns and of the one that judges again."""
    return workflow.name, f"{workflow.name}_reevaluate"
