"""Everything that changes while a run goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.artifacts.record.columns import OBJECTIVE
from components.artifacts.record.writer import Recorder
from components.contract.artifact import number
from components.train.machine.plan import Plan
from components.train.tape import Training

Floats = npt.NDArray[np.float32]


@dataclass
class State:
    """A run on its way: the variables are in `training` and `own`, the rest is here."""

    training: Training
    recorder: Recorder
    gradients: list[tf.Tensor]  # of the last step
    own: list[tf.Variable] = field(default_factory=list)  # what a person's file keeps in variables of its own
    totals: list[float] = field(default_factory=list)  # of loss, accuracy (and objective) over the epoch's steps
    epochs: list[dict[str, float | None]] = field(default_factory=list)  # None for what is no number

    def record(self, step: int, rows: Floats, seen: Mapping[str, npt.NDArray[Any]], plan: Plan) -> None:
        """Record the rows of the steps after `step`, and what is due of what was `seen` in them (if it was)."""
        steps = range(step + 1, step + len(rows) + 1)
        self.recorder.add("steps", steps, rows)
        for kind, values in seen.items():
            if chosen := [i for i in range(len(values)) if plan.kept[kind][steps[i]]]:
                self.recorder.add(kind, [steps[i] for i in chosen], values[chosen])
        for row in self.summed(rows).tolist():  # one by one, so that it does not matter how many come at once
            self.totals = [total + value for total, value in zip(self.totals or [0.0] * len(row), row, strict=True)]

    def summed(self, rows: Floats) -> Floats:
        """Return the columns whose means over an epoch are published."""
        return rows[:, [0, 1, *([self.recorder.columns.index(OBJECTIVE)] if self.training.apart else [])]]

    def end_epoch(self, epoch: int, steps: int, loss: float, correct: float) -> dict[str, float]:
        """Note the metrics of an epoch: means over its steps, and loss and accuracy on the validation split."""
        names = ("train_loss", "train_accuracy", "train_objective")
        metrics = {"epoch": epoch} | {name: total / steps for name, total in zip(names, self.totals, strict=False)}
        metrics |= {"validation_loss": loss, "validation_accuracy": correct}
        self.epochs.append({name: number(value) for name, value in metrics.items()})
        self.totals = []
        return metrics

    def variables(self) -> dict[str, Any]:
        """Return every variable of the run, each by a name of its own."""
        training = self.training
        groups = {"network": training.network.variables, "optimizer": training.optimizer.variables}
        named = {f"{group}/{i}/{each.path}": each for group, all_ in groups.items() for i, each in enumerate(all_)}
        named |= {f"transform/{i}": each for i, each in enumerate(tf.nest.flatten(training.transform.state))}
        return named | {f"own/{i}": each for i, each in enumerate(self.own)}
