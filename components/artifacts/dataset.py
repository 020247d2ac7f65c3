"""The data set that ingest makes: its files, how they are written, and how they are read.

    SPLIT-images-00000.npy   uint8 [n, height, width], in colour [n, height, width, 3]; SPLIT: train, validation, test
    SPLIT-labels.npy         uint8 [n]
    SPLIT-weights.npy        float32 [n], how much each image counts; only where the source says so
    SPLIT-origins.txt        a line for each image: the file that it came from, and where in it
    statistics.json          what is in it, in numbers
    schema.json              what it is like, for the next one to be held against
    findings.json            what validation found in it

Images are in shards of at most 64 MiB, numbered from 0: as many in each as in the first, and in the last those that are
left. So image i is in shard i // m, where the first has m.

Its metadata: `image_shape`, `classes`, `class_names`, `splits` (images of each), `made_splits`, which the source
did not have, `source_sha256`, `validation` (the verdict), `errors` and `warnings`, and with a reference
`reference_sha256`; of a known data set `about`: its `title`, `licence`, `homepage` and `citation`.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from components.artifacts import splits
from components.artifacts.shards import Pixels, Shards, mapped
from components.contract import artifact, later, outside
from components.contract.artifact import Manifest, canonical_json
from components.contract.errors import BadInput

SPLITS = splits.SPLITS
SHARD = 64 * 2**20  # bytes of pixels of a shard, at most, but one image at least
VALUES = 2**22  # of pixels, that are looked at together

Images = Pixels | Shards


def at_once(images: Images, most: int) -> int:
    """Return how many images are looked at together: `most`, and of large ones fewer, so that they fit into memory."""
    return max(1, min(most, VALUES // math.prod(images.shape[1:])))


class Split(NamedTuple):
    """Images, uint8 [n, height, width] or [n, height, width, 3]; labels, uint8 [n]; weights, float32 [n], or None."""

    images: Images
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
    _write_images(folder, split, images, len(labels))
    np.save(folder / f"{split}-labels.npy", labels, allow_pickle=False)
    if weights is not None:
        np.save(folder / f"{split}-weights.npy", weights, allow_pickle=False)
    (folder / f"{split}-origins.txt").write_text("".join(f"{line}\n" for line in origins), encoding="utf-8")
    return read(folder, split)


def _write_images(folder: Path, split: str, images: Iterator[npt.NDArray[np.uint8]], count: int) -> None:
    """Write the shards of `count` images."""
    file, written = None, 0
    try:
        for each in images:
            shard, rest = shard_images(each.shape[1:]), each
            while len(rest):
                if file is None or written % shard == 0:
                    if file:
                        file.close()
                    file = _images(folder, split, written // shard).open("wb")
                    shape = (min(shard, count - written), *each.shape[1:])
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)  # as `np.save` writes it
                part, rest = np.split(rest, [shard - written % shard])
                file.write(np.ascontiguousarray(part).data)
                written += len(part)
    finally:
        if file:
            file.close()


def shard_images(image_shape: Sequence[int]) -> int:
    """Return how many images of a shape are in a shard."""
    return max(1, SHARD // math.prod(image_shape))


def write_statistics(folder: Path, statistics: Mapping[str, Any]) -> None:
    """Write what is said of the splits."""
    (folder / "statistics.json").write_bytes(canonical_json(statistics))


def read(folder: Path, split: str, *, classes: int = 256) -> Split:
    """Return a split: `train`, `validation` or `test`; its images stay in their files, and are read as they are used.

    Raises `BadInput` for files that are not as above, do not agree, or have a label that is not below `classes`.
    """
    path = folder / f"{split}-weights.npy"
    weights = np.array(mapped(path, np.float32)) if later.exists(path) else None
    labels = read_labels(folder, split, classes=classes)
    if (folder / f"{split}-images.npy").is_file():
        raise BadInput(f"{folder} has its {split} images in one file, as earlier versions did; make the data set again")
    name = _images(folder, split, 0)
    first = mapped(name, np.uint8)
    if first.ndim not in (3, 4) or first.shape[3:] not in ((), (3,)) or not first.size:
        raise BadInput(f"{name} has the shape {first.shape}, expected images [n, height, width]")
    paths = [_images(folder, split, number) for number in range(-(-len(labels) // len(first)))]
    said = f"{folder}: the {split} split has {len(labels):,} labels"
    if len(first) > len(labels) or later.exists(_images(folder, split, len(paths))):
        raise BadInput(f"{said}, but more images than that")
    if missing := [path.name for path in paths if not later.exists(path)]:
        raise BadInput(f"{said}, but of its images there is no {missing[0]}")
    if weights is not None and weights.shape != labels.shape:
        raise BadInput(f"{said}, but weights of shape {weights.shape}")
    return Split(Shards(paths, first, len(labels)), labels, weights)


def read_labels(folder: Path, split: str, *, classes: int = 256) -> npt.NDArray[np.uint8]:
    """Return the labels of a split; raise `BadInput` for what is none, or for one that is not below `classes`."""
    path = folder / f"{split}-labels.npy"
    labels = np.array(mapped(path, np.uint8))
    if labels.ndim != 1 or not len(labels):
        raise BadInput(f"{path} has the shape {labels.shape}, expected labels [n]; give the dataset that ingest made")
    if labels.max() >= classes:
        raise BadInput(f"{folder}: a label of the {split} split is {labels.max()}, but there are {classes} classes")
    return labels


def origins(folder: Path, split: str) -> list[str]:
    """Return where each image of a split came from."""
    path = folder / f"{split}-origins.txt"
    try:
        return later.use(path, lambda path: outside.content(path, 2**32)).decode().split("\n")[:-1]
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
    names = [sorted(name for name in files if _is(name, "test", what)) for what in ("images", "labels")]
    if not all(names):
        raise BadInput(f"{folder} has no test split; give the dataset that ingest made")
    parts = [files[name].sha256 for some in names for name in some]
    return hashlib.sha256("\n".join([*parts, *class_names(folder)]).encode()).hexdigest()[:12]


def class_names(folder: Path) -> list[str]:
    """Return the names of the classes, in the order of the labels; raise `BadInput` where no data set is."""
    names = artifact.read(folder).metadata.get("class_names")
    if not isinstance(names, list) or not 2 <= len(names) <= 256 or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{folder} says no class_names, 2 to 256 texts; give the dataset that ingest made")
    return list(names)


def has(name: str, split: str) -> bool:
    """Tell whether a file of that name has images or labels of a split."""
    return _is(name, split, "images") or _is(name, split, "labels")


def _is(name: str, split: str, what: str) -> bool:
    return name.startswith(f"{split}-{what}") and name.endswith(".npy")


def _images(folder: Path, split: str, shard: int) -> Path:
    return folder / f"{split}-images-{shard:05}.npy"
