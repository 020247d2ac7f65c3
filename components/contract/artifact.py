"""An artifact: a folder whose `manifest.json` lists every file in it with its digest, and says how it was made.

The manifest holds no time, host, or address, so the same inputs and seed give the same bytes whoever calls. The
digest of an artifact is the sha256 of its manifest, which makes a chain: each manifest names its inputs' digests.
"""

import hashlib
import json
import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from components.contract import outside
from components.contract.errors import BadInput
from components.contract.terminal import HIDDEN

MANIFEST = "manifest.json"


class File(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(BaseModel):
    """What an artifact holds and what it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    component: str
    output: str
    parameters: dict[str, Any]
    inputs: dict[str, str]  # the digest of each input artifact
    versions: dict[str, str]
    metadata: dict[str, Any]
    files: dict[str, File]

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, File]) -> dict[str, File]:
        folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts:
                raise ValueError(f"{name!r} points outside the artifact")
            if str(path) != name or HIDDEN.search(name) or max(len(part.encode()) for part in path.parts) > 255:
                raise ValueError(f"{name!r} is not how a file is called")
            if name == MANIFEST or name in folders:
                raise ValueError(f"{name!r} is the name of something else in the artifact")
        return files

    @classmethod
    def parse(cls, text: bytes, where: str) -> Self:
        """Read a manifest; raise `BadInput` naming `where` it was found if it is not one."""
        try:
            return cls.model_validate(outside.document(text, f"{where}/{MANIFEST}"))
        except ValidationError as error:
            first = error.errors()[0]
            raise BadInput(
                f"{where}/{MANIFEST} is not a manifest of schema version 1: "
                f"{'.'.join(map(str, first['loc'])) or 'text'}: {first['msg']}"
            ) from None

    def to_bytes(self) -> bytes:
        """Return the one way to write this manifest."""
        return canonical_json(self.model_dump())


def canonical_json(value: Any) -> bytes:
    """Return JSON in one fixed form: sorted keys, indented, ending in a newline, nothing non-finite."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def number(value: float) -> float | None:
    """Return a number as JSON can hold it: None (null) for NaN and the infinities."""
    return value if math.isfinite(value) else None


def seal(  # noqa: PLR0913 - each argument is a field of the manifest
    folder: Path,
    *,
    component: str,
    output: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, str],
    packages: tuple[str, ...] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Manifest:
    """Make `folder` an artifact: write the manifest of all the files in it.

    `packages` are modules that the work imported; their versions are noted.
    """
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / MANIFEST:
            path.chmod(0o644)  # some libraries make their files private, but an artifact is to be read
            name = path.relative_to(folder).as_posix()
            files[name] = File(sha256=sha256(path), bytes=path.stat().st_size)
    manifest = Manifest(
        component=component,
        output=output,
        parameters=dict(parameters),
        inputs=dict(inputs),
        versions={package: sys.modules[package].__version__ for package in packages},
        metadata=dict(metadata or {}),
        files=files,
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())
    return manifest


def read(folder: Path) -> Manifest:
    """Return the manifest of `folder`, without a look at the files; raise `BadInput` if it has none."""
    try:
        text = outside.content(folder / MANIFEST)
    except FileNotFoundError:
        raise BadInput(f"{folder} is not an artifact: it has no {MANIFEST}") from None
    return Manifest.parse(text, str(folder))


def manifests(folder: Path, unreadable: list[str]) -> Iterator[Path]:
    """Yield the manifests in a folder and below it, in order; what is hidden, as what is being written, is left out.

    What cannot be looked into is added to `unreadable`, a sentence for each: a folder may hold anything.
    """

    def note(error: OSError) -> None:
        unreadable.append(f"{str(error.filename)[:200]} cannot be looked into: {error.strerror}")

    for path, folders, names in os.walk(folder, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MANIFEST in names:
            yield Path(path) / MANIFEST


def verify(folder: Path, later: Collection[str] = ()) -> Manifest:
    """Return the manifest of `folder` once every file in it has the digest that it says; else raise `BadInput`.

    Of the files `later` it is enough that they are there.
    """
    manifest = read(folder)
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BadInput(f"{path} is missing, but the manifest lists it")
        if name not in later:
            check_file(folder, name, expected)
    names = (path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
    if others := sorted(
        str(name) for name in names if str(name) not in {*manifest.files, MANIFEST} and not _hidden(name)
    ):
        raise BadInput(f"{folder / others[0]} is in the artifact, but its manifest does not list it; take it out")
    return manifest


def _hidden(name: Path) -> bool:
    """Tell whether a file is one that file managers leave behind, which nobody reads."""
    return any(part.startswith(".") for part in name.parts)


def check_file(folder: Path, name: str, expected: File) -> None:
    """Raise `BadInput` unless a file of the artifact in `folder` is as expected."""
    path = folder / name
    check(name, expected, sha256(path), path.stat().st_size, str(folder))


def check(name: str, expected: File, digest: str, size: int, where: str) -> None:
    """Raise `BadInput` naming the file unless it has the expected size and digest."""
    if (size, digest) != (expected.bytes, expected.sha256):
        raise BadInput(
            f"{where}/{name} was changed or damaged: the manifest says {expected.bytes} bytes with sha256 "
            f"{expected.sha256}, found {size} bytes with {digest}; make the artifact again"
        )


def digest(folder: Path) -> str:
    """Return the digest of an artifact: the sha256 of its manifest."""
    return sha256(folder / MANIFEST)


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
