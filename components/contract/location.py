"""Where an artifact is: a local path or an `s3://bucket/prefix`. The only place that tells them apart."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from components.contract import artifact
from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store, split


def is_remote(location: str) -> bool:
    """Tell whether `location` is in the store."""
    if "://" in location and not location.startswith("s3://"):
        raise BadInput(f"{location!r} is neither a path nor of the form s3://bucket/prefix")
    if location.startswith("s3://"):
        split(location)  # a malformed one is refused before anything is done
        return True
    return False


def fetch(location: str, scratch: Path) -> Path:
    """Return a folder with the artifact at `location`, verified; what is in the store is downloaded to `scratch`."""
    if is_remote(location):
        Store.from_environment().fetch(location, scratch)
        return scratch
    artifact.verify(Path(location))
    return Path(location)


@contextlib.contextmanager
def staging(location: str) -> Iterator[Path]:
    """Give an empty folder to write an artifact in, on the file system it will be renamed on; gone afterwards."""
    remote = is_remote(location)
    if remote:
        Store.from_environment()  # what is wrong with its settings is said before the work is done
    parent = None if remote else Path(location).absolute().parent
    try:
        if parent:
            parent.mkdir(parents=True, exist_ok=True)
        name = tempfile.mkdtemp(prefix=".tapeline-", dir=parent)
    except OSError as error:
        raise BadInput(f"cannot write to {location}: {error.strerror}") from None
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)


def publish(folder: Path, location: str) -> None:
    """Make the sealed artifact in `folder` visible at `location`, all or nothing."""
    if is_remote(location):
        Store.from_environment().publish(folder, location)
        return
    folder.chmod(0o755)  # mkdtemp makes folders private, but an artifact is to be read
    place(folder, Path(location))


def place(staged: Path, path: Path) -> None:
    """Rename `staged`, a file or folder on the same file system, to `path`, replacing what was there."""
    if not path.is_dir():
        staged.replace(path)
        return
    if any(path.iterdir()) and not (path / artifact.MANIFEST).is_file():
        raise BadInput(f"{path} holds something that is not an artifact; choose another place or remove it")
    old = Path(tempfile.mkdtemp(prefix=".tapeline-", dir=path.parent))
    path.replace(old)
    try:
        staged.replace(path)
    except BaseException:  # a SIGTERM too: what was there must not be lost
        old.replace(path)
        raise
    shutil.rmtree(old)


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
