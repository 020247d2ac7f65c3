"""Files of an artifact that are fetched, or verified, when they are first used: those of a data set that is large.

A step's input names them by patterns (`Input.later`), and whoever reads such a file does so by `use`. What came from
the store is kept among the temporary files as long as there is room: what was used longest ago goes first.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from components.contract import artifact
from components.contract.artifact import File
from components.contract.errors import BadInput

T = TypeVar("T")
# From a file's name and what the manifest says of it to the file in its place, unless the event is set meanwhile.
Get = Callable[[str, File, threading.Event], None]

VARIABLE, ROOM = "TAPELINE_CACHE_BYTES", 8 * 2**30  # bytes of the disk that fetched files may take, of each artifact
GRACE_SECONDS = 2  # for a transfer to notice that nobody waits for it any more


class Later:
    """The files of an artifact in `folder` that were put off; `get` fetches one, None where they are there already."""

    def __init__(self, place: str, folder: Path, files: Mapping[str, File], get: Get | None) -> None:
        self.place = place  # that it is fetched from, or the folder
        self._folder = folder
        self._files = files
        self._get = get
        self._room = room()
        self._kept: OrderedDict[str, int] = OrderedDict()  # bytes, by name, in the order of their last use
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def holds(self, name: str) -> bool:
        """Tell whether a file is one of these."""
        return name in self._files

    def use(self, path: Path, read: Callable[[Path], T]) -> T:
        """Return what `read` makes of a file while it is sure to be there; raise `BadInput` for one that is damaged."""
        name = path.name
        with self._lock:
            if name not in self._kept:
                expected = self._files[name]
                if self._get:
                    self._get(name, expected, self._stopped)
                else:
                    artifact.check_file(self._folder, name, expected)
                self._kept[name] = expected.bytes if self._get else 0
            self._kept.move_to_end(name)
            made = read(path)
            while sum(self._kept.values()) > self._room and len(self._kept) > 1:
                oldest, _ = self._kept.popitem(last=False)
                (self._folder / oldest).unlink(missing_ok=True)  # what is mapped from it stays
            return made

    def stop(self) -> None:
        """Have no file fetched any more; one that is on its way has a moment to notice."""
        self._stopped.set()
        if self._lock.acquire(timeout=GRACE_SECONDS):
            self._lock.release()


_put_off: dict[Path, Later] = {}


def put_off(place: str, folder: Path, files: Mapping[str, File], get: Get | None) -> None:
    """Note that these files of the artifact at `place` are fetched by `get`, or else verified, when they are used.

    `folder` is where they are, or will be.
    """
    if files:
        _put_off[folder] = Later(place, folder, files, get)


def place(folder: Path) -> str:
    """Return where another process finds all of the artifact in a folder."""
    found = _put_off.get(folder)
    return found.place if found else str(folder)


def forget(folder: Path) -> None:
    """Forget what was put off there, as nobody uses it any more."""
    if found := _put_off.pop(folder, None):
        found.stop()


def use(path: Path, read: Callable[[Path], T]) -> T:
    """Return what `read` makes of a file, which is fetched or verified before if that was put off."""
    found = _put_off.get(path.parent)
    return found.use(path, read) if found and found.holds(path.name) else read(path)


def exists(path: Path) -> bool:
    """Tell whether a file is there, or will be when it is used."""
    found = _put_off.get(path.parent)
    return bool(found and found.holds(path.name)) or path.is_file()


def chosen(files: Mapping[str, File], patterns: Collection[str]) -> dict[str, File]:
    """Return the files that are put off by these patterns, such as `train-images-*`."""
    return {name: file for name, file in files.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def room() -> int:
    """Return how many bytes fetched files may take; raise `BadInput` where the environment says no number."""
    text = os.environ.get(VARIABLE, "") or str(ROOM)
    if not text.isdecimal() or len(text) > 18:
        raise BadInput(f"{VARIABLE}: {text!r} is no number of bytes; give one, such as {ROOM}, or none")
    return int(text)
