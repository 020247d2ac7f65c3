"""Checkpoints: all that a run needs to go on, published as artifacts while it runs.

A checkpoint holds every variable (of the network, the optimizer, the transformation, and what a person's file keeps),
the last gradients, the gradient record so far, and the position. The order of the images follows from seed and epoch,
and so do the random numbers of a way or a transformation, so they need no state of their own.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from components.contract import artifact, location
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.train.component import COMPONENT, TrainParameters
from components.train.machine.state import State

KEPT = 2  # a newer checkpoint is whole before an older one goes


@dataclass(frozen=True)
class Checkpoints:
    """Where the checkpoints of a run are."""

    parameters: TrainParameters
    dataset: str  # its digest

    @property
    def place(self) -> str:
        """The folder or s3:// prefix; empty for none."""
        return self.parameters.checkpoints.rstrip("/")

    def save_if_due(self, state: State, step: int) -> None:
        """Publish a checkpoint if `step` is one after which there is to be one, and drop the oldest."""
        if not self.place or step % self.parameters.checkpoint_every:
            return
        target = f"{self.place}/step-{step:08}"
        with location.staging(target) as folder:
            save_file({name: np.asarray(each.numpy()) for name, each in state.variables().items()},
                      folder / "state.safetensors")  # fmt: skip
            save_file(state.recorder.tensors(), folder / "pending.safetensors")
            last = {str(index): np.asarray(gradient.numpy()) for index, gradient in enumerate(state.gradients)}
            save_file(last, folder / "gradients.safetensors")
            shutil.copytree(state.recorder.folder, folder / "record")
            position = {"step": step, "totals": state.totals, "epochs": state.epochs}
            (folder / "position.json").write_bytes(canonical_json(position))
            artifact.seal(
                folder,
                component=COMPONENT.name,
                output="checkpoint",
                parameters=self.parameters.provenance(),
                inputs={"dataset": self.dataset},
                packages=COMPONENT.packages,
                metadata={"step": step},
            )
            location.publish(folder, target)
        for name in location.children(self.place)[:-KEPT]:
            location.remove(f"{self.place}/{name}")

    def resume(self, state: State, checkpoint: Path | None) -> int:
        """Go on from `checkpoint`, else from the newest one published; return the step reached, 0 for a new run."""
        if checkpoint is not None:
            return self._restore(state, checkpoint, "checkpoint")
        if self.place and (names := location.children(self.place)):
            newest = f"{self.place}/{names[-1]}"
            with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
                return self._restore(state, location.fetch(newest, Path(scratch)), newest)
        return 0

    def _restore(self, state: State, folder: Path, where: str) -> int:
        self._check(artifact.read(folder), where)
        kept, variables = load_file(folder / "state.safetensors"), state.variables()
        if other := sorted(kept.keys() ^ variables.keys()) or sorted(
            name for name, each in variables.items() if kept[name].shape != tuple(each.shape)
        ):
            raise BadInput(
                f"{where} has other variables than the model has now, among them {other[0]}: a file has changed since; "
                "give an empty place for checkpoints"
            )
        for name, variable in variables.items():
            variable.assign(kept[name])
        state.recorder.restore(load_file(folder / "pending.safetensors"))
        last = load_file(folder / "gradients.safetensors")
        state.gradients = [tf.constant(last[str(index)]) for index in range(len(last))]
        shutil.copytree(folder / "record", state.recorder.folder, dirs_exist_ok=True)
        position: dict[str, Any] = json.loads((folder / "position.json").read_text(encoding="utf-8"))
        state.totals, state.epochs = position["totals"], position["epochs"]
        print(f"going on from step {position['step']} ({where})")
        return int(position["step"])

    def _check(self, manifest: artifact.Manifest, where: str) -> None:
        """Raise `BadInput` unless the checkpoint is of this very run: only then are the bytes the same in the end."""
        if manifest.output != "checkpoint":
            raise BadInput(f"{where} is not a checkpoint, but the output {manifest.output} of {manifest.component}")
        if manifest.inputs.get("dataset") != self.dataset:
            raise BadInput(f"{where} is of a run on another dataset; give an empty place for checkpoints")
        ours, theirs = self.parameters.provenance(), manifest.parameters
        if wrong := [
            f"{name} {theirs.get(name)} there, {ours[name]} here" for name in ours if ours[name] != theirs.get(name)
        ]:
            raise BadInput(f"{where} is of another run: {'; '.join(wrong)}; give an empty place for checkpoints")
