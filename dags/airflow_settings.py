"""What a deployment of the Airflow DAGs may set: environment variables, read once, when Airflow reads the DAGs.

They must be the same for Airflow's scheduler, workers, DAG processor and triggerer.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import field_validator, model_validator

from components.contract.declaration import parameter
from components.contract.errors import BadInput
from dags.cluster import REGISTRY, TAG, Cluster, parsed
from dags.definition import Workflow

PREFIX = "TAPELINE_AIRFLOW_"
RUNNERS = ("process", "docker", "kubernetes")


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
    docker_options: str = parameter("", "docker: more options of `docker run`, such as --network=host")
    namespace: str = parameter("tapeline", "kubernetes: where the pods run")
    service_account: str = parameter("default", "kubernetes: the pods' service account; no token of it is mounted")
    pull_secret: str = parameter("", "kubernetes: Secret for the images' registry")
    start_seconds: int = parameter(
        1800, "kubernetes: how long a step that can use a GPU may wait for a node and its image", ge=1
    )

    @field_validator("parameters", mode="before")
    @classmethod
    def _object(cls, value: Any) -> Any:
        return parsed(value, dict)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not re.fullmatch(r"s3://[^/]+(/[^/]+)*", self.store):
            raise ValueError(f"store: {self.store!r} is not of the form s3://bucket/prefix")
        if not re.fullmatch(r"([\w.]+:\w+)?", self.on_failure):
            raise ValueError(f"on_failure: {self.on_failure!r} is not of the form module:function")
        return self

    @classmethod
    def from_environment(cls, workflow: Workflow, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raise `BadInput` naming every variable that is unknown or wrong."""
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX)
        }  # fmt: skip
        try:
            settings = cls.checked(given)
        except BadInput as error:
            raise BadInput(f"among the variables {PREFIX}…:\n{error}") from None
        try:
            workflow.parameters_of(settings.parameters)
        except BadInput as error:
            raise BadInput(f"among the variables {PREFIX}…:\nparameters: {error}") from None
        return settings


def dag_ids(workflow: Workflow) -> tuple[str, str]:
    """Return the names of the DAG that learns and of the one that judges again."""
    return workflow.name, f"{workflow.name}_reevaluate"
