"""The artifacts in some places: folders and s3:// prefixes, searched for manifests."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from components.contract import artifact, location, outside
from components.contract.artifact import MANIFEST, Manifest
from components.contract.errors import BadInput
from components.contract.store.client import Store

READERS = 8  # manifests that are read from a store at the same time


@dataclass(frozen=True)
class Found:
    """An artifact at a place, as its manifest says; its files have not been looked at."""

    place: str
    digest: str
    manifest: Manifest
    store: Store | None = None  # none for a folder

    @property
    def kind(self) -> str:
        """Return which output of which component it is."""
        return f"{self.manifest.component}/{self.manifest.output}"

    def verify(self) -> str:
        """Return what is wrong with the files, each of which is read; nothing where all are as they were sealed."""
        try:
            if self.store is None:
                artifact.verify(Path(self.place))
                self._stays(Path(self.place))
            else:
                self._verify_remote(self.store)
        except BadInput as error:
            return str(error)
        return ""

    def _stays(self, folder: Path) -> None:
        if artifact.digest(folder) != self.digest:
            raise BadInput(f"{self.place} was replaced while it was read")

    def _verify_remote(self, store: Store) -> None:
        with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
            store.fetch(self.place, Path(scratch))
            self._stays(Path(scratch))
        if more := sorted({*store.names(self.place)} - {*self.manifest.files, MANIFEST}):
            raise BadInput(f"{self.place}/{more[0]} is in the artifact, but its manifest does not list it")


@dataclass
class Shelf:
    """All artifacts in some places, and what looks like a manifest there and is none."""

    found: list[Found] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def add(self, place: str, store: Store | None = None) -> None:
        """Add what is at a place and below it; `store` is that of an s3:// prefix."""
        if location.is_remote(place):
            self._add_remote(place.rstrip("/"), store or Store.from_environment())
        elif not Path(place).is_dir():
            raise BadInput(f"{place} is no folder; give places where artifacts lie")
        else:
            for path in artifact.manifests(Path(place), self.unreadable):
                try:
                    self._add(str(path.parent), outside.content(path), None)
                except BadInput as error:  # it is a pipe, say
                    self.unreadable.append(str(error))

    def of(self, digest: str) -> list[Found]:
        """Return the artifacts whose digest begins so."""
        return [each for each in self.found if each.digest.startswith(digest)]

    def at(self, place: str) -> Found | None:
        """Return the artifact at a place."""
        wanted = place.rstrip("/") if location.is_remote(place) else str(Path(place))
        return next((each for each in self.found if each.place == wanted), None)

    def _add_remote(self, place: str, store: Store) -> None:
        names = [name for name in store.names(place) if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
        places = [f"{place}/{name}"[: -len(MANIFEST) - 1] for name in names]
        with ThreadPoolExecutor(READERS) as pool:
            for each, text in zip(places, pool.map(store.manifest, places), strict=True):
                if text is not None:
                    self._add(each, text, store)

    def _add(self, place: str, text: bytes, store: Store | None) -> None:
        if place in self._seen:
            return
        self._seen.add(place)
        try:
            self.found.append(Found(place, hashlib.sha256(text).hexdigest(), Manifest.parse(text, place), store))
        except BadInput as error:
            self.unreadable.append(str(error))
