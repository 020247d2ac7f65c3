"""Checkpoints: all that a run needs to go on, published as artifacts while it runs.

A checkpoint holds the variables of the network and of the optimizer, the last gradients, the gradient record so far,
and the position.
The order of the images follows from seed and epoch, so it needs no state of its own.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from components.artifacts.record.writer import Recorder
from components.contract import artifact, location
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.train.component import COMPONENT, TrainParameters
from components.train.machine.plan import due

KEPT = 2  # a newer checkpoint is whole before an older one goes


@dataclass
class State:
    """Everything that changes while a run goes on, and where it is saved."""

    parameters: TrainParameters
    dataset: str  # its digest
    network: keras.Model
    optimizer: keras.optimizers.Optimizer
    recorder: Recorder
    gradients: list[tf.Tensor]  # of the last step
    totals: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of loss and accuracy over the epoch's steps
    epochs: list[dict[str, float]] = field(default_factory=list)

    def record(self, step: int, rows: npt.NDArray[np.float32], seen: Mapping[str, npt.NDArray[Any]]) -> None:
        """Record the rows of the steps after `step`, and what is due of what was `seen` in them (if it was)."""
        steps = range(step + 1, step + len(rows) + 1)
        self.recorder.add("steps", steps, rows)
        for kind, values in seen.items():
            if chosen := [i for i in range(len(values)) if kind in due(self.parameters, steps[i])]:
                self.recorder.add(kind, [steps[i] for i in chosen], values[chosen])
        for loss, correct in rows[:, :2].tolist():  # one by one, so that it does not matter how many come at once
            self.totals = [self.totals[0] + loss, self.totals[1] + correct]

    def end_epoch(self, epoch: int, steps: int, loss: float, correct: float) -> None:
        """Note the metrics of an epoch: means over its steps, and loss and accuracy on the validation split."""
        self.epochs.append(
            {
                "epoch": epoch,
                "train_loss": self.totals[0] / steps,
                "train_accuracy": self.totals[1] / steps,
                "validation_loss": loss,
                "validation_accuracy": correct,
            }
        )
        self.totals = [0.0, 0.0]

    def save_if_due(self, step: int) -> None:
        """Publish a checkpoint if `step` is one after which there is to be one, and drop the oldest."""
        place = self.parameters.checkpoints.rstrip("/")
        if not place or step % self.parameters.checkpoint_every:
            return
        target = f"{place}/step-{step:08}"
        with location.staging(target) as folder:
            state = {name: np.asarray(variable.numpy()) for name, variable in self._variables()}
            save_file(state, folder / "state.safetensors")
            save_file(self.recorder.tensors(), folder / "pending.safetensors")
            last = {str(index): gradient.numpy() for index, gradient in enumerate(self.gradients)}
            save_file(last, folder / "gradients.safetensors")
            shutil.copytree(self.recorder.folder, folder / "record")
            position = {"step": step, "totals": self.totals, "epochs": self.epochs}
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
        for name in location.children(place)[:-KEPT]:
            location.remove(f"{place}/{name}")

    def resume(self, checkpoint: Path | None) -> int:
        """Go on from `checkpoint`, else from the newest one published; return the step reached, 0 for a new run."""
        place = self.parameters.checkpoints.rstrip("/")
        if checkpoint is not None:
            return self._restore(checkpoint, "checkpoint")
        if place and (names := location.children(place)):
            newest = f"{place}/{names[-1]}"
            with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
                return self._restore(location.fetch(newest, Path(scratch)), newest)
        return 0

    def _restore(self, folder: Path, where: str) -> int:
        self._check(artifact.read(folder), where)
        state = load_file(folder / "state.safetensors")
        for name, variable in self._variables():
            variable.assign(state[name])
        self.recorder.restore(load_file(folder / "pending.safetensors"))
        last = load_file(folder / "gradients.safetensors")
        self.gradients = [tf.constant(last[str(index)]) for index in range(len(last))]
        shutil.copytree(folder / "record", self.recorder.folder, dirs_exist_ok=True)
        position: dict[str, Any] = json.loads((folder / "position.json").read_text(encoding="utf-8"))
        self.totals, self.epochs = position["totals"], position["epochs"]
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

    def _variables(self) -> list[tuple[str, Any]]:
        """Return the variables of network and optimizer, each with a name of its own."""
        network = [(f"network/{i}/{variable.path}", variable) for i, variable in enumerate(self.network.variables)]
        return network + [
            (f"optimizer/{i}/{variable.path}", variable) for i, variable in enumerate(self.optimizer.variables)
        ]
