"""Pictures that a table names: files beside it, fetched and decoded some at a time."""

import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt

from components.contract.errors import BadInput
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
            self.resolved = [self._resolve(*pair) for pair in zip(names[part], origins[part], strict=True)]
            yield part, decode(self.place, self.resolved, self.pictures)

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


def decode(place: Place, names: Sequence[str], pictures: Pictures) -> list[npt.NDArray[Any]]:
    """Return the images of some files."""
    with place.files(names) as paths:
        return [pictures(path.read_bytes(), name) for path, name in zip(paths, names, strict=True)]
