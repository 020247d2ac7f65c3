"""The data set that ingest makes: its files, how they are written, and how they are read.

    SPLIT-images.npy    uint8 [n, height, width], or [n, height, width, 3] in colour; SPLIT: train, validation, test
    SPLIT-labels.npy    uint8 [n]
    SPLIT-weights.npy   float32 [n], how much each image counts; only where the source says so
    SPLIT-origins.txt   a line for each image: the file that it came from, and where in it
    statistics.json     what is in it, in numbers
    schema.json         what it is like, for the next one to be held against
    findings.json       what validation found in it

Its metadata: `image_shape`, `classes`, `class_names`, `splits` (images of each), `made_splits`, which the source
did not have, `source_sha256`, `validation` (the verdict), `errors` and `warnings`, and with a reference
`reference_sha256`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.contract import artifact
from components.contract.artifact import canonical_json

SPLITS = ("train", "validation", "test")


class Split(NamedTuple):
    """Images, uint8 [n, height, width] or [n, height, width, 3]; labels, uint8 [n]; weights, float32 [n], or None."""

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    weights: npt.NDArray[np.float32] | None = None


def write(  # noqa: PLR0913 - one for each file
    folder: Path,
    split: str,
    images: Iterator[npt.NDArray[np.uint8]],
    labels: npt.NDArray[np.uint8],
    weights: npt.NDArray[np.float32] | None,
    origins: Sequence[str],
) -> Split:
    """Write a split into `folder`, its images some at a time, and return it, with the images mapped from their file."""
    first = next(images)
    with _images(folder, split).open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(labels), *first.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)  # as `np.save` writes it
        file.write(np.ascontiguousarray(first).data)
        for each in images:
            file.write(np.ascontiguousarray(each).data)
    np.save(folder / f"{split}-labels.npy", labels, allow_pickle=False)
    if weights is not None:
        np.save(folder / f"{split}-weights.npy", weights, allow_pickle=False)
    (folder / f"{split}-origins.txt").write_text("".join(f"{line}\n" for line in origins), encoding="utf-8")
    return read(folder, split, mapped=True)


def write_statistics(folder: Path, statistics: Mapping[str, Any]) -> None:
    """Write what is said of the splits."""
    (folder / "statistics.json").write_bytes(canonical_json(statistics))


def read(folder: Path, split: str, *, mapped: bool = False) -> Split:
    """Return a split: `train`, `validation` or `test`; on request its images are mapped, not read."""
    images = np.load(_images(folder, split), mmap_mode="r" if mapped else None, allow_pickle=False)
    labels = np.load(folder / f"{split}-labels.npy", allow_pickle=False)
    weights = folder / f"{split}-weights.npy"
    return Split(images, labels, np.load(weights, allow_pickle=False) if weights.is_file() else None)


def origins(folder: Path, split: str) -> list[str]:
    """Return where each image of a split came from."""
    return (folder / f"{split}-origins.txt").read_text(encoding="utf-8").split("\n")[:-1]


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes, in the order of the labels."""
    return list(artifact.read(folder).metadata["class_names"])


def _images(folder: Path, split: str) -> Path:
    return folder / f"{split}-images.npy"
