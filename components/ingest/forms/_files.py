"""Pictures that a table names: files beside it, fetched and decoded some at a time."""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from components.contract.errors import BadInput
from components.ingest.forms._bounds import FILE, portions
from components.ingest.forms._names import listed
from components.ingest.forms._pictures import Pictures
from components.ingest.place import Place

CHUNK = 1024  # files at a time


class Beside:
    """Files that are named relative to a table, or to the source."""

    def __init__(self, place: Place, table: str, pictures: Pictures | None = None) -> None:
        self.place = place
        self.table = table
        self.folder = posixpath.dirname(table)
        self.pictures = pictures or Pictures()
        self.resolved: list[str] = []  # the names of those that came last, relative to the source
        self._there = set(place.names)
        self._seen: dict[str, str] = {}

    def images(self, names: Sequence[Any], origins: Sequence[str]) -> Iterator[tuple[slice, list[npt.NDArray[Any]]]]:
        """Yield which of the rows come, and their images; raise `BadInput` for one of no file, or named twice."""
        for start in range(0, len(names), CHUNK):
            part = slice(start, start + CHUNK)
            resolved = [self._resolve(*pair) for pair in zip(names[part], origins[part], strict=True)]
            for rows, images in decode(self.place, resolved, self.pictures):
                self.resolved = resolved[rows]
                yield slice(start + rows.start, start + rows.stop), images

    def _resolve(self, name: Any, origin: str) -> str:
        if not isinstance(name, str) or not name.strip():
            raise BadInput(f"{origin}: the name of the image's file is missing")
        plain = name.strip().replace("\\", "/")
        for candidate in (posixpath.normpath(posixpath.join(self.folder, plain)), posixpath.normpath(plain)):
            if candidate in self._there:
                if candidate in self._seen:
                    raise BadInput(
                        f"{origin}: {name} was named before, in {self._seen[candidate]}; name each file once"
                    )
                self._seen[candidate] = origin
                return candidate
        raise BadInput(
            f"{origin}: there is no file {name} in {self.place.source}; names are relative to the folder of "
            f"{self.table}"
        )

    def say(self, pattern_names: Sequence[str] = ()) -> None:
        """Print what was done to pictures, and which of these files no row names."""
        self.pictures.say()
        if left := [name for name in pattern_names if name not in self._seen]:
            print(f"{len(left):,} images that {self.table} does not name were left out: {listed(left)}")


def decode(place: Place, names: Sequence[str], pictures: Pictures) -> Iterator[tuple[slice, list[npt.NDArray[Any]]]]:
    """Yield which of some files come, and their images: no more at a time than may be in memory."""
    with place.files(names) as paths:
        images = (pictures(_content(path, name), name) for path, name in zip(paths, names, strict=True))
        start = 0
        for portion in portions(images, CHUNK):
            yield slice(start, start + len(portion)), portion
            start += len(portion)


def _content(path: Path, name: str) -> bytes:
    if path.stat().st_size > FILE:
        raise BadInput(f"{name} has {path.stat().st_size:,} bytes, too many for a picture")
    return path.read_bytes()
