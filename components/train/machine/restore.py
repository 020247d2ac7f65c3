"""Read a checkpoint whole, see that it fits, and only then take it over; what does not fit is `BadInput`."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load_file

from components.artifacts.record.writer import BLOCK
from components.contract import artifact, location
from components.contract.artifact import Manifest
from components.contract.errors import BadInput
from components.train.machine.state import State

RECORD = "record"  # the folder of the parts, beside the checkpoints
EPOCHS = "epochs.json"
FILES = ("gradients.safetensors", "pending.safetensors", "position.json", "state.safetensors")

Tensors = dict[str, npt.NDArray[Any]]
Epochs = list[dict[str, int | float | None]]


class Part(BaseModel):
    """Where a part of the record is, by the step up to which it goes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^\d{8,}-\d{8,}-[0-9a-f]{8}$")
    digest: str
    step: int


class Position(BaseModel):
    """How far a run has come, beside its tensors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: int = Field(gt=0)
    totals: list[float]
    epochs: Epochs  # those that no part tells of
    part: Part | None
    record: str  # where the parts are


@dataclass(frozen=True)
class Found:
    """A checkpoint that was read."""

    position: Position
    variables: Tensors
    pending: Tensors
    gradients: Tensors
    parts: list[tuple[Path, Manifest]]  # of the record, the first one first
    told: Epochs  # by the parts

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of the record, each by its name below the folder of a record."""
        for folder, manifest in self.parts:
            yield from ((name, folder / name) for name in manifest.files if name != EPOCHS)


def restore(state: State, folder: Path, where: str, record: str, origin: Mapping[str, Any]) -> Found:
    """Have `state` go on from the checkpoint in `folder`, which messages call `where`.

    `record` is where the parts of the record are; empty for where the checkpoint says. `origin` is what manifests must
    say of parameters and inputs. Raises `BadInput`, and leaves the state as it was, if anything is not as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        found = _read(folder, where, record, Path(scratch), origin)
        with _readable(where):
            _fit(found, state, where)
            state.recorder.restore(found.pending)
        for name, path in found.files():
            state.recorder.adopt(name, path)
    for name, variable in state.variables().items():
        variable.assign(found.variables[name])
    state.gradients = [tf.constant(found.gradients[str(index)]) for index in range(len(found.gradients))]
    state.totals, state.epochs = list(found.position.totals), [*found.told, *found.position.epochs]
    return found


def _read(folder: Path, where: str, record: str, scratch: Path, origin: Mapping[str, Any]) -> Found:
    manifest = artifact.read(folder)
    _check(manifest, where, origin)
    with _readable(where):
        position = Position.model_validate(json.loads((folder / "position.json").read_bytes()))
        variables, pending, gradients = (
            load_file(folder / f"{name}.safetensors") for name in ("state", "pending", "gradients")
        )
    if manifest.metadata != {"step": position.step}:
        raise BadInput(f"{where} says two things of its step: {manifest.metadata} and {position.step}")
    parts, told = _record(record or position.record, position.part, scratch)
    return Found(position, variables, pending, gradients, parts, told)


def _record(where: str, last: Part | None, scratch: Path) -> tuple[list[tuple[Path, Manifest]], Epochs]:
    """Return the parts of the record, from the first one to the `last`, and what they tell of epochs."""
    parts: list[tuple[Path, Manifest]] = []
    epochs: Epochs = []
    while last:
        folder = location.fetch(f"{where}/{last.name}", scratch / last.name)
        if artifact.digest(folder) != last.digest:
            raise BadInput(f"{where}/{last.name} is another part of a record than the one that is asked for")
        manifest = artifact.read(folder)
        with _readable(f"{where}/{last.name}"):
            epochs = json.loads((folder / EPOCHS).read_bytes()) + epochs
            before = manifest.metadata["before"]
            last = Part.model_validate(before) if before else None
        parts.insert(0, (folder, manifest))
    return parts, epochs


def _check(manifest: Manifest, where: str, origin: Mapping[str, Any]) -> None:
    """Raise `BadInput` unless the checkpoint is of this very run: only then are the bytes the same in the end."""
    if manifest.output != "checkpoint":
        raise BadInput(f"{where} is not a checkpoint, but the output {manifest.output} of {manifest.component}")
    if manifest.inputs != origin["inputs"]:
        raise BadInput(f"{where} is of a run on another dataset; give a checkpoint of this one")
    ours, theirs = origin["parameters"], manifest.parameters
    if wrong := [
        f"{name} {theirs.get(name)} there, {ours.get(name)} here"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]:
        raise BadInput(f"{where} is of another run: {'; '.join(wrong)}; give a checkpoint of this one")
    if other := sorted(manifest.files.keys() ^ set(FILES)):
        raise BadInput(f"{where} is not as this version writes checkpoints: {other[0]} is there alone, or missing")


def _fit(found: Found, state: State, where: str) -> None:
    """Raise `BadInput` unless the tensors are those of this run's variables, after the step that it says."""
    variables = {name: _kind(each.shape, each.dtype) for name, each in state.variables().items()}
    kept = {name: _kind(each.shape, each.dtype) for name, each in found.variables.items()}
    if other := sorted(name for name in variables.keys() | kept.keys() if variables.get(name) != kept.get(name)):
        raise BadInput(
            f"{where} has other variables than the model has now, among them {other[0]}: a file has changed since"
        )
    gradients = {str(index): _kind(each.shape, each.dtype) for index, each in enumerate(state.gradients)}
    if gradients != {name: _kind(each.shape, each.dtype) for name, each in found.gradients.items()}:
        raise BadInput(f"{where} has other gradients than the model has variables: a file has changed since")
    step, iterations = found.position.step, state.training.optimizer.iterations
    taken = next(found.variables[name] for name, each in state.variables().items() if each is iterations)
    recorded = [int(Path(name).stem) for name, _ in found.files() if name.startswith("steps/")]
    pending = found.pending["steps/at"].tolist()
    whole = step - step % BLOCK
    if (int(taken), recorded, pending) != (step, [*range(1, whole + 1, BLOCK)], [*range(whole + 1, step + 1)]):
        raise BadInput(f"{where} is of step {step}, but what it holds of optimizer or record is of other ones")


def _kind(shape: Any, dtype: Any) -> tuple[tuple[int, ...], str]:
    return tuple(shape), dtype.name if isinstance(dtype, np.dtype) else tf.as_dtype(dtype).name


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """Say of whatever cannot be read, or is of another shape, where it is."""
    try:
        yield
    except (SafetensorError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise BadInput(f"{where} is damaged: {str(error).splitlines()[0]}") from None
