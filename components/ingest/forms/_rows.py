"""From what a table, a record or a file's name says of each image to batches: labels, splits, groups, weights."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput
from components.contract.terminal import HIDDEN
from components.ingest.forms import Batch
from components.ingest.forms._bounds import portions
from components.ingest.forms._names import split_named

LONGEST = 200  # characters of a label
MOST = 2**53  # a label that is a number
# How these are usually called, in small letters.
IMAGE = (
    "image",
    "img",
    "images",
    "image/encoded",
    "image_raw",
    "image_bytes",
    "picture",
    "pixels",
    "png",
    "jpg",
    "data",
    "x",
)
PATH = ("file_name", "filename", "file", "path", "filepath", "file_path", "image_path", "image_file", "image", "img")
LABEL = ("label", "labels", "class", "target", "digit", "category", "image/class/label", "cls", "y", "character")
SPLIT = ("split", "subset", "partition")
GROUP = ("group", "writer", "writer_id", "subject", "patient")
WEIGHT = ("weight", "sample_weight", "weights")


@dataclass
class Rows:
    """Some images with what is said of each, not yet checked; None where nothing is said of any."""

    images: npt.NDArray[Any] | list[npt.NDArray[Any]]
    origins: list[str]
    labels: Sequence[Any] | npt.NDArray[Any]
    splits: Sequence[Any] | None = None
    groups: Sequence[Any] | None = None
    weights: Sequence[Any] | None = None

    def batches(self, split: str = "", class_names: Sequence[str] = ()) -> Iterator[Batch]:
        """Yield them as a batch for each split, in the order in which the splits come; `split` is that of all others.

        Raises `BadInput` that names the first image with a label, split, group or weight that is none.
        """
        images = stacked(self.images)
        labels = labels_of(self.labels, self.origins)
        weights = None if self.weights is None else weights_of(self.weights, self.origins)
        groups = None if self.groups is None else groups_of(self.groups, self.origins)
        if self.splits is None:
            yield Batch(images, labels, self.origins, split, groups, weights, class_names)
            return
        named = [split_named(value, origin) or split for value, origin in zip(self.splits, self.origins, strict=True)]
        for name in dict.fromkeys(named):
            chosen = [i for i, each in enumerate(named) if each == name]
            yield Batch(
                _picked(images, chosen), _picked(labels, chosen), _picked(self.origins, chosen), name,
                groups and _picked(groups, chosen), weights and _picked(weights, chosen), class_names,
            )  # fmt: skip


Sample = tuple[npt.NDArray[Any], str, Mapping[str, Any]]  # an image, its origin, and what is said of it


def collected(samples: Iterator[Sample], split: str, size: int = 2048) -> Iterator[Batch]:
    """Yield batches of images that come one by one, each with its origin and what is said of it, {labels: …}."""
    for chunk in _portions(samples, size):
        kinds = [
            kind for kind in ("labels", "splits", "groups", "weights") if any(kind in said for _, _, said in chunk)
        ]
        columns = {kind: [said.get(kind) for _, _, said in chunk] for kind in kinds}
        yield from Rows([image for image, _, _ in chunk], [origin for _, origin, _ in chunk], **columns).batches(split)


def _portions(samples: Iterator[Sample], size: int) -> Iterator[list[Sample]]:
    """Yield the samples, as many at a time as may be in memory."""
    kept = list[Sample]()

    def images() -> Iterator[npt.NDArray[Any]]:
        for sample in samples:
            kept.append(sample)
            yield sample[0]

    for portion in portions(images(), size):
        yield kept[: len(portion)]
        del kept[: len(portion)]


def stacked(images: npt.NDArray[Any] | list[npt.NDArray[Any]]) -> npt.NDArray[Any] | list[npt.NDArray[Any]]:
    """Return images as one array, if they are of one shape and type."""
    if isinstance(images, np.ndarray) or len({(image.shape, image.dtype) for image in images}) != 1:
        return images
    return np.stack(images)


def labels_of(values: Sequence[Any] | npt.NDArray[Any], origins: Sequence[str]) -> npt.NDArray[np.int64] | list[str]:
    """Return labels as whole numbers, int64, or texts; raise `BadInput` that names the first which is neither."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iub":
        if values.size and (int(values.min()) < -MOST or int(values.max()) > MOST):
            wrong = next(i for i, value in enumerate(values.tolist()) if abs(value) > MOST)
            raise _no_class(values[wrong].item(), origins[wrong])
        return values.astype(np.int64)
    made = [_label(value, origin) for value, origin in zip(_plain(values), origins, strict=True)]
    kinds = [isinstance(label, str) for label in made]
    if any(kinds) and not all(kinds):
        i = kinds.index(not kinds[0])
        raise BadInput(
            f"{origins[i]}: the label is {made[i]!r}, but that of {origins[0]} is {made[0]!r}: text or number?"
        )
    return [str(label) for label in made] if any(kinds) else np.array(made, np.int64)


def _label(value: Any, origin: str) -> int | str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise BadInput(f"{origin}: the label is the bytes {value[:16].hex()}, which are no UTF-8 text") from None
    if (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    ):
        raise BadInput(f"{origin}: the label is missing; give it one, or take the image out")
    if isinstance(value, str) and len(value) <= LONGEST and not HIDDEN.search(value.strip()):
        return value.strip()
    if (isinstance(value, int) or (isinstance(value, float) and value.is_integer())) and abs(value) <= MOST:
        return int(value)
    raise _no_class(value, origin)


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number from 0 on, of no more digits than one has."""
    return text.isdecimal() and len(text) <= len(str(MOST))


def _no_class(value: object, origin: str) -> BadInput:
    text = str(value)
    shown = text if len(text) <= 40 else f"{text[:40]}… ({len(text):,} characters)"
    return BadInput(f"{origin}: the label is {shown}, expected a whole number or a text that a class may be called by")


def weights_of(values: Sequence[Any], origins: Sequence[str]) -> list[float]:
    """Return weights as numbers; raise `BadInput` that names the first which is missing, negative or none."""
    made = []
    for value, origin in zip(_plain(values), origins, strict=True):
        try:
            weight = float(value)
        except (TypeError, ValueError, OverflowError):
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise BadInput(f"{origin}: the weight is {value!r}, expected a number that is not negative")
        made.append(weight)
    return made


def groups_of(values: Sequence[Any], origins: Sequence[str]) -> list[str]:
    """Return groups as texts; raise `BadInput` that names the first which is missing."""
    made = []
    for value, origin in zip(_plain(values), origins, strict=True):
        if value is None or value != value or value == "":  # noqa: PLR0124 - NaN
            raise BadInput(f"{origin}: the group is missing; give it one")
        made.append(value.decode(errors="replace") if isinstance(value, bytes) else str(value))
    return made


def classes_of_columns(values: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Return labels [n] of an array [n], [n, 1] or one-hot [n, classes]; raise `BadInput` for any other."""
    if values.ndim == 1:
        return values
    if values.ndim == 2 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim == 2 and values.dtype.kind in "biuf":
        if ((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all():
            return np.asarray(values.argmax(axis=1))
        wrong = int(np.flatnonzero((values.sum(axis=1) != 1) | ((values != 0) & (values != 1)).any(axis=1))[0])
        raise BadInput(
            f"{where} {wrong}: the label is a row of {values.shape[1]} numbers which is not one-hot, one 1 among 0s; "
            "give one number for each image"
        )
    raise BadInput(f"{where}: the labels have shape {list(values.shape)}, expected one for each image")


def squared(pixels: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Return pixels [n, side²] as [n, side, side]; raise `BadInput` if their number is no square."""
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1] or not side:
        raise BadInput(
            f"{where}: an image has {pixels.shape[1]} pixels, which is no square number (28×28 is 784): if a column is "
            "none of the pixels, name what it is with `label_field`, `split_field`, `group_field` or `weight_field`; "
            "images that are not square have their place in an npz file, as [n, height, width]"
        )
    return pixels.reshape(len(pixels), side, side)


def narrowed(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return whole numbers of 64 bits as bytes, if they are: text and some records have no smaller ones."""
    if pixels.dtype == np.int64 and pixels.size and pixels.min() >= 0 and pixels.max() <= 255:
        return pixels.astype(np.uint8)
    return pixels


def _plain(values: Sequence[Any] | npt.NDArray[Any]) -> Sequence[Any]:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _picked(values: Any, chosen: list[int]) -> Any:
    return values[chosen] if isinstance(values, np.ndarray) else [values[i] for i in chosen]
