"""Run one step: fetch its inputs, do its work in a staging place, seal and publish its outputs."""

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.step import artifact, kubeflow, location
from components.step.declaration import Component, Metadata, Output, Parameters
from components.step.errors import BadInput


def run(component: Component, parameters: Parameters, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Run `component` with artifacts at the given locations; every output appears whole, or none does.

    Raises `BadInput` for an input or output that was not given or is not fit, and whatever the work raises.
    """
    _require("input", [item.name for item in component.inputs if not item.optional], inputs)
    _require("output", [item.name for item in component.outputs], outputs)
    with _scratch() as scratch, contextlib.ExitStack() as stack:
        paths = {name: location.fetch(place, scratch / name) for name, place in inputs.items()}
        staged = {item.name: stack.enter_context(location.staging(outputs[item.name])) for item in component.outputs}
        metadata = _work(component, parameters, paths, staged)
        _seal(component, parameters, paths, staged, metadata)
        for name, folder in staged.items():
            location.publish(folder, outputs[name])


def run_for_kubeflow(component: Component, executor_input: str) -> None:
    """Run `component` as Kubeflow's launcher calls it: local paths, and an executor output file at the end."""
    executor = kubeflow.parse(component, executor_input)
    parameters = component.parameters.checked(executor.parameters)
    _require("input", [item.name for item in component.inputs if not item.optional], executor.inputs)
    with contextlib.ExitStack() as stack:
        paths = {name: location.fetch(place, Path(place)) for name, place in executor.inputs.items()}
        staged = {
            item.name: stack.enter_context(location.staging(executor.outputs[item.name])) for item in component.outputs
        }
        metadata = _work(component, parameters, paths, staged)
        _seal(component, parameters, paths, staged, metadata)
        for item in component.outputs:
            # Kubeflow's UI shows HTML from a single file, so there the file itself is the artifact.
            if item.file:
                location.place(staged[item.name] / item.file, Path(executor.outputs[item.name]))
            else:
                location.publish(staged[item.name], executor.outputs[item.name])
        kubeflow.write_output(executor, metadata)


def _work(
    component: Component, parameters: Parameters, inputs: Mapping[str, Path], staged: Mapping[str, Path]
) -> dict[str, Mapping[str, Any]]:
    paths: dict[str, Path | None] = {item.name: inputs.get(item.name) for item in component.inputs}
    paths |= {item.name: _target(item, staged[item.name]) for item in component.outputs}
    metadata: Metadata | None = component.load_work()(parameters, **paths)
    return dict(metadata or {})


def _seal(
    component: Component,
    parameters: Parameters,
    inputs: Mapping[str, Path],
    staged: Mapping[str, Path],
    metadata: Metadata,
) -> None:
    digests = {
        item.name: artifact.digest(inputs[item.name])
        for item in component.inputs
        if item.name in inputs and not item.operational
    }
    for item in component.outputs:
        if item.file and not (staged[item.name] / item.file).is_file():
            raise RuntimeError(f"{component.name} did not write {item.file} of its output {item.name}")
        artifact.seal(
            staged[item.name],
            component=component.name,
            output=item.name,
            parameters=parameters.provenance(),
            inputs=digests,
            packages=component.packages,
            metadata=metadata.get(item.name),
        )


def _target(item: Output, folder: Path) -> Path:
    return folder / item.file if item.file else folder


def _require(what: str, names: list[str], given: Mapping[str, str]) -> None:
    if missing := [f"--{name.replace('_', '-')}" for name in names if not given.get(name)]:
        raise BadInput(f"missing {what}: {', '.join(missing)} (a path or an s3://bucket/prefix)")


@contextlib.contextmanager
def _scratch() -> Any:
    folder = Path(tempfile.mkdtemp(prefix="tapeline-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
