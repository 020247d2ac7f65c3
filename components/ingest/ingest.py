"""The work of ingest: read, bring to one shape, split, check, describe, and save a labelled image data set."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import dataset as datasets
from components.artifacts.dataset import SPLITS
from components.artifacts.words import count
from components.contract.artifact import sha256
from components.contract.errors import BadInput
from components.ingest import idx, known
from components.ingest.component import IngestParameters
from components.ingest.forms import Batch, Fields
from components.ingest.gather import Gathered, classes_of, gather
from components.ingest.known.mnist import FILES
from components.ingest.pixels import Shaper, shape_of
from components.ingest.report import write_report
from components.ingest.sources import obtain
from components.ingest.splits import complete, together
from components.ingest.statistics import describe


def ingest(parameters: IngestParameters, *, dataset: Path, report: Path) -> dict[str, dict[str, Any]]:
    """Write the splits train, validation and test of `parameters.source` to the folder `dataset`.

    Raises `BadInput` for files that are not what they should be.
    """
    shaper = Shaper(parameters)
    # Beside what is made of it, so that it is on the disk that has room for it, and images need not fit into memory.
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=dataset) as scratch:
        with opened(parameters, Path(scratch)) as (batches, digests):
            found = gather(batches, shaper, Path(scratch) / "images")
        labels, class_names = classes_of(found, parameters.classes, parameters.class_names, parameters.first_label)
        splits = _written(parameters, found, labels.astype(np.uint8), dataset)
    statistics = describe(splits, len(class_names))
    datasets.write_statistics(dataset, statistics)
    write_report(report, parameters.source, splits, statistics, class_names)
    if shaper.resized:
        print(f"{count(shaper.resized, 'image')} brought to {shape_of(shaper.shape)} (fit: {parameters.fit})")
    size, colour = shape_of(found.shape[:2]), " in colour" if len(found.shape) == 3 else ""
    for name, split in splits.items():
        print(f"{name:10} {len(split.labels):6,} images of {size} pixels{colour}")
    return {
        "dataset": {
            "image_shape": list(found.shape),
            "classes": len(class_names),
            "class_names": class_names,
            "splits": {name: len(split.labels) for name, split in splits.items()},
            "source_sha256": digests,
        }
    }


@contextmanager
def opened(parameters: IngestParameters, scratch: Path) -> Iterator[tuple[Iterator[Batch], dict[str, str]]]:
    """Give the images of the source, some at a time, and the digests of its files, which are there at the end."""
    Fields(
        parameters.image_field, parameters.label_field, parameters.split_field, parameters.group_field,
        parameters.weight_field,
    )  # fmt: skip
    paths = obtain(parameters.source, Path(parameters.cache), scratch)
    yield _batches(parameters, paths), {file: sha256(path) for file, path in paths.items()}


def _batches(parameters: IngestParameters, paths: dict[str, Path]) -> Iterator[Batch]:
    if found := known.find(parameters.source):
        yield from found.batches(paths)
        return
    for split, (images_file, labels_file) in {"train": FILES[:2], "test": FILES[2:]}.items():
        images = idx.read(paths[images_file], idx.IMAGES)
        labels = idx.read(paths[labels_file], idx.LABELS)
        if len(images) != len(labels):
            raise BadInput(f"{images_file} has {len(images)} images, but {labels_file} has {len(labels)} labels")
        origins = [f"{images_file} {i}" for i in range(len(images))]
        yield Batch(images, labels, origins, split)


def _written(
    parameters: IngestParameters, found: Gathered, labels: "np.ndarray[Any, np.dtype[np.uint8]]", dataset: Path
) -> dict[str, datasets.Split]:
    """Write the images of each split, in the order of the source."""
    units = together(found.digests, found.groups)
    names = complete(
        found.splits, labels.astype(np.int64), units, parameters.validation_size, parameters.test_size, parameters.seed
    )
    weights = None if found.weights is None else np.array(found.weights, np.float32)
    written = {}
    for name in SPLITS:
        chosen = np.flatnonzero(names == name)
        own = None if weights is None else weights[chosen]
        origins = [found.origins[i] for i in chosen]
        written[name] = datasets.write(dataset, name, found.images(chosen), labels[chosen], own, origins)
    return written
