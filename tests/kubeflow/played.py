"""kfp's local runner without containers: what stands in for a step writes its outputs and what the gate says."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, components, local
from kfp.local import docker_task_handler

from components.contract import kubeflow
from dags import kubeflow_check, kubeflow_notice
from dags.definition import Workflow
from dags.kubeflow_pipeline import build


def play(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    workflow: Workflow,
    figures: Mapping[str, Any],
    fails: Collection[str] = (),
    **options: Any,
) -> list[str]:
    """Run the compiled pipeline in which the gate says `figures`; return which modules ran, in their order."""
    played: list[str] = []

    def run(client: object, image: str, command: list[str], volumes: object, **_: object) -> int:  # noqa: ARG001 - kfp's
        module, text = command[2].rpartition(".")[2], command[-1]
        played.append(module)
        if module in fails:
            return 1
        if module == "kubeflow_check":
            kubeflow_check.check(workflow, text)
        elif module == "kubeflow_notice":
            assert kubeflow_notice.tell(workflow, text) == ""
        else:
            _make(workflow, module, text, figures)
        return 0

    monkeypatch.setattr(docker_task_handler, "run_docker_container", run)
    local.init(local.DockerRunner(), pipeline_root=str(folder / "root"), raise_on_error=not fails)
    path = folder / "pipeline.yaml"
    compiler.Compiler().compile(build(workflow, dependencies=True, **options), str(path))
    components.load_component_from_file(str(path))(epochs=3)
    return played


def _make(workflow: Workflow, name: str, text: str, figures: Mapping[str, Any]) -> None:
    (component,) = (task.component for task in workflow.tasks if task.name == name)
    executor = kubeflow.parse(component, text)
    for place in executor.outputs.values():
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        Path(place).write_text(name, encoding="utf-8")
    gate = workflow.gate
    kubeflow.write_output(executor, {gate.output: figures} if component == gate.component else {})
