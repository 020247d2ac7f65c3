"""What a step tells MLflow when it is done, where MLFLOW_TRACKING_URI is set: docs/tracking.md.

Its parameters, curves, figures, digests and report go to one run of MLflow, once, also if the step is tried again. No
step fails because this does: a sentence says so.
"""

import hashlib
import importlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract import artifact
from components.contract.declaration import Component, Metadata, Output, Parameters
from components.contract.terminal import line

if TYPE_CHECKING:
    from components.contract.mlflow import Client

SECONDS = 20  # that a step waits for MLflow, in all
LONGEST = 500  # characters of a parameter's value that every version of MLflow takes
LARGEST_REPORT = 2**25  # bytes
EXPERIMENT = "tapeline"
# Tags by which a run is found again: an artifact that was made in it, a step that has begun it, one that has told all.
MADE, BEGUN, TOLD = "tapeline.made.{}", "tapeline.begun.{}", "tapeline.told.{}"
RUN_ID = "MLFLOW_RUN_ID"


@dataclass(frozen=True)
class Note:
    """What there is to tell of a step, taken from its outputs before they go to their places."""

    component: str
    parameters: Mapping[str, str]
    curves: Mapping[str, list[tuple[int, float]]]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    given: list[str]  # digests of the inputs
    key: str  # a digest of all outputs, by which the same is known again
    reports: Mapping[str, bytes]  # by file name
    begins: bool  # it may begin a run of MLflow's, or else only add to one

    def send(self) -> None:
        """Tell MLflow what there is to tell."""
        from components.contract import mlflow_run  # noqa: PLC0415 - only where it is used

        tell(lambda client: mlflow_run.log(client, self))


def tell(function: Callable[["Client"], None]) -> None:
    """Have MLflow told by `function`, and wait a few seconds at most; what fails is said on standard error."""
    said: list[str] = []
    sender = threading.Thread(target=_call, args=(function, said), daemon=True)
    sender.start()
    sender.join(SECONDS)
    if sender.is_alive():
        said.append(f"MLflow has not taken all that is to be logged within {SECONDS} s")
    if said:
        _warn(said[0])


def _call(function: Callable[["Client"], None], said: list[str]) -> None:
    from components.contract.mlflow import Client, Untracked  # noqa: PLC0415 - only where it is used

    where = ""
    try:
        client = Client()
        where = f" at {client.shown}"
        function(client)
    except Untracked as error:
        said.append(f"MLflow{where} {error}")
    except Exception as error:  # noqa: BLE001 - whatever a server may answer, no step fails for it
        said.append(f"MLflow{where} does not answer as it should ({type(error).__name__})")


def _warn(text: str) -> None:
    whole = f"warning: {text}; the step is done all the same, and its artifacts have everything"
    print(line(whole), file=sys.stderr, flush=True)


def note(
    component: Component,
    parameters: Parameters,
    staged: Mapping[str, Path],
    outputs: Mapping[str, str],
    metadata: Metadata,
) -> Note | None:
    """Return what is to be told of a step whose sealed outputs are `staged`; None where nobody wants to know.

    `outputs` are the places where they are going to be.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    try:
        return _note(component, parameters, staged, outputs, metadata)
    except Exception as error:  # noqa: BLE001 - curves may be a person's own, and no step fails for them
        why = (str(error).splitlines() or [type(error).__name__])[0]
        _warn(f"what MLFLOW_TRACKING_URI asks for cannot be told: {why}")
        return None


def _note(
    component: Component,
    parameters: Parameters,
    staged: Mapping[str, Path],
    outputs: Mapping[str, str],
    metadata: Metadata,
) -> Note:
    inputs = artifact.read(next(iter(staged.values()))).inputs
    made = {name: artifact.digest(folder) for name, folder in staged.items()}
    figures = [item for item in component.outputs if item.kind == "Metrics"]
    told = {name: value for item in figures for name, value in metadata.get(item.name, {}).items()}
    reports = [item for item in component.outputs if item.kind == "HTML" and item.file]
    name = component.name
    tags = {f"{name}.{key}": str(value) for key, value in told.items() if isinstance(value, str)}
    tags |= {f"{name}.input.{key}": digest for key, digest in inputs.items()}
    tags |= {f"{name}.output.{key}": digest for key, digest in made.items()}
    tags |= {f"{name}.place.{item.name}": outputs[item.name] for item in reports}
    tags |= {MADE.format(digest): f"{name}.{key}" for key, digest in made.items()}
    curves = _curves(component, staged)
    scalars = {f"{name}/{key}": float(value) for key, value in told.items() if _finite(value)}
    return Note(
        component=name,
        parameters={key: str(value)[:LONGEST] for key, value in parameters.provenance().items()},
        curves=curves,
        metrics={key: value for key, value in scalars.items() if key not in curves},
        tags=tags,
        given=list(inputs.values()),
        key=hashlib.sha256("\n".join(sorted(made.values())).encode()).hexdigest(),
        reports=dict(_reports(component, reports, staged)),
        begins=bool(figures),
    )


def _curves(component: Component, staged: Mapping[str, Path]) -> dict[str, list[tuple[int, float]]]:
    """Return the curves that a component declares, as steps and finite values, by name."""
    if not component.curves:
        return {}
    module, _, function = component.curves.partition(":")
    found = getattr(importlib.import_module(module), function)(staged)
    return {
        f"{component.name}/{name}": [(int(step), float(value)) for step, value in points if _finite(value)]
        for name, points in found.items()
    }


def _reports(component: Component, items: list[Output], staged: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
    for item in items:
        path = staged[item.name] / item.file
        if path.stat().st_size <= LARGEST_REPORT:
            yield f"{component.name}/{item.file}", path.read_bytes()


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
