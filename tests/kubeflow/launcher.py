"""What Kubeflow's launcher does around a step, on this machine, with Docker and an S3 store.

It downloads the inputs, runs the container's command with the executor input, parses the executor output as strictly
as the backend does, and uploads the outputs. After kubeflow/pipelines 2.17, backend/src/v2/component/launcher_v2.go.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from components.contract.kubeflow import names_of
from components.contract.store.client import Store
from dags.cluster import image_of
from dags.definition import Task
from dags.workflow import WORKFLOW
from tests.containers import DOCKER

BUCKET = "mlpipeline"


def refuse(constant: str) -> Any:
    """Refuse what is no JSON."""
    raise ValueError(f"{constant} is no JSON")


def parse_strictly(text: str) -> dict[str, Any]:
    """Parse an executor output as the backend does: no unknown key, no NaN, no null."""
    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    assert set(document) <= {"artifacts", "parameterValues"}, document.keys()
    for listed in document.get("artifacts", {}).values():
        for artifact in listed["artifacts"]:
            assert set(artifact) <= {"name", "type", "uri", "metadata", "customPath"}, artifact.keys()
            assert "null" not in json.dumps(artifact.get("metadata", {}))
    return document


def docker(image: str, command: list[str], *options: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in a container as a cluster would: no root, nothing to write on but /tmp and what is mounted."""
    user = f"{os.getuid() or 65532}:{os.getgid() or 65532}"
    hardened = [
        "--rm",
        "--read-only",
        "--tmpfs=/tmp",
        f"--user={user}",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
    ]
    return subprocess.run(
        [DOCKER, "run", *hardened, "--network=host", *options, image, *command],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


def launch(store: Store, task: Task, parameters: dict[str, Any], scratch: Path, *options: str) -> dict[str, Any]:
    """Run one task of the pipeline; return its executor output."""
    component = task.component
    prefix = "v2/artifacts/tapeline/run"
    # What the pipeline calls an output whose name other steps' outputs have too.
    names = {item.name: names_of(component, item)[item.name in ("report", "metrics")] for item in component.outputs}

    def artifact(name: str, key: str, metadata: dict[str, Any]) -> dict[str, Any]:
        return {"artifacts": [{"name": name, "uri": f"minio://{BUCKET}/{key}", "metadata": metadata}]}

    def local(key: str) -> Path:
        return scratch / BUCKET / key

    inputs = {name: f"{prefix}/{source.name}/{output}" for name, (source, output) in task.inputs.items()}
    for key in inputs.values():
        for name in store.names(f"s3://{BUCKET}/{key}"):
            store.read(f"s3://{BUCKET}/{key}/{name}", local(f"{key}/{name}"))
    outputs = {item.name: f"{prefix}/{component.name}/{item.name}" for item in component.outputs}
    for key in outputs.values():
        local(key).parent.mkdir(parents=True, exist_ok=True)
    called = {names[name]: key for name, key in outputs.items()} | {"executor-logs": "logs"}
    output_file = f"{prefix}/{component.name}/output_metadata.json"
    document = {
        "inputs": {
            "parameterValues": parameters | {"accelerator_type": "nvidia.com/gpu", "pipelinechannel--gpu_count": "0"},
            "artifacts": {name: artifact("1", key, {"display_name": name}) for name, key in inputs.items()},
        },
        "outputs": {
            "artifacts": {name: artifact(name, key, {}) for name, key in called.items()},
            "parameters": {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in parameters_of(task)},  # noqa: S108
            "outputFile": f"/minio/{BUCKET}/{output_file}",
        },
    }
    for path in (scratch, *scratch.rglob("*")):
        path.chmod(0o777)  # the launcher and the step share a volume that both may write on
    done = docker(
        image_of(component),
        [*component.command, "--executor-input", json.dumps(document)],
        f"--volume={scratch}:/minio", *options,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr}")
    for key in outputs.values():
        files = [local(key)] if local(key).is_file() else [path for path in local(key).rglob("*") if path.is_file()]
        for path in files:
            name = path.relative_to(scratch / BUCKET).as_posix()
            store.client.put_object(Bucket=BUCKET, Key=name, Body=path.read_bytes())
    output = parse_strictly(local(output_file).read_text())
    assert output.get("parameterValues", {}).keys() == set(parameters_of(task))  # else the backend fails the task
    return output


def parameters_of(task: Task) -> list[str]:
    """Return the output parameters that the pipeline asks of a task: the gate's verdict."""
    return [WORKFLOW.gate.verdict] if task.component == WORKFLOW.gate.component else []
