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
`reference_sha256`; of a known data set `about`: its `title`, `licence`, `homepage` and `citation`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from components.contract import artifact, outside
from components.contract.artifact import Manifest, canonical_json
from components.contract.errors import BadInput

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


def read(folder: Path, split: str, *, mapped: bool = False, classes: int = 256) -> Split:
    """Return a split: `train`, `validation` or `test`; on request its images are mapped, not read.

    Raises `BadInput` for files that are not as above, do not agree, or have a label that is not below `classes`.
    """
    images, labels = _mapped(_images(folder, split), np.uint8), _mapped(folder / f"{split}-labels.npy", np.uint8)
    path = folder / f"{split}-weights.npy"
    weights = _mapped(path, np.float32) if path.is_file() else None
    if images.ndim not in (3, 4) or images.shape[3:] not in ((), (3,)) or not images.size:
        raise BadInput(f"{_images(folder, split)} has the shape {images.shape}, expected images [n, height, width]")
    for what, each in (("labels", labels), ("weights", weights)):
        if each is not None and each.shape != images.shape[:1]:
            raise BadInput(f"{folder}: the {split} split has {len(images):,} images, but {what} of shape {each.shape}")
    if labels.max() >= classes:
        raise BadInput(f"{folder}: a label of the {split} split is {labels.max()}, but there are {classes} classes")
    kept = None if weights is None else np.array(weights)
    return Split(images if mapped else np.array(images), np.array(labels), kept)


def _mapped(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return the array in a file, mapped: what a header announces and the file does not hold takes no memory."""
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise BadInput(f"there is no {path}; give the dataset that ingest made") from None
    except Exception as error:  # noqa: BLE001 - the header is a text of Python's, and may be wrong in all its ways
        raise BadInput(f"{path} is damaged: {str(error).partition(':')[0]}; make the data set again") from None
    if array.dtype != kind:
        raise BadInput(f"{path} holds {array.dtype}, expected {np.dtype(kind)}; give the dataset that ingest made")
    return array


def origins(folder: Path, split: str) -> list[str]:
    """Return where each image of a split came from."""
    path = folder / f"{split}-origins.txt"
    try:
        return outside.content(path, 2**32).decode().split("\n")[:-1]
    except (FileNotFoundError, UnicodeDecodeError):
        raise BadInput(f"there is no {path}, or it is damaged; give the dataset that ingest made") from None


class About(BaseModel):
    """What there is to say of a known data set."""

    title: str
    licence: str
    homepage: str
    citation: str


class Description(BaseModel):
    """What the metadata of a data set say, as above."""

    image_shape: list[int] = Field(min_length=2, max_length=3)
    class_names: list[str] = Field(min_length=2, max_length=256)
    splits: dict[str, int]
    made_splits: list[str] = []
    source_sha256: dict[str, str] = {}
    validation: str = "not known"
    errors: int = 0
    warnings: int = 0
    about: About | None = None


def described(manifest: Manifest, where: str) -> Description:
    """Return what a manifest says of a data set; raise `BadInput`, which names `where`, for one of something else."""
    try:
        return Description.model_validate(manifest.metadata)
    except ValidationError as error:
        first = error.errors()[0]
        what = ".".join(map(str, first["loc"])) or "text"
        raise BadInput(f"{where} is not the dataset that ingest made: {what}: {first['msg']}") from None


def test_set(folder: Path) -> str:
    """Return what names the test split: the first 12 hexadecimal digits of a digest of its images, labels and classes.

    Whatever else of a data set is another, its split into training and validation images, say, answers for the same
    test set can be held against each other.
    """
    files = artifact.read(folder).files
    try:
        parts = [files[f"test-{what}.npy"].sha256 for what in ("images", "labels")]
    except KeyError:
        raise BadInput(f"{folder} has no test split; give the dataset that ingest made") from None
    return hashlib.sha256("\n".join([*parts, *class_names(folder)]).encode()).hexdigest()[:12]


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes, in the order of the labels; raise `BadInput` where no data set is."""
    names = artifact.read(folder).metadata.get("class_names")
    if not isinstance(names, list) or not 2 <= len(names) <= 256 or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{folder} says no class_names, 2 to 256 texts; give the dataset that ingest made")
    return list(names)


def _images(folder: Path, split: str) -> Path:
    return folder / f"{split}-images.npy"
