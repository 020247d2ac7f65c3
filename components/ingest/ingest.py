"""The work of ingest: fetch, check, split, describe, and save a labelled image data set."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts import dataset as datasets
from components.artifacts.dataset import Arrays as Split
from components.contract.artifact import sha256
from components.contract.errors import BadInput
from components.ingest import idx
from components.ingest.component import IngestParameters
from components.ingest.report import write_report
from components.ingest.sources import DATA_SETS, FILES, obtain
from components.ingest.statistics import describe


def ingest(parameters: IngestParameters, *, dataset: Path, report: Path) -> dict[str, dict[str, Any]]:
    """Write the splits train, validation and test of `parameters.source` to the folder `dataset`.

    Raises `BadInput` for files that are not what they should be.
    """
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        paths = obtain(parameters.source, Path(parameters.cache), Path(scratch))
        arrays = {file: idx.read(path, idx.IMAGES if "images" in file else idx.LABELS) for file, path in paths.items()}
        digests = {file: sha256(path) for file, path in paths.items()}
    train = _paired(FILES[0], FILES[1], arrays, parameters.classes)
    test = _paired(FILES[2], FILES[3], arrays, parameters.classes)
    if train[0].shape[1:] != test[0].shape[1:]:
        raise BadInput(f"training images are {_size(train)} pixels, but test images {_size(test)}")
    train, validation = _split(train, parameters.validation_size, parameters.seed)

    splits = {"train": train, "validation": validation, "test": test}
    statistics = describe(splits, parameters.classes)
    datasets.write(dataset, splits, statistics)
    known = DATA_SETS.get(parameters.source)
    names = known.class_names if known else ()
    # Whoever says that there are more classes than a known data set has has numbers for the rest.
    class_names = [*names, *map(str, range(len(names), parameters.classes))][: parameters.classes]
    write_report(report, parameters.source, splits, statistics, class_names)
    for name, (images, _) in splits.items():
        print(f"{name:10} {len(images):6,} images of {_size(splits[name])} pixels")
    return {
        "dataset": {
            "image_shape": list(train[0].shape[1:]),
            "classes": parameters.classes,
            "class_names": class_names,
            "splits": {name: len(images) for name, (images, _) in splits.items()},
            "source_sha256": digests,
        }
    }


def _paired(images_file: str, labels_file: str, arrays: dict[str, npt.NDArray[np.uint8]], classes: int) -> Split:
    images, labels = arrays[images_file], arrays[labels_file]
    if len(images) != len(labels):
        raise BadInput(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
    if (worst := int(labels.max())) >= classes:
        raise BadInput(
            f"{labels_file}: label {worst} at position {int(labels.argmax())} is out of range: with {classes} classes "
            f"labels are 0 to {classes - 1}; set `classes` to their number"
        )
    return images, labels


def _split(train: Split, validation_size: int, seed: int) -> tuple[Split, Split]:
    """Set `validation_size` random training examples apart; both parts keep the order of the file."""
    images, labels = train
    if validation_size >= len(images):
        raise BadInput(f"validation_size: {validation_size} leaves nothing of the {len(images)} training images")
    chosen = np.zeros(len(images), bool)
    chosen[np.random.default_rng(seed).permutation(len(images))[:validation_size]] = True
    return (images[~chosen], labels[~chosen]), (images[chosen], labels[chosen])


def _size(split: Split) -> str:
    return "×".join(map(str, split[0].shape[1:]))
