"""Kubeflow's side of the contract: read the executor input, write the executor output.

The shapes are those of `ExecutorInput` and `ExecutorOutput` in kubeflow/pipelines, api/v2alpha1/pipeline_spec.proto.
Kubeflow's launcher moves the files, so every artifact is a local path here. Its parser of the output is strict: an
unknown key, a NaN or a null fails the task there.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.contract import outside
from components.contract.declaration import Component, Metadata, Output
from components.contract.errors import BadInput

# A form with a field for every parameter is one in which nobody finds any, so most come together in this one.
OTHERS = "unlisted_parameters"

ANOTHER = "--executor-input is not an executor input of Kubeflow Pipelines v2"
# Where the launcher mounts each kind of store.
_MOUNTS = {"minio://": "/minio/", "s3://": "/s3/", "gs://": "/gcs/"}


@dataclass(frozen=True)
class Executor:
    """One executor input, with what concerns this component taken out of it."""

    parameters: dict[str, Any]
    inputs: dict[str, str]
    outputs: dict[str, str]
    output_file: Path
    uris: dict[str, str]
    names: dict[str, str]  # what Kubeflow calls each output
    # The files of output parameters, each a figure that the work hands back by that name.
    figures: dict[str, Path] = field(default_factory=dict)


def parse(component: Component, text: str) -> Executor:
    """Read an executor input, given as JSON or as `@file`; raise `BadInput` if it lacks what the component needs.

    An output goes by its own name or, where other steps have one of that name, by the component's and its own.
    """
    given = document(text)
    try:
        found = {name: _first(value) for name, value in given.get("inputs", {}).get("artifacts", {}).items()}
        made = {name: _first(value) for name, value in given["outputs"].get("artifacts", {}).items()}
        names = {
            item.name: next((name for name in names_of(component, item) if name in made), item.name)
            for item in component.outputs
        }
        return Executor(
            parameters={
                name: value for name, value in values(given).items() if name in component.parameters.model_fields
            },
            inputs={item.name: path_of(found[item.name]) for item in component.inputs if found.get(item.name)},
            outputs={name: path_of(made[known]) for name, known in names.items()},
            output_file=Path(_text(given["outputs"]["outputFile"])),
            uris={name: _text(made[known]["uri"]) for name, known in names.items()},
            names=names,
            figures={
                name: Path(_text(each["outputFile"])) for name, each in given["outputs"].get("parameters", {}).items()
            },
        )
    except KeyError as error:
        raise BadInput(f"--executor-input has no {error.args[0]!r}, which {component.name} needs") from None
    except (AttributeError, TypeError, IndexError, ValueError):
        raise BadInput(ANOTHER) from None


def names_of(component: Component, item: Output) -> tuple[str, str]:
    """Return the names that an output may have in Kubeflow: its own, and one that no other step's output has."""
    return item.name, f"{component.name}_{item.name}"


def document(text: str) -> dict[str, Any]:
    """Read an executor input, given as JSON or as `@file`; raise `BadInput` for what is none."""
    if text.startswith("@"):
        try:
            with Path(text[1:]).open("rb") as file:  # which may be a pipe here: the shell's <(…)
                found: bytes | str = outside.exactly(file, outside.LARGEST + 1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise BadInput(f"--executor-input: cannot read {text[1:]}: {why}") from None
        if len(found) > outside.LARGEST:
            raise BadInput(f"--executor-input: {text[1:]} has more than the {outside.LARGEST:,} bytes that are read")
    else:
        found = text
    given = outside.document(found, "--executor-input")
    if not isinstance(given, dict):
        raise BadInput(ANOTHER)
    return given


def values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters in an executor input, with those that came together each by its own name.

    Kubeflow adds some of its own (accelerator_count, pipelinechannel--…), a few of them unresolved.
    """
    inputs = given.get("inputs", {})
    parameters = whole(inputs.get("parameterValues", {})) if isinstance(inputs, dict) else None
    if not isinstance(parameters, dict):
        raise BadInput(ANOTHER)
    others = parameters.pop(OTHERS, {})
    if not isinstance(others, dict):
        raise BadInput(f"{OTHERS}: expected an object of JSON, with a value for each name, not {str(others)[:40]!r}")
    return parameters | others


def write_output(executor: Executor, metadata: Metadata) -> None:
    """Write the executor output: the metadata of each artifact, for the UI. It appears whole or not at all.

    An output parameter is the figure of that name in the metadata of an artifact. The backend takes it from the output,
    other runners from a file of its own. Raises `RuntimeError` where the work handed none back.
    """
    artifacts = {
        executor.names[name]: {"artifacts": [{"name": name, "uri": uri, "metadata": _plain(metadata.get(name, {}))}]}
        for name, uri in executor.uris.items()
    }
    known = {key: value for each in metadata.values() for key, value in each.items() if not _refused(value)}
    if missing := executor.figures.keys() - known.keys():
        raise RuntimeError(f"{', '.join(sorted(missing))}: no output has a figure of that name")
    values = {name: known[name] for name in executor.figures}
    for name, path in executor.figures.items():
        _write(path, values[name] if isinstance(values[name], str) else json.dumps(values[name]))
    write(executor.output_file, {"artifacts": artifacts} | ({"parameterValues": values} if values else {}))


def write(path: Path, value: Any) -> None:
    """Write a JSON file; it appears whole or not at all."""
    _write(path, json.dumps(value, allow_nan=False))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.partial")
    staged.write_text(text, encoding="utf-8")
    staged.replace(path)


def _first(value: Mapping[str, Any]) -> dict[str, Any]:
    artifacts = value.get("artifacts") or []
    return dict(artifacts[0]) if artifacts else {}


def path_of(artifact: Mapping[str, Any]) -> str:
    """Return where an artifact of an executor input is, or is to be, on this machine."""
    if custom := artifact.get("customPath") or artifact.get("custom_path"):
        return _text(custom)
    uri = _text(artifact["uri"])
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return mount + uri.removeprefix(scheme)
    return uri


def in_store(path: str) -> str:
    """Return where in an S3 store Kubeflow's launcher has what is at a path from; empty if from no such store."""
    for scheme, mount in _MOUNTS.items():
        if path.startswith(mount) and scheme in ("minio://", "s3://"):
            return "s3://" + path.removeprefix(mount)
    return ""


def _text(value: Any) -> str:
    """Return what is to be a path or an address; raise `TypeError` for what can be neither."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError(f"{value!r} is no path")
    return value


def whole(value: Any) -> Any:
    """Return 3 for 3.0, also inside an object: the backend keeps every number as a double."""
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: Any) -> Any:
    """Return `value` without what the backend's parser refuses: null and non-finite numbers are left out."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if not _refused(item)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if not _refused(item)]
    return value


def _refused(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
