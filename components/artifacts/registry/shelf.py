"""The versions of a model for one test set, and what was decided of them."""

import getpass
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.contract import artifact, location
from components.contract.errors import BadInput
from components.contract.location import is_remote
from components.contract.store.client import Store
from components.contract.store.log import Entry, Log

VARIABLE = "TAPELINE_REGISTRY"
RUN = "TAPELINE_RUN"  # what a caller names its run by
BLESS, PROMOTE, ROLL_BACK = "bless", "promote", "roll back"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ARTIFACTS = "artifacts"


@dataclass(frozen=True)
class Version:
    """A model that was blessed."""

    number: int
    model: str  # digests of artifacts
    metrics: str
    dataset: str
    figures: Mapping[str, Any]


@dataclass(frozen=True)
class Event:
    """A decision: what became of which version, when, by whom, from which run, and why."""

    action: str
    version: int
    at: str
    by: str
    run: str
    why: str


@dataclass
class State:
    """What follows from the entries of a shelf."""

    versions: dict[int, Version] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    withdrawn: set[int] = field(default_factory=set)  # those that were stepped back from
    row: list[int] = field(default_factory=list)  # what was blessed one after the other, without what was taken back

    @property
    def current(self) -> Version | None:
        """Return the blessed version, if there is one."""
        return self.versions[self.row[-1]] if self.row else None

    def version(self, number: int) -> Version:
        """Return a version; raise `BadInput` for one that is not there."""
        if number not in self.versions:
            there = ", ".join(map(str, self.versions)) or "none"
            raise BadInput(f"there is no version {number}; there are: {there}")
        return self.versions[number]


class Registry:
    """All shelves at a place: a path or `s3://bucket/prefix`."""

    def __init__(self, place: str) -> None:
        self.place = place.rstrip("/")

    def shelf(self, name: str, test_set: str) -> "Shelf":
        """Return the shelf of a name and a test set; it need not have anything yet."""
        if not NAME.fullmatch(name) or name == _ARTIFACTS:
            raise BadInput(
                f"{name!r} is no name for a model: up to 63 letters, digits, points, - and _ are, but not {_ARTIFACTS}"
            )
        return Shelf(self, name, test_set)

    def shelves(self) -> list["Shelf"]:
        """Return the shelves that have entries, by name."""
        if is_remote(self.place):
            names: Iterable[str] = Store.from_environment().names(self.place)
        else:
            names = (path.relative_to(self.place).as_posix() for path in Path(self.place).rglob("*.json"))
        found = {(parts[0], parts[1]) for name in names if len(parts := name.split("/")) == 3}
        return [self.shelf(*each) for each in sorted(found) if each[0] != _ARTIFACTS]

    def artifact(self, digest: str) -> str:
        """Return where the artifact of that digest is kept."""
        return f"{self.place}/{_ARTIFACTS}/{digest}"

    def keep(self, folder: Path) -> str:
        """Keep a copy of an artifact, and return its digest."""
        digest = artifact.digest(folder)
        with location.staging(self.artifact(digest)) as staged:  # publishing takes what it publishes away
            for name in (*artifact.read(folder).files, artifact.MANIFEST):
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, staged / name)
            location.publish(staged, self.artifact(digest))
        return digest

    def fetch(self, digest: str, scratch: Path) -> Path:
        """Return a folder with the artifact of that digest, verified."""
        folder = location.fetch(self.artifact(digest), scratch)
        if (found := artifact.digest(folder)) != digest:
            raise BadInput(f"{self.artifact(digest)} is another artifact, with the digest {found}")
        return folder


class Shelf:
    """The versions of one name for one test set."""

    def __init__(self, registry: Registry, name: str, test_set: str) -> None:
        self.registry, self.name, self.test_set = registry, name, test_set
        self._log = Log(f"{registry.place}/{self}")

    def __str__(self) -> str:
        return f"{self.name}/{self.test_set}"

    @property
    def one_name(self) -> str:
        """What it is called where a name has no slash in it, as in other registries."""
        return f"{self.name}-{self.test_set}"

    def state(self) -> State:
        """Return what is there now."""
        return _state(self._log.entries(), self._log.place)

    def bless(self, choose: Callable[[State], Mapping[str, Any] | None]) -> State:
        """Make what `choose` returns for the state of the shelf the blessed version; if it returns None, nothing.

        It returns a version's `model`, `metrics`, `dataset` (digests) and `figures`, and `why`. Where somebody else
        decides at the same time, it is called again with what has become of it.
        """

        def document(state: State) -> Mapping[str, Any] | None:
            chosen = choose(state)
            return chosen and {"action": BLESS, "version": len(state.versions) + 1, **chosen}

        return self._decide(document)

    def promote(self, number: int, why: str) -> State:
        """Make a version the blessed one; raise `BadInput` if it is not there, or is the blessed one."""

        def document(state: State) -> Mapping[str, Any]:
            state.version(number)
            if state.row[-1:] == [number]:
                raise BadInput(f"version {number} of {self.name} is the blessed one already")
            return {"action": PROMOTE, "version": number, "why": why}

        return self._decide(document)

    def roll_back(self, why: str) -> State:
        """Make the version that was blessed before the present one the blessed one again."""

        def document(state: State) -> Mapping[str, Any]:
            if len(state.row) < 2:
                raise BadInput(f"there is nothing before the blessed version of {self.name} to go back to")
            return {"action": ROLL_BACK, "version": state.row[-2], "why": why}

        return self._decide(document)

    def _decide(self, choose: Callable[[State], Mapping[str, Any] | None]) -> State:
        def document(entries: list[Entry]) -> Mapping[str, Any] | None:
            chosen = choose(_state(entries, self._log.place))
            return chosen and {**chosen, "at": _now(), "by": _who(), "run": os.environ.get(RUN, "")}

        self._log.decide(document)
        return self.state()


def _state(entries: Iterable[Entry], place: str) -> State:
    state = State()
    for entry in entries:
        try:
            _apply(entry.document, state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BadInput(f"{place}: entry {entry.number} is none of a registry: {error!r}") from None
    return state


def _apply(said: Mapping[str, Any], state: State) -> None:
    action, number = str(said["action"]), int(said["version"])
    if action == BLESS:
        if number != len(state.versions) + 1:
            raise ValueError(f"version {number} after version {len(state.versions)}")
        model, metrics, dataset = (str(said[name]) for name in ("model", "metrics", "dataset"))
        state.versions[number] = Version(number, model, metrics, dataset, dict(said["figures"]))
    elif action not in (PROMOTE, ROLL_BACK) or number not in state.versions:
        raise ValueError(f"{action} version {number}")
    if action == ROLL_BACK:
        state.withdrawn.add(state.row.pop())
        if state.row[-1] != number:
            raise ValueError(f"back to version {number}, where {state.row[-1]} was before")
    else:
        state.row.append(number)
        state.withdrawn.discard(number)
    state.events.append(Event(action, number, *(str(said.get(name, "")) for name in ("at", "by", "run", "why"))))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _who() -> str:
    try:
        return os.environ.get("TAPELINE_BY") or getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a cluster
        return f"user {os.getuid()}"
