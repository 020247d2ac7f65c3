"""Read the gradient record that `train` writes, without TensorFlow. Its layout: components/train/record.py."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from components.step.errors import BadInput


@dataclass(frozen=True)
class Record:
    """The rows of all steps, and what describes them."""

    folder: Path
    steps: npt.NDArray[np.int64]  # [n], from 1
    values: npt.NDArray[np.float32]  # [n, columns]
    columns: list[str]  # loss, accuracy, learning_rate, and the norms: global_norm and one for each variable
    variables: list[str]
    level: str
    steps_per_epoch: int
    epochs: list[dict[str, Any]]

    def column(self, name: str) -> npt.NDArray[np.float32]:
        """Return the values of one column, float32 [n]."""
        return self.values[:, self.columns.index(name)]

    def epoch_of(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the epoch, from 1, of each step."""
        return (steps - 1) // self.steps_per_epoch + 1

    def snapshots(self) -> list[Path]:
        """Return the files with whole gradients, in the order of their steps."""
        return sorted((self.folder / "snapshots").glob("*.safetensors"))


def read(folder: Path) -> Record:
    """Read the record in `folder`; raise `BadInput` if it is of another schema or its parts do not agree."""
    try:
        document = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{folder} is not a gradient record: it has no record.json") from None
    if (version := document.get("schema_version")) != 1:
        raise BadInput(f"{folder} is a gradient record of schema version {version}, expected 1")
    parts = [load_file(path) for path in sorted((folder / "steps").glob("*.safetensors"))]
    steps = np.concatenate([part["step"] for part in parts])
    values = np.concatenate([part["values"] for part in parts])
    if values.shape != (len(steps), len(document["columns"])) or not (np.diff(steps) == 1).all():
        raise BadInput(f"{folder}: the rows do not agree with record.json: {values.shape} of {len(steps)} steps")
    return Record(
        folder=folder,
        steps=steps,
        values=values,
        columns=document["columns"],
        variables=[variable["name"] for variable in document["variables"]],
        level=document["level"],
        steps_per_epoch=document["steps_per_epoch"],
        epochs=document["epochs"],
    )
