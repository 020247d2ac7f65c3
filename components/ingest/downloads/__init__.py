"""Files that are fetched once, verified, and kept: from a mirror of one's own, the known mirrors, or a package."""

import functools
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import urllib3

from components.contract import waiting
from components.contract.artifact import sha256
from components.contract.ending import temporary_folder
from components.contract.errors import BadInput, StepError, StoreUnavailable, is_disk_full
from components.contract.waiting import MayPass
from components.ingest.downloads import own, transport
from components.ingest.forms import idx
from components.ingest.known.declaration import Download, File, load

LARGEST = 2**31  # bytes that a packed file of a known data set may have unpacked, before its digest is compared
Fetch = Callable[[Path], None]  # writes the files into a folder, under their names in the cache


class NobodyHasIt(StoreUnavailable):
    """Nobody had the files; `passing` is why one of those asked may have them soon, if so."""

    def __init__(self, *lines: str, passing: MayPass | None) -> None:
        super().__init__(*lines)
        self.passing = passing


def obtain(download: Download, cache: Path) -> dict[str, Path]:
    """Return the path of each file by its name; fetch them unless the cache has them undamaged.

    Where nobody has them now, but may have them soon, all are asked again as long as waiting.py says. Raises
    `StoreUnavailable` if nobody has them then, `BadInput` if whoever was asked had something else.
    """
    folder = _folder(download, cache)
    paths = {file.name: folder / file.cached for file in download.files}
    if all((folder / file.cached).is_file() and not _stranger(file, folder) for file in download.files):
        return paths
    return waiting.patiently(
        f"download {download.folder}",
        lambda: _ask_all(download, folder, paths),
        lambda error: error.passing if isinstance(error, NobodyHasIt) else None,
    )


def _ask_all(download: Download, folder: Path, paths: dict[str, Path]) -> dict[str, Path]:
    tried, refused, passing = [], [], None
    for address, fetch in _ways(download):
        print(f"downloading {download.folder} from {address}", flush=True)
        with temporary_folder(parent=folder) as partial:
            try:
                fetch(partial)
                found = [_stranger(file, partial) for file in download.files]
            except (urllib3.exceptions.HTTPError, OSError, subprocess.SubprocessError, StepError) as error:
                if is_disk_full(error):  # no other source will help
                    raise
                tried.append(f"{address}: {_reason(error)}")
                passing = passing or transport.passing(error)
                continue
            if wrong := [f"{name} from {address} {what}" for name, what in zip(paths, found, strict=True) if what]:
                refused.append(wrong[0])
                continue
            for path in paths.values():
                (partial / path.name).replace(path)
        return paths
    if refused and not tried:
        raise BadInput(refused[0], *(f"  {each}" for each in refused[1:]))
    raise NobodyHasIt(
        f"{download.folder} could not be downloaded; tried",
        *(f"  {each}" for each in [*refused, *tried]),
        f"Where the network lacks it, set HTTPS_PROXY, or {own.VARIABLE} to a copy within reach (docs/data.md), or "
        "give your own files: --source FOLDER or s3://bucket/prefix",
        passing=passing,
    )


def _folder(download: Download, cache: Path) -> Path:
    """Return the folder that keeps the files, which is made."""
    try:
        folder = cache.expanduser() / download.folder
    except RuntimeError:
        raise BadInput(f"cache: this user has no home for {cache}; give a folder with --cache") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cache: cannot make {folder}: {error.strerror}; give another folder with --cache") from None
    return folder


def _ways(download: Download) -> Iterator[tuple[str, Fetch]]:
    """Yield what to call each source of the files, and the function that fetches them from there."""
    if mirror := os.environ.get(own.VARIABLE):
        address, get = own.mirror(mirror, download.folder)
        yield address, functools.partial(_from_own, get, download)
    for known in download.mirrors:
        yield known, functools.partial(_from_mirror, known, download)
    for name, function in download.packages.items():
        yield name, load(function)


def _from_mirror(mirror: str, download: Download, folder: Path) -> None:
    for file in download.files:
        transport.get(f"{mirror}/{file.packed}", folder / file.packed)
        if file.unpacked:
            _unpack(file, folder)


def _from_own(get: own.Get, download: Download, folder: Path) -> None:
    """Fetch from a mirror of one's own, which may have files as the cache has them, or as other mirrors do."""
    for file in download.files:
        try:
            get(file.cached, folder / file.cached)
        except transport.NotThere:
            if not file.unpacked:
                raise
            get(file.packed, folder / file.packed)
            _unpack(file, folder)


def _unpack(file: File, folder: Path) -> None:
    idx.unpacked(folder / file.packed, folder / file.cached, LARGEST)


def _stranger(file: File, folder: Path) -> str:
    """Return what is wrong with a file in that folder, after its name; nothing if it is the known one."""
    path = folder / file.cached
    algorithm, _, expected = file.digest.partition(":")
    found = sha256(path) if algorithm == "sha256" else _md5(path)
    return "" if found == expected else f"is not the known one: expected {algorithm} {expected}, got {found}"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        last = (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
        return last[0] if last else str(error)
    return str(getattr(error, "reason", None) or error).rpartition(">: ")[2]
