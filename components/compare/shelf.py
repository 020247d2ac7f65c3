"""Where artifacts lie: in a folder or in a store, by their manifests; and how single files of one are fetched."""

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from components.contract import artifact, outside
from components.contract.artifact import MANIFEST, Manifest
from components.contract.store import transfers
from components.contract.store.client import Store


@dataclass(frozen=True)
class Found:
    """An artifact: where it is, its digest, and what its manifest says."""

    place: str  # a path, or s3://bucket/prefix
    digest: str
    manifest: Manifest
    store: Store | None  # None for a folder

    @property
    def kind(self) -> str:
        """Return which step's output it is, such as `train/metrics`."""
        return f"{self.manifest.component}/{self.manifest.output}"


def at(place: str, store: Store | None) -> Found | None:
    """Return the artifact at a place, or None where there is no finished one."""
    if store is not None:
        text = store.manifest(place)
    else:
        try:
            text = outside.content(Path(place) / MANIFEST)
        except FileNotFoundError:
            return None
    return None if text is None else _found(place, text, store)


def below(place: str, store: Store | None) -> list[Found]:
    """Return all artifacts below a place, in the order of their names; checkpoints are none that count here."""
    if store is None:
        unreadable: list[str] = []
        here = [made for path in artifact.manifests(Path(place), unreadable) if (made := at(str(path.parent), None))]
        for sentence in unreadable:
            print(f"warning: {sentence}", file=sys.stderr)
        return here
    base = place.rstrip("/")
    names = (name for name in store.names(place) if name == MANIFEST or name.endswith("/" + MANIFEST))
    places = [f"{base}/{name.removesuffix(MANIFEST)}".rstrip("/") for name in names]
    found: dict[str, Found] = {}

    def one(each: str, _: object) -> None:
        if made := at(each, store):
            found[each] = made

    transfers.in_parallel(one, places)
    return [found[each] for each in places if each in found]


def everything(store: Store) -> list[Found]:
    """Return all artifacts that a store holds."""
    buckets = store.connection.call("list the buckets", lambda s3: s3.list_buckets().get("Buckets", ()))
    return [found for bucket in buckets for found in below(f"s3://{bucket['Name']}", store)]


def take(found: Found, scratch: Path, wanted: Callable[[str], bool]) -> Path:
    """Return a folder with the manifest and the wanted files of an artifact, each as the manifest says.

    What is in a store is downloaded to `scratch`, once. Raises `BadInput` for what is missing or was changed.
    """
    files = {name: file for name, file in found.manifest.files.items() if wanted(name)}
    folder = Path(found.place) if found.store is None else scratch / found.digest
    if found.store is not None:
        missing = [name for name in files if not (folder / name).exists()]
        for name in missing:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        found.store.read_all([(f"{found.place}/{name}", folder / name) for name in missing])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).write_bytes(found.manifest.to_bytes())
    for name, expected in files.items():
        path = folder / name
        size, digest = (path.stat().st_size, artifact.sha256(path)) if path.is_file() else (0, "nothing")
        artifact.check(name, expected, digest, size, found.place)
    return folder


def digests(found: Iterable[Found]) -> dict[str, Found]:
    """Return artifacts by their digests; of some that are alike, the first."""
    by_digest: dict[str, Found] = {}
    for each in found:
        by_digest.setdefault(each.digest, each)
    return by_digest


def _found(place: str, text: bytes, store: Store | None) -> Found:
    return Found(place, hashlib.sha256(text).hexdigest(), Manifest.parse(text, place), store)
