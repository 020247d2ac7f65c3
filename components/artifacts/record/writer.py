"""Write the gradient record: what the tape saw, step by step, readable without TensorFlow.

`record.json`                    the variables, the columns, the statistics, the settings, the metrics of the epochs
`steps/00000001.safetensors`     `step` int64 [n], `values` float32 [n, columns]: every step
`stats/00000001.safetensors`     `step` int64 [n], `values` float32 [n, variables, statistics]: at some steps
`hist/00000001.safetensors`      `step` int64 [n], `values` int32 [n, variables, bins]: at some steps
`snapshots/00000001.safetensors` the whole gradients at one step, a tensor a variable
`sheet.safetensors`              `given` and `augmented`, uint8 [n, height, width] or [n, height, width, 3]: some images
                                 of the first step; only where images are augmented

The first three kinds have a file for each BLOCK of steps, named after the first one. Gradients are those after the
transformation and before clipping, without the loss scale. Names and meanings: components/artifacts/record/columns.py.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from components.artifacts.record.columns import BINS, GLOBAL_NORM, OBJECTIVE, SCALARS, STATISTICS
from components.contract.artifact import canonical_json

# Memory is bounded by this many steps' rows: for V variables, at most BLOCK × (2 kB + 120 B) × V.
BLOCK = 500

Array = npt.NDArray[Any]


class Recorder:
    """Writes the record into a folder; holds at most one block of it in memory."""

    def __init__(
        self, folder: Path, variables: Sequence[Mapping[str, Any]], level: str, *, objective: bool = False
    ) -> None:
        self.folder = folder
        self.variables = list(variables)
        self.level = level
        self.columns = [*SCALARS, *([OBJECTIVE] if objective else [])]
        if level != "off":
            self.columns += [GLOBAL_NORM, *(variable["name"] for variable in variables)]
        count = len(self.variables)
        empty: dict[str, Array] = {
            "steps": np.empty((0, len(self.columns)), np.float32),
            "stats": np.empty((0, count, len(STATISTICS)), np.float32),
            "hist": np.empty((0, count, BINS), np.int32),
        }
        self._rows = {kind: [rows] for kind, rows in empty.items()}  # that are pending, the empty ones first
        self._at: dict[str, list[int]] = {kind: [] for kind in empty}  # the step of each
        self._files: set[str] = set()
        for name in (*empty, "snapshots"):
            (folder / name).mkdir(exist_ok=True)

    def add(self, kind: str, steps: Sequence[int], rows: Array) -> None:
        """Add the rows of some steps, which must be of one block, to what is pending of their kind."""
        if self._at[kind] and _block(self._at[kind][0]) != _block(steps[0]):
            self._write(kind)
        self._at[kind] += steps
        self._rows[kind].append(rows)

    def snapshot(self, step: int, gradients: Sequence[Array]) -> None:
        """Keep the whole gradients of a step."""
        tensors = {variable["name"]: gradient for variable, gradient in zip(self.variables, gradients, strict=True)}
        self._save(f"snapshots/{step:08}.safetensors", tensors)

    def sheet(self, given: Array, augmented: Array) -> None:
        """Keep some images, as they are and as they were learned from."""
        self._save("sheet.safetensors", {"given": given, "augmented": augmented})

    def settle(self, step: int) -> None:
        """Write the blocks that are over after `step`; else the first row of a later one does."""
        for kind, at in self._at.items():
            if at and (_block(at[0]) + 1) * BLOCK <= step:
                self._write(kind)

    def files(self) -> list[str]:
        """Return the files written so far, below the folder; none of them changes any more."""
        return sorted(self._files)

    def adopt(self, name: str, path: Path) -> None:
        """Take over a file that was written before an interruption, by its name below the folder."""
        shutil.copyfile(path, self.folder / name)
        self._files.add(name)

    def finish(self, settings: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> None:
        """Write what is pending, and what describes the rest; `settings` are those of the run."""
        for kind in self._at:
            self._write(kind)
        document = {
            "schema_version": 2,
            "level": self.level,
            "columns": self.columns,
            "statistics": list(STATISTICS),
            "variables": self.variables,
            "settings": dict(settings),
            "epochs": list(epochs),
        }
        (self.folder / "record.json").write_bytes(canonical_json(document))

    def tensors(self) -> dict[str, Array]:
        """Return what is pending, for a checkpoint."""
        rows = {f"{kind}/rows": np.concatenate(rows) for kind, rows in self._rows.items()}
        return rows | {f"{kind}/at": np.array(at, np.int64) for kind, at in self._at.items()}

    def restore(self, tensors: Mapping[str, Array]) -> None:
        """Take over what was pending at a checkpoint; raise `ValueError` if it is not of such a record."""
        wanted = self.tensors()
        if tensors.keys() != wanted.keys():
            raise ValueError(f"tensors {', '.join(sorted(tensors))}, expected {', '.join(sorted(wanted))}")
        for name, like in wanted.items():
            found, at = tensors[name], tensors[f"{name.partition('/')[0]}/at"]
            if found.dtype != like.dtype or found.shape != (len(at), *like.shape[1:]):
                raise ValueError(
                    f"{name} is {found.dtype} {found.shape}, expected {like.dtype} rows of {like.shape[1:]}"
                )
        for kind in self._at:
            self._rows[kind] = [self._rows[kind][0], tensors[f"{kind}/rows"]]
            self._at[kind] = tensors[f"{kind}/at"].tolist()

    def _write(self, kind: str) -> None:
        at, rows = self._at[kind], self._rows[kind]
        if at:
            name = f"{kind}/{_block(at[0]) * BLOCK + 1:08}.safetensors"
            self._save(name, {"step": np.array(at, np.int64), "values": np.concatenate(rows)})
        self._at[kind], self._rows[kind] = [], rows[:1]

    def _save(self, name: str, tensors: Mapping[str, Array]) -> None:
        save_file(dict(tensors), self.folder / name)
        self._files.add(name)


def _block(step: int) -> int:
    return (int(step) - 1) // BLOCK
