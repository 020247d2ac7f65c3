"""Where an artifact is: a local path or an `s3://bucket/prefix`. The only place that tells them apart."""

import contextlib
import ctypes
import errno
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from components.contract import artifact, later
from components.contract.ending import temporary_folder
from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store, split

TRIES = 100  # to replace what another run replaces at the same time
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux's renameat2

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


def is_remote(location: str) -> bool:
    """Tell whether `location` is in the store."""
    if "\0" in location:
        raise BadInput(f"{location!r} is no path: none has a NUL in it")
    if "://" in location and not location.startswith("s3://"):
        raise BadInput(f"{location!r} is neither a path nor of the form s3://bucket/prefix")
    if location.startswith("s3://"):
        split(location)  # a malformed one is refused before anything is done
        return True
    return False


def fetch(location: str, scratch: Path, put_off: Collection[str] = ()) -> Path:
    """Return a folder with the artifact at `location`, verified; what is in the store is downloaded to `scratch`.

    Files that match one of the patterns `put_off` are downloaded, or verified, when they are used: see later.py.
    """
    if is_remote(location):
        store = Store.from_environment()
        manifest = store.fetch(location, scratch, put_off)
        get = functools.partial(store.fetch_file, location, scratch)
        later.put_off(location, scratch, later.chosen(manifest.files, put_off), get)
        return scratch
    folder = Path(location)
    left = later.chosen(artifact.read(folder).files, put_off)
    artifact.verify(folder, left)
    later.put_off(location, folder, left, None)
    return folder


@contextlib.contextmanager
def staging(location: str) -> Iterator[Path]:
    """Give an empty folder to write an artifact in, on the file system it will be renamed on; gone afterwards."""
    remote = is_remote(location)
    if remote:
        Store.from_environment()  # what is wrong with its settings is said before the work is done
    parent = None if remote else Path(location).absolute().parent
    with contextlib.ExitStack() as stack:
        try:
            if parent:
                parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(temporary_folder(".tapeline-", parent))
        except OSError as error:
            raise BadInput(f"cannot write to {location}: {error.strerror}") from None
        yield folder


def publish(folder: Path, location: str) -> None:
    """Make the sealed artifact in `folder` visible at `location`, all or nothing."""
    if is_remote(location):
        Store.from_environment().publish(folder, location)
        return
    folder.chmod(0o755)  # a temporary folder is private, but an artifact is to be read
    place(folder, Path(location))


def place(staged: Path, path: Path) -> None:
    """Rename `staged`, a file or folder on the same file system, to `path`, replacing what was there.

    At `path` is the one or the other at any time, also for a process that is killed; of two at once the last one stays.
    """
    for _ in range(TRIES):
        if path.is_dir() and staged.is_dir():
            if _is_a_strangers(path):
                raise BadInput(f"{path} holds something that is not an artifact; choose another place or remove it")
            if _exchange(staged, path):
                return  # what was there is where the staged one was, and goes with it
        else:
            try:
                staged.replace(path)
            except OSError as error:
                if error.errno not in _TAKEN:  # another run has been there since
                    raise
            else:
                return
    raise BadInput(f"{path} is being replaced by other runs all the time; choose another place")


def _is_a_strangers(path: Path) -> bool:
    """Tell whether at `path` is a folder with files and without a manifest."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            names = os.listdir(folder)  # noqa: PTH208 - of the folder that is open, wherever it is by now
            stays = os.path.samestat(os.fstat(folder), path.stat())
        finally:
            os.close(folder)
    except FileNotFoundError:  # another run is replacing it
        return False
    return stays and bool(names) and artifact.MANIFEST not in names  # one that was replaced meanwhile is being removed


def _exchange(one: Path, other: Path) -> bool:
    """Have two folders change their places; return whether both were there."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename and not rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        return True
    if rename and ctypes.get_errno() == errno.ENOENT:
        return False
    # Not every file system knows how: for a moment there is nothing.
    spare = Path(tempfile.mkdtemp(prefix=".tapeline-", dir=other.parent))
    try:
        other.replace(spare)
    except OSError as error:
        spare.rmdir()
        if error.errno != errno.ENOENT:
            raise
        return False
    try:
        one.replace(other)
    except BaseException as error:  # a SIGTERM too: what was there must not be lost
        try:
            spare.replace(other)
        except OSError as failure:
            if failure.errno not in _TAKEN:
                raise
            shutil.rmtree(spare, ignore_errors=True)  # another run has replaced it since
        if getattr(error, "errno", None) in _TAKEN:
            return False
        raise
    shutil.rmtree(spare, ignore_errors=True)
    return True


def removed(store: Store, uri: str) -> bool:
    """Remove the artifact at `uri` if the credentials may; tell whether it is gone. No work ends over tidying up."""
    try:
        store.remove(uri)
    except StoreRefused as error:
        if error.code != "AccessDenied":
            raise
        _warn_once(store.endpoint, f"warning: {error}; what is not needed any more stays there")
        return False
    return True


_warned: set[str] = set()


def _warn_once(endpoint: str, text: str) -> None:
    if endpoint not in _warned:
        _warned.add(endpoint)
        print(text, file=sys.stderr, flush=True)


def children(location: str) -> list[str]:
    """Return the names of the finished artifacts directly below `location`, sorted."""
    if is_remote(location):
        names = Store.from_environment().names(location)
        return sorted(
            name.split("/")[0] for name in names if name.count("/") == 1 and name.endswith("/" + artifact.MANIFEST)
        )
    return sorted(path.parent.name for path in Path(location).glob(f"*/{artifact.MANIFEST}"))


def remove(location: str) -> None:
    """Remove the artifact at `location`; where the credentials may not, that is said once, and it stays."""
    if is_remote(location):
        removed(Store.from_environment(), location)
        return
    (Path(location) / artifact.MANIFEST).unlink()  # first, so that what is left never looks finished
    shutil.rmtree(location)
