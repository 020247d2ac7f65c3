"""What a deployment of the Airflow DAGs may set: environment variables, read once, when Airflow reads the DAGs.

They must be the same for Airflow's scheduler, workers, DAG processor and triggerer.
"""

import json
import os
import re
from collections.abc import Mapping
from typing import Any, Self

from pydantic import field_validator, model_validator

from components.contract.declaration import Parameters, parameter
from components.contract.errors import BadInput
from dags.workflow import REGISTRY, TAG, parameters_of

PREFIX = "TAPELINE_AIRFLOW_"
RUNNERS = ("process", "docker", "kubernetes")


class Settings(Parameters):
    """Where and how the steps run."""

    runner: str = parameter("process", "What runs a step", choices=RUNNERS)
    schedule: str = parameter("0 3 * * *", "Cron expression, in UTC; empty: only on request")
    parameters: str = parameter("{}", "Parameters of the steps that differ from their defaults, as a JSON object")
    store: str = parameter("s3://tapeline/airflow", "Where the artifacts go, each run in a folder named after it")
    retries: int = parameter(2, "How often a step is tried again, unless its input is bad", ge=0, le=10)
    retry_seconds: int = parameter(30, "Wait before the first other try; it doubles, up to 5 minutes", ge=1, le=300)
    gpu_pool: str = parameter("gpu", "Airflow pool of train, with a slot for each GPU; it must exist")
    on_failure: str = parameter("", "Called with the context when a step fails for good, as module:function")
    python: str = parameter(".venv/bin/python", "process: the Python that has the steps' dependencies")
    registry: str = parameter(REGISTRY, "docker, kubernetes: where the images are")
    tag: str = parameter(TAG, "docker, kubernetes: their tag, or digest sha256:…")
    docker_options: str = parameter("", "docker: more options of `docker run`, such as --network=host")
    namespace: str = parameter("tapeline", "kubernetes: where the pods run")
    service_account: str = parameter("default", "kubernetes: the pods' service account; no token of it is mounted")
    pull_secret: str = parameter("", "kubernetes: Secret for the images' registry")
    s3_secret: str = parameter("tapeline-store", "kubernetes: Secret with accesskey and secretkey of the store")
    s3_config: str = parameter("tapeline-store", "kubernetes: ConfigMap with endpoint and region of the store")
    gpu_count: int = parameter(0, "docker, kubernetes: GPUs for train; 0 trains on the CPU", ge=0, le=64)
    gpu_resource: str = parameter("nvidia.com/gpu", "kubernetes: what the cluster calls a GPU")
    node_selector: str = parameter("{}", "kubernetes: labels of the node for train, as a JSON object")
    tolerations: str = parameter("[]", "kubernetes: taints that train may live with, as a JSON list")
    start_seconds: int = parameter(1800, "kubernetes: how long train may wait for a node and its image", ge=1)

    @field_validator("parameters", "node_selector", "tolerations")
    @classmethod
    def _json(cls, text: str, info: Any) -> str:
        kind = list if info.field_name == "tolerations" else dict
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error}") from None
        if not isinstance(value, kind):
            raise ValueError(f"a JSON {'list' if kind is list else 'object'} is needed")  # noqa: TRY004 - pydantic's way
        return text

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not re.fullmatch(r"s3://[^/]+(/[^/]+)*", self.store):
            raise ValueError(f"store: {self.store!r} is not of the form s3://bucket/prefix")
        if not re.fullmatch(r"([\w.]+:\w+)?", self.on_failure):
            raise ValueError(f"on_failure: {self.on_failure!r} is not of the form module:function")
        try:
            parameters_of(json.loads(self.parameters))
        except BadInput as error:
            raise ValueError(f"parameters: {error}") from None
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; raise `BadInput` naming every variable that is unknown or wrong."""
        given = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX)
        }  # fmt: skip
        try:
            return cls.checked(given)
        except BadInput as error:
            raise BadInput(f"among the variables {PREFIX}…:\n{error}") from None
