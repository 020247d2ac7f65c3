"""Which runs an artifact is of. It does not say so itself, as the same bytes may come of many; who keeps runs does."""

from collections.abc import Iterable
from pathlib import Path

from components.artifacts.registry import Registry, Shelf
from components.contract import outside
from components.contract.errors import BadInput
from components.lineage.places import Found


def kept(folder: Path, found: Iterable[Found]) -> dict[str, list[str]]:
    """Return the names of the runs of `make run` that have an artifact, by its digest."""
    by_place = {each.place: each.digest for each in found}
    runs: dict[str, list[str]] = {}
    for path in sorted(folder.glob("runs/*/summary.json")):
        said = outside.document(outside.content(path), str(path))
        for place in _places(said.get("artifacts") if isinstance(said, dict) else None):
            if place in by_place:
                runs.setdefault(by_place[place], []).append(path.parent.name)
    return runs


def _places(steps: object) -> list[str]:
    """Return the places in the summary of a run, {step: {output: place}}; none if it is of another form."""
    outputs = [each for each in steps.values() if isinstance(each, dict)] if isinstance(steps, dict) else []
    return [place for each in outputs for place in each.values() if isinstance(place, str)]


def shelf_of(registry: Registry, name: str) -> Shelf:
    """Return the shelf of the registry that NAME or NAME/TESTSET stands for; raise `BadInput` if that is not one."""
    shelves = registry.shelves()
    found = [each for each in shelves if name in (each.name, str(each))]
    if len(found) != 1:
        there = ", ".join(map(str, shelves)) or "none"
        raise BadInput(f"{name!r} is no digest, no place, and no one model of {registry.place}; it has: {there}")
    return found[0]


def blessings(registry: Registry, digests: Iterable[str]) -> dict[str, list[str]]:
    """Return what the registry says of artifacts that are models: when, by whom and from which run each was blessed."""
    wanted = {*digests}
    said: dict[str, list[str]] = {}
    for shelf in registry.shelves():
        state = shelf.state()
        for event in state.events:
            version = state.versions[event.version]
            if version.model in wanted:
                run = f", in the run {event.run}" if event.run else ""
                line = f"{event.action}: version {version.number} of {shelf}, at {event.at}"
                said.setdefault(version.model, []).append(f"{line} by {event.by}{run}")
    return said
