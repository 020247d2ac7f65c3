"""A log: documents in a row that only grows, in a folder or in the store, for any number of writers at once.

Entry 17 is the file `000017.json`. It is created where there is none, or not at all, so of those who want to be the
17th exactly one is; the others see that, read what has come, and decide anew. No entry is ever changed or removed.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.contract import outside
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.contract.location import is_remote
from components.contract.store import documents
from components.contract.store.client import Store, split
from components.contract.store.transfers import Key

LONGEST = 999_999


@dataclass(frozen=True)
class Entry:
    """One entry of a log."""

    number: int  # from 1 on
    document: Mapping[str, Any]


class Log:
    """A log at a place: a path or `s3://bucket/prefix`, there in the environment's store unless another is given."""

    def __init__(self, place: str, store: Store | None = None) -> None:
        self.place = place.rstrip("/")
        self._store = (store or Store.from_environment()) if is_remote(place) else None

    def entries(self, after: int = 0) -> list[Entry]:
        """Return the entries of higher numbers than `after`, in order; raise `BadInput` for one that is none."""
        names = self._names()
        numbers = sorted(int(name[:-5]) for name in names if _is_entry(name))
        return [self._read(number) for number in numbers if number > after]

    def append(self, document: Mapping[str, Any], number: int) -> bool:
        """Make a document the entry of that number, and tell whether it is; not so where another came first."""
        text = canonical_json({"document": document, "token": secrets.token_hex(16)})
        if self._store is None:
            return _create(self._path(number), text)
        return documents.create(self._store.connection, text, self._key(number))

    def add(self, document: Mapping[str, Any]) -> int:
        """Make a document the next entry, whichever that is when its turn comes; return its number."""
        return self.decide(lambda _: document)[0]

    def decide(self, choose: Callable[[list[Entry]], Mapping[str, Any] | None]) -> tuple[int, Mapping[str, Any] | None]:
        """Make what `choose` returns for all entries that there are the next one; return its number and document.

        Where another entry came in between, `choose` is called again, so what it decides is true of what is there. If
        it returns None, nothing is added, and the number is that of the last entry.
        """
        found = self.entries()
        while True:
            last = found[-1].number if found else 0
            document = choose(found)
            if document is None or self.append(document, last + 1):
                return last + (document is not None), document
            found += self.entries(after=last)

    def _names(self) -> list[str]:
        if self._store is not None:
            return self._store.names(self.place)
        with contextlib.suppress(FileNotFoundError):
            return [path.name for path in Path(self.place).iterdir()]
        return []

    def _read(self, number: int) -> Entry:
        if self._store is None:
            text: bytes | None = outside.content(self._path(number))
        else:
            text = documents.get(self._store.connection, self._key(number))
        where = f"{self.place}/{_name(number)}"
        found = outside.document(text or b"", where)
        if not isinstance(found, dict) or not isinstance(found.get("document"), dict):
            raise BadInput(f"{where} is no entry of a log: expected an object with a document")
        return Entry(number, found["document"])

    def _path(self, number: int) -> Path:
        return Path(self.place) / _name(number)

    def _key(self, number: int) -> Key:
        bucket, prefix = split(self.place)
        return Key(bucket, prefix + _name(number))


def _name(number: int) -> str:
    if not 1 <= number <= LONGEST:
        raise BadInput(f"a log has entries from 1 to {LONGEST}, and this would be {number}")
    return f"{number:06}.json"


def _is_entry(name: str) -> bool:
    return len(name) == 11 and name.endswith(".json") and name[:6].isascii() and name[:6].isdigit()


def _create(path: Path, text: bytes) -> bool:
    """Write a file whole where there is none, and tell whether it was this call that did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            os.fchmod(descriptor, 0o644)
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        Path(partial).unlink()
    return True
