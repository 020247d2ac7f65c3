"""Where a source is: a folder, a single file, or a prefix in the store."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from components.contract import location
from components.contract.artifact import sha256
from components.contract.errors import BadInput, of_the_machine
from components.contract.store.client import Store


class Place:
    """The files of a source, by their names relative to it; `scratch` is for what is in the store."""

    def __init__(self, source: str, scratch: Path) -> None:
        self.source = source
        self.digests: dict[str, str] = {}  # of the files that were read, by their names
        self._scratch = scratch / "place"
        self._store = Store.from_environment() if location.is_remote(source) else None
        if self._store:
            self.names = [name for name in self._store.names(source) if _of_a_file(name)]
            if not self.names and (name := source.rstrip("/").rpartition("/")[2]) in self._store.names(
                source.rstrip("/").rpartition("/")[0]
            ):
                self.source, self.names = source.rstrip("/").rpartition("/")[0], [name]
        elif Path(source).is_file():
            self.source, self.names = str(Path(source).parent), [Path(source).name]
        else:
            # Some archives hold folders of the files' names, and dangling links.
            self.names = sorted(
                name
                for folder, _, files in os.walk(source, onerror=_refuse)
                for name in (f"{folder}/{file}".removeprefix(f"{source.rstrip('/')}/").lstrip("/") for file in files)
                if _is_file(Path(source) / name)
            )
        if not self.names:
            raise BadInput(f"source: there is no file at {source}")

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give one of the files on this machine's disk; what had to be downloaded is gone afterwards."""
        with self.files([name]) as (path,):
            yield path

    @contextmanager
    def files(self, names: Sequence[str]) -> Iterator[list[Path]]:
        """Give some of the files, as `file` does; what is in the store is fetched several at a time."""
        if not self._store:
            paths = [Path(self.source) / name for name in names]
            self._note(names, paths)
            yield paths
            return
        # Each in a folder of its own: a store may have both a and a/b, or keys that lead out of a folder.
        paths = [self._scratch / str(number) / name.rpartition("/")[2] for number, name in enumerate(names)]
        addresses = [f"{self.source.rstrip('/')}/{name}" for name in names]
        try:
            self._store.read_all(list(zip(addresses, paths, strict=True)))
            self._note(names, paths)
            yield paths
        finally:
            for path in paths:
                path.unlink(missing_ok=True)

    def _note(self, names: Sequence[str], paths: Sequence[Path]) -> None:
        for name, path in zip(names, paths, strict=True):
            if name not in self.digests:
                self.digests[name] = sha256(path)

    def remove(self) -> None:
        """Remove what was downloaded."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def _of_a_file(key: str) -> bool:
    """Tell whether a key in the store, relative to the source, may be the name of a file, not that of a folder."""
    return key.rpartition("/")[2] not in ("", ".", "..") and "\0" not in key


def _refuse(error: OSError) -> NoReturn:
    """Raise an error, say of a folder that may not be read, which `os.walk` would pass over."""
    if of_the_machine(error):
        raise error
    raise BadInput(f"source: {error.filename} cannot be read: {error.strerror}") from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a name that is too long
        _refuse(error)
