"""WebDataset's archives (github.com/webdataset/webdataset): tars in which the files of one name are one image.

    train-000000.tar  train-000001.tar  test-000000.tar.gz
        00000.png  00000.cls  00001.png  00001.cls

The label is in `.cls`, `.label`, `.json` (with split, group and weight, if there) or `.txt`; the files of an image
follow each other. The split is in the archive's name.
"""

import gzip
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import numpy.typing as npt

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields, _rows
from components.ingest.forms._bounds import FILE
from components.ingest.forms._heads import brief, disguise
from components.ingest.forms._names import ending, find, in_order, is_clutter, listed, split_of_path
from components.ingest.forms._pictures import ENDINGS, Pictures
from components.ingest.forms._rows import collected, is_number
from components.ingest.place import Place

_LABELS = ("cls", "label", "json", "txt", "cls.txt", "label.txt")
_MORE = {"labels": _rows.LABEL, "splits": _rows.SPLIT, "groups": _rows.GROUP, "weights": _rows.WEIGHT}


def recognised(place: Place) -> str:
    """Return which archives there are."""
    names = _files(place)
    return f"WebDataset archives {listed(names)}" if names else ""


def _files(place: Place) -> list[str]:
    return in_order(ending(place.names, r"\.(?:tar|tar\.gz|tgz)"))


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the images of each archive."""
    pictures = Pictures()
    for name in _files(place):
        with place.file(name) as path:
            yield from collected(_described(name, path, fields, pictures), split_of_path(name))
    pictures.say()


def _described(
    name: str, path: Path, fields: Fields, pictures: Pictures
) -> Iterator[tuple[npt.NDArray[Any], str, dict[str, Any]]]:
    for key, parts in _samples(name, path):
        origin = f"{name} {key}"
        yield pictures(_picture(parts, fields, origin), origin), origin, _said(parts, fields, origin)


def _picture(parts: dict[str, bytes], fields: Fields, origin: str) -> bytes:
    if fields.image:
        return parts[find(parts, fields.image, (), "image_field", origin)]
    found = [ending for ending in parts if re.fullmatch(rf"(?:.*)?{ENDINGS}", f".{ending}")]
    if len(found) == 1:
        return parts[found[0]]
    which = "has no image" if not found else f"has {len(found)} images"
    raise BadInput(
        f"{origin} {which}, but {', '.join(parts)}; give each one picture, or name it with `image_field`, as png; "
        "what is no WebDataset is to be unpacked"
    )


def _said(parts: dict[str, bytes], fields: Fields, origin: str) -> dict[str, Any]:
    """Return the label, and what else the files of an image say."""
    said: dict[str, Any] = {}
    if "json" in parts:
        content = outside.document(parts["json"], f"{origin}.json")
        content = content if isinstance(content, dict) else {"label": content}
        for kind, usual in _MORE.items():
            asked = getattr(fields, kind[:-1])
            if name := find(
                content, asked if asked not in parts else "", usual, f"{kind[:-1]}_field", f"{origin}.json"
            ):
                said[kind] = content[name]
    ending = (
        fields.label
        if fields.label in parts
        else next((each for each in _LABELS if each in parts and each != "json"), "")
    )
    if ending and ("labels" not in said or ending in {fields.label, "cls"}):
        text = parts[ending].decode("utf-8", errors="replace").strip()
        said["labels"] = int(text) if is_number(text.removeprefix("-")) else text
    if said.get("labels") in (None, ""):
        raise BadInput(
            f"{origin} has no label, only {', '.join(parts)}; put it in {origin.rpartition(' ')[2]}.cls, or say "
            "which of them has it with `label_field`; if its folders are the classes, unpack it"
        )
    return said


def _samples(name: str, path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the name of each image and its files by their endings; raise `BadInput` if two files have one name."""
    key, parts = "", dict[str, bytes]()
    for member, content in _members(name, path):
        folder, slash, file = member.rpartition("/")
        stem, _, ending = file.partition(".")
        if f"{folder}{slash}{stem}" != key:
            if parts:
                yield key, parts
            key, parts = f"{folder}{slash}{stem}", {}
        if ending.lower() in parts:
            raise BadInput(f"{name}: {member} is there twice")
        parts[ending.lower()] = content
    if not parts:
        raise BadInput(f"{name} has no files")
    yield key, parts


def _members(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an archive; raise `BadInput` that says where it is truncated or damaged."""
    offset = 0
    with path.open("rb") as plain:
        head = plain.read(512)
        plain.seek(0)
        packed = head.startswith(b"\x1f\x8b")
        if not packed and (what := disguise(head)):
            raise BadInput(f"{name} is no tar archive: it {what}")
        file: Any = gzip.GzipFile(fileobj=plain) if packed else plain
        try:
            with tarfile.open(fileobj=cast("IO[bytes]", _Pieces(file)), mode="r:") as archive:
                while member := archive.next():
                    archive.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                    if not offset <= member.offset < archive.offset or member.size < 0:
                        raise tarfile.ReadError("a size is negative, or leads back")
                    offset = member.offset
                    if member.isfile() and not is_clutter(member.name.removeprefix("./")):
                        yield member.name.removeprefix("./"), _content(archive, member)
                offset = archive.offset
                file.seek(offset)
                if file.read(512) != bytes(512):  # an archive ends with blocks of zeros, and tarfile does not mind
                    raise tarfile.ReadError("its end is missing")
        # What tarfile makes of sizes and names that are none is not always an error of its own.
        except (
            tarfile.TarError,
            EOFError,
            zlib.error,
            gzip.BadGzipFile,
            ValueError,
            OverflowError,
            IndexError,
        ) as error:
            raise BadInput(
                f"{name} is truncated or damaged at byte {offset}, where a file begins: {brief(error)}"
            ) from None


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """Return the bytes of a file; raise `ReadError` for one with holes, or with more bytes than a picture has."""
    if member.issparse() or member.size > FILE:
        raise tarfile.ReadError(f"{member.name} announces {member.size:,} bytes, with holes or too many for a picture")
    file = archive.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    with file:
        return outside.exactly(file, member.size)


class _Pieces:
    """A file that is asked for some bytes only, as tarfile does in earnest: more is what a damaged header announces."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= outside.PIECE:
            raise tarfile.ReadError(f"a header announces {size:,} bytes more of itself")
        return self._file.read(size)
