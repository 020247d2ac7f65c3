"""NumPy's archives of named arrays, and single arrays: `.npz` and `.npy`.

    mnist.npz          x_train, y_train, x_test, y_test, as Keras has it
    pathmnist.npz      train_images, train_labels, val_images, val_labels, test_images, test_labels, as MedMNIST has it
    images.npy  labels.npy

Arrays are named by what they hold and, before or after it, the split; where the names say nothing, the only array of
images and the only one of labels are taken. Labels may be one-hot.
"""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields
from components.ingest.forms._bounds import PIXELS, WHOLE, at_once
from components.ingest.forms._heads import brief, disguise
from components.ingest.forms._names import ending, listed, split_of, split_of_path, without_split
from components.ingest.forms._rows import Rows, classes_of_columns, squared
from components.ingest.place import Place

CHUNK = 8192  # images at a time
_DAMAGED = (
    zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, KeyError, NotImplementedError, RuntimeError,
    SyntaxError, TypeError, MemoryError, OverflowError, RecursionError, UnicodeError, tokenize.TokenError,
)  # fmt: skip
_USUAL = {
    "image": ("x", "image", "images", "img", "imgs", "data", "inputs"),
    "label": ("y", "label", "labels", "target", "targets", "classes"),
    "split": (),
    "group": ("group", "groups", "writer", "writers"),
    "weight": ("weight", "weights", "sample_weight"),
}


def recognised(place: Place) -> str:
    """Return which files there are."""
    names = _files(place)
    return f"arrays in {listed(names)}" if names else ""


def _files(place: Place) -> list[str]:
    archives = ending(place.names, r"\.npz")
    return archives or (files if len(files := ending(place.names, r"\.npy")) > 1 else [])


@dataclass(frozen=True)
class _Array:
    """An array in a file: its name there, where it is from, and how its numbers are laid out."""

    key: str
    file: str
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool

    @property
    def where(self) -> str:
        return self.file if self.file.lower().endswith(".npy") else f"{self.file} {self.key}"

    @property
    def split(self) -> str:
        return split_of(self.key) or split_of_path(self.file)

    def chunks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the array's rows, some at a time; raise `BadInput` if it ends too early or is damaged."""
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        rows = self.shape[0] if self.fortran else at_once(row, CHUNK)
        try:
            with _opened(self.path, self.key) as file:
                _header(file)
                for start in range(0, self.shape[0], max(rows, 1)):
                    wanted = min(rows, self.shape[0] - start)
                    content = outside.exactly(file, wanted * row)
                    if len(content) < wanted * row:
                        raise BadInput(
                            f"{self.where} is truncated: its header announces {list(self.shape)} {self.dtype.name}, "
                            f"but the numbers end within row {start + len(content) // row}"
                        )
                    shape = (wanted, *self.shape[1:])
                    flat = np.frombuffer(content, self.dtype)
                    array = flat.reshape(shape, order="F" if self.fortran else "C")
                    yield array.astype(self.dtype.newbyteorder("="), copy=False)
        except _DAMAGED as error:
            raise BadInput(f"{self.where} is damaged: {brief(error)}") from None

    def check(self) -> None:
        """Raise `BadInput` for more than may be read at once."""
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > WHOLE:
            raise BadInput(
                f"{self.where} announces {list(self.shape)} {self.dtype.name}, {size:,} bytes that can only be read "
                "whole, which are too many; save images with numpy.ascontiguousarray, labels as one number each"
            )

    def whole(self) -> npt.NDArray[Any]:
        """Return all of it; raise `BadInput` if that is too much."""
        self.check()
        return np.concatenate([np.zeros((0, *self.shape[1:]), self.dtype.newbyteorder("=")), *self.chunks()])


def _opened(path: Path, key: str) -> IO[bytes]:
    if path.suffix.lower() == ".npy":
        return path.open("rb")
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(f"{key}.npy")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # numpy writes no others
            raise NotImplementedError(f"{key} is packed by the method {member.compress_type}; save it with numpy again")
        return archive.open(member)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if any(each < 0 or each is True or each is False for each in shape) or not dtype.itemsize:
        raise ValueError(f"an array of shape {shape} of {dtype}")
    return shape, fortran, dtype


def _arrays(file: str, path: Path) -> Iterator[_Array]:
    """Yield what arrays there are in a file, in its order."""
    try:
        keys = [path.stem]
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        for key in keys:
            with _opened(path, key) as opened:
                shape, fortran, dtype = _header(opened)
            array = _Array(key, file, path, shape, dtype, fortran)
            if dtype.hasobject:
                raise BadInput(
                    f"{array.where} holds Python objects, which are never loaded; save it as numbers or texts"
                )
            yield array
    except _DAMAGED as error:
        with path.open("rb") as opened:
            head = opened.read(256)
        what = "" if head.startswith(b"PK") else disguise(head)
        raise BadInput(f"{file} is no file of NumPy's: it {what or f'cannot be read: {brief(error)}'}") from None


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the images of each split, in the order of the arrays."""
    archives = _files(place)
    if archives[0].lower().endswith(".npy"):
        yield from _together(place, archives, fields)
        return
    for name in archives:
        yield from _together(place, [name], fields)


def _together(place: Place, names: list[str], fields: Fields) -> Iterator[Batch]:
    with ExitStack() as files:
        arrays = [each for name in names for each in _arrays(name, files.enter_context(place.file(name)))]
        chosen = _by_name(arrays, fields) or _by_shape(arrays)
        if not chosen:
            there = ", ".join(f"{each.key} {list(each.shape)}" for each in arrays) or "no arrays"
            raise BadInput(
                f"{', '.join(names)}: which array holds the images, and which the labels? It has {there}; name them "
                "with `image_field` and `label_field`"
            )
        used = {each.key for parts in chosen.values() for each in parts.values()}
        if left := [each.key for each in arrays if each.key not in used]:
            print(f"npz: left out of {listed(names)}: {listed(left)}")
        labelled = {split: parts for split, parts in chosen.items() if "label" in parts}
        if labelled and (
            without := [next(iter(parts.values())).where for split, parts in chosen.items() if split not in labelled]
        ):
            print(f"npz: left out, as there are no labels: {listed(without)}")
        for split, parts in (labelled or chosen).items():
            yield from _split(split, parts, names)


def _by_name(arrays: list[_Array], fields: Fields) -> dict[str, dict[str, _Array]]:
    """Return, for each split, the array of images, of labels, …; nothing if no name says that it is one of images."""
    found: dict[str, dict[str, _Array]] = {}
    for kind, usual in _USUAL.items():
        asked = getattr(fields, kind)
        these = [each for each in arrays if (asked in (each.key, _what(each)) if asked else _what(each) in usual)]
        if asked and not these:
            there = ", ".join(each.key for each in arrays)
            raise BadInput(
                f"{arrays[0].file if arrays else 'it'} has no {asked}, which `{kind}_field` names; it has {there}"
            )
        for each in these:
            if kind in found.setdefault(each.split, {}):
                raise BadInput(
                    f"{each.where} and {found[each.split][kind].where} may both be the {kind}s; name one with "
                    f"`{kind}_field`"
                )
            found[each.split][kind] = each
    return found if any("image" in parts for parts in found.values()) else {}


def _what(array: _Array) -> str:
    return without_split(array.key)


def _by_shape(arrays: list[_Array]) -> dict[str, dict[str, _Array]]:
    images = [each for each in arrays if len(each.shape) in (3, 4)]
    labels = [each for each in arrays if len(each.shape) == 1]
    if len(images) != 1 or len(labels) != 1:
        return {}
    return {images[0].split: {"image": images[0], "label": labels[0]}}


def _split(split: str, parts: dict[str, _Array], names: list[str]) -> Iterator[Batch]:
    for kind in ("image", "label"):
        if kind not in parts:
            raise BadInput(
                f"{', '.join(names)} has no {kind}s{' of ' * bool(split)}{split}, only "
                f"{next(iter(parts.values())).key}; name them with `{kind}_field`"
            )
    images = parts["image"]
    if images.dtype.kind not in "biuf" or len(images.shape) < 2:
        raise BadInput(
            f"{images.where} is {images.dtype.name} of shape {list(images.shape)}, expected numbers [n, height, width]"
            "; name another array with `image_field`"
        )
    if not parts["label"].shape:
        raise BadInput(f"{parts['label'].where} is a single value, expected a label for each image")
    for kind in (kind for kind in ("label", "split", "group", "weight") if kind in parts):
        count = (parts[kind].shape or (1,))[0]
        if count != images.shape[0]:
            raise BadInput(f"{images.where} has {images.shape[0]} images, but {parts[kind].where} has {count} {kind}s")
    if math.prod(images.shape[1:]) > PIXELS:
        raise BadInput(f"{images.where} announces images of more than {PIXELS:,} pixels: {list(images.shape[1:])}")
    if images.fortran:
        images.check()
    labels = classes_of_columns(parts["label"].whole(), parts["label"].where)
    others: dict[str, Any] = {kind: parts[kind].whole() for kind in ("split", "group", "weight") if kind in parts}
    start = 0
    for chunk in images.chunks():
        rows = slice(start, start + len(chunk))
        pixels = squared(chunk, images.where) if chunk.ndim == 2 else chunk
        origins = [f"{images.where} {i}" for i in range(start, start + len(chunk))]
        more = {f"{kind}s": array[rows].tolist() for kind, array in others.items()}
        yield from Rows(pixels, origins, labels[rows], **more).batches(split)
        start += len(chunk)
