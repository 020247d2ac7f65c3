"""The data set that ingest makes: its files, how they are written, and how they are read.

    SPLIT-images.npy   uint8 [n, height, width]; SPLIT is one of train, validation, test
    SPLIT-labels.npy   uint8 [n]
    statistics.json    what is in it, in numbers

Its metadata: `image_shape`, `classes`, `class_names`, `splits` (images of each), `source_sha256`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import artifact
from components.contract.artifact import canonical_json

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # images [n, height, width], labels [n]


def write(folder: Path, splits: Mapping[str, Arrays], statistics: Mapping[str, Any]) -> None:
    """Write the splits and what is said of them into `folder`."""
    for split, arrays in splits.items():
        for path, array in zip(_paths(folder, split), arrays, strict=True):
            np.save(path, array, allow_pickle=False)
    (folder / "statistics.json").write_bytes(canonical_json(statistics))


def read(folder: Path, split: str) -> Arrays:
    """Return images and labels of a split: `train`, `validation` or `test`."""
    images, labels = (np.load(path, allow_pickle=False) for path in _paths(folder, split))
    return images, labels


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes, in the order of the labels."""
    return list(artifact.read(folder).metadata["class_names"])


def _paths(folder: Path, split: str) -> tuple[Path, Path]:
    return folder / f"{split}-images.npy", folder / f"{split}-labels.npy"
