"""The arrays of a data set, to be changed: `train-images`, `train-labels`, and so on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import dataset as datasets
from components.contract import artifact

Arrays = dict[str, Any]


def read(dataset: Path) -> Arrays:
    """Return the images and labels of all splits that there are."""
    arrays: Arrays = {}
    for split in datasets.SPLITS:
        if (dataset / f"{split}-labels.npy").is_file():
            found = datasets.read(dataset, split)
            arrays |= {f"{split}-images": found.images[:], f"{split}-labels": found.labels}
    return arrays


def write(folder: Path, arrays: Arrays, metadata: Mapping[str, Any]) -> None:
    """Make a folder a data set of these arrays."""
    for split in datasets.SPLITS:
        if (labels := arrays.get(f"{split}-labels")) is not None:
            datasets.write(folder, split, iter([arrays[f"{split}-images"]]), labels, None, [""] * len(labels))
    artifact.seal(folder, component="benchmark", output="dataset", parameters={}, inputs={}, metadata=metadata)
