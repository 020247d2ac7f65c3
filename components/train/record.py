"""The gradient record: what the tape saw, step by step, readable without TensorFlow.

`record.json`                    the variables (name, shape), the columns, steps per epoch, the epochs' metrics
`steps/000001.safetensors`       one file an epoch: `step` int64 [n], `values` float32 [n, columns]
`snapshots/00000001.safetensors` the whole gradients at one step, a tensor a variable (after the rule, before clipping)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from components.step.artifact import canonical_json

# The columns that every step has; the norm of each variable's gradient follows unless nothing is kept.
SCALARS = ("loss", "accuracy", "learning_rate")
GLOBAL_NORM = "global_norm"

SNAPSHOT_GROWTH = 4  # whole gradients at steps 1, 4, 16, 64, …


class Recorder:
    """Writes the record into a folder; holds at most one epoch of rows in memory."""

    def __init__(self, folder: Path, variables: Sequence[tuple[str, tuple[int, ...]]], level: str) -> None:
        self.folder = folder
        self.variables = list(variables)
        self.level = level
        self.columns = list(SCALARS)
        if level != "off":
            self.columns += [GLOBAL_NORM, *(name for name, _ in variables)]
        self.rows = np.empty((0, len(self.columns)), np.float32)  # of the epoch under way
        for name in ("steps", "snapshots"):
            (folder / name).mkdir(exist_ok=True)

    def add(self, rows: npt.NDArray[np.float32]) -> None:
        """Add one row for each step, float32 [n, columns]."""
        self.rows = np.concatenate([self.rows, rows])

    def snapshot(self, step: int, gradients: Sequence[npt.NDArray[np.float32]]) -> None:
        """Keep the whole gradients of a step."""
        tensors = {name: gradient for (name, _), gradient in zip(self.variables, gradients, strict=True)}
        save_file(tensors, self.folder / "snapshots" / f"{step:08}.safetensors")

    def end_epoch(self, epoch: int, last_step: int) -> None:
        """Write the rows of the epoch and begin the next."""
        steps = np.arange(last_step - len(self.rows) + 1, last_step + 1, dtype=np.int64)
        save_file({"step": steps, "values": self.rows}, self.folder / "steps" / f"{epoch:06}.safetensors")
        self.rows = self.rows[:0]

    def finish(self, steps_per_epoch: int, epochs: Sequence[Mapping[str, Any]]) -> None:
        """Write what describes the rest."""
        document = {
            "schema_version": 1,
            "level": self.level,
            "columns": self.columns,
            "variables": [{"name": name, "shape": list(shape)} for name, shape in self.variables],
            "steps_per_epoch": steps_per_epoch,
            "epochs": list(epochs),
        }
        (self.folder / "record.json").write_bytes(canonical_json(document))


def is_snapshot(step: int, level: str, every: int) -> bool:
    """Tell whether the whole gradients of `step`, counted from 1, are kept."""
    if level != "full":
        return False
    if every and step % every == 0:
        return True
    while step % SNAPSHOT_GROWTH == 0:
        step //= SNAPSHOT_GROWTH
    return step == 1
