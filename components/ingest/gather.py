"""From batches to one set: all images in one file of bytes on disk, and what is known of each in memory."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput
from components.contract.terminal import line
from components.ingest.forms import Batch
from components.ingest.forms._rows import is_number
from components.ingest.pixels import Shaper

MOST = 10_000_000  # images, of each of which some hundred bytes are in memory
CHUNK = 2**25  # bytes of images that are in memory at a time, when they are read again


@dataclass
class Gathered:
    """All images of a source: their bytes in a file, and a value for each in the lists."""

    path: Path
    shape: tuple[int, ...] = ()
    labels: list[Any] = field(default_factory=list)  # whole numbers or texts
    splits: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    groups: list[str] | None = None
    weights: list[float] | None = None
    class_names: tuple[str, ...] = ()

    def images(self, chosen: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the images of those numbers, some at a time."""
        step = max(1, CHUNK // math.prod(self.shape))
        for start in range(0, len(chosen), step):
            some = chosen[start : start + step]
            order = np.argsort(some, kind="stable")  # as they are on the disk
            images = np.empty((len(some), *self.shape), np.uint8)
            # Mapped anew each time: what was read of a mapped file counts as memory of the process.
            mapped = np.memmap(self.path, np.uint8, "r", shape=(len(self.labels), *self.shape))
            images[order] = mapped[some[order]]
            yield images


def gather(batches: Iterable[Batch], shaper: Shaper, path: Path) -> Gathered:
    """Write the images of all batches to `path`, and return what is known of them; raise `BadInput` if none come."""
    found = Gathered(path)
    with path.open("wb") as file:
        for number, batch in enumerate(batches):
            images = np.ascontiguousarray(shaper(batch.images, batch.origins))
            file.write(images.data)
            found.digests += [hashlib.sha256(image).digest() for image in images]
            found.labels += batch.labels.tolist() if isinstance(batch.labels, np.ndarray) else batch.labels
            if len(found.labels) > MOST:
                raise BadInput(f"{batch.origins[0]}: there are more than {MOST:,} images, too many for one data set")
            found.splits += [batch.split] * len(images)
            found.origins += map(line, batch.origins)
            found.groups = _joined(found.groups, batch.groups, number, batch, "group")
            found.weights = _joined(found.weights, batch.weights, number, batch, "weight")
            for weight, origin in zip(batch.weights or (), batch.origins, strict=False):
                if not 0 <= weight < math.inf:
                    raise BadInput(f"{origin}: the weight is {weight:g}; expected a number from 0 on")
            if tuple(batch.class_names) != found.class_names and found.class_names:
                raise BadInput(
                    f"{batch.origins[0]}: its classes are {', '.join(batch.class_names)}, but before they were "
                    f"{', '.join(found.class_names)}"
                )
            found.class_names = tuple(batch.class_names)
    found.shape = shaper.shape
    if not found.labels:
        raise BadInput("the source has no images")
    return found


def _joined(before: list[Any] | None, more: Sequence[Any] | None, number: int, batch: Batch, what: str) -> Any:
    """Return what is known with more of it; raise `BadInput` if some images have it and others not."""
    if number and (before is None) != (more is None):
        have, lack = ("has no", "before it have one") if more is None else ("has a", "before it have none")
        raise BadInput(f"{batch.origins[0]}: the image {have} {what}, but those {lack}; give one to all, or to none")
    return None if more is None else [*(before or ()), *more]


def classes_of(found: Gathered, classes: int, names: str, first: int) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the labels from 0 on, and the names of the classes.

    Texts are numbered in their order, that of the numbers they are if all of them are numbers. Raises `BadInput` for
    labels that do not fit `classes`, `names` (as `cat,dog`) or `first`, the label of the first class.
    """
    given = [name.strip() for name in names.split(",")] if names else []
    if len(set(given)) != len(given):
        raise BadInput(f"class_names: {names!r} has a name twice")
    kinds = {type(label) for label in found.labels}
    if kinds == {str}:
        if first:
            raise BadInput(f"first_label: {first}, but the labels are texts, which have no first one; leave it at 0")
        labels, known = _numbered(found, given)
    elif kinds == {int}:
        labels, known = np.array(found.labels, np.int64) - first, given or list(found.class_names)
    else:
        raise BadInput("the labels are neither all whole numbers nor all texts: " + ", ".join(sorted(map(str, kinds))))
    lowest, highest = int(labels.min()), int(labels.max())
    wanted = classes or len(known) or highest + 1
    if lowest < 0:
        raise BadInput(
            f"{found.origins[int(labels.argmin())]}: label {lowest + first} is less than first_label, {first}"
        )
    if lowest > 0 and highest >= (classes or len(known) or highest):
        raise BadInput(
            f"labels go from {lowest + first} to {highest + first}, and none is {first}: set `first_label` to "
            f"{lowest + first}, or, if those before it only have no images here, `classes` to {highest + 1}"
        )
    if highest >= wanted:
        raise BadInput(
            f"{found.origins[int(labels.argmax())]}: label {highest + first} is out of range: with {wanted} classes "
            f"labels are {first} to {first + wanted - 1}; set `classes` to their number"
        )
    if wanted > 256 or wanted < 2:
        raise BadInput(f"there are {wanted} classes, but they must be 2 to 256: see `label_field`, or set `classes`")
    if given and len(given) != wanted:
        raise BadInput(f"class_names: there are {len(given)} names, but {wanted} classes")
    # Whoever says that there are more classes than the source has has numbers for the rest.
    return labels, [*known, *(str(i + first) for i in range(len(known), wanted))][:wanted]


def _numbered(found: Gathered, given: list[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    texts = set(found.labels)
    known = given or sorted(texts, key=lambda text: (0, int(text), text) if is_number(text) else (1, 0, text))
    if strange := sorted(texts - set(known)):
        where = found.origins[found.labels.index(strange[0])]
        raise BadInput(f"{where}: label {strange[0]!r} is none of `class_names`, {', '.join(known)}")
    numbers = {name: i for i, name in enumerate(known)}
    return np.array([numbers[text] for text in found.labels], np.int64), known
