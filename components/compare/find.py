"""From what a person calls a run to its artifacts: by the name of a run here, by a place, or by a digest."""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.compare import chain, shelf
from components.compare.shelf import Found
from components.contract import outside
from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.embedded import serve

LAST = "last"
SHORTEST = 6  # hexadecimal digits of a digest
FEW = 8  # runs that a page can hold apart by colour


@dataclass(frozen=True)
class Located:
    """A run that was found: what it is called, its artifacts by kind, and what is to be said of them."""

    name: str
    made: Mapping[str, Found]
    notes: list[str] = field(default_factory=list)
    beside: str = ""  # where other runs lie, in a store


class Finder:
    """Finds runs: those kept in `folder` by `make run`, and those that lie anywhere else."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        """Take the folder of `make run`; its store is started when it is needed, and ends with `stack`."""
        self._folder, self._stack = folder, stack
        self._own: Store | None = None
        self._every: list[Found] | None = None

    def find(self, word: str) -> Located:
        """Return the run of that name, place or digest; raise `BadInput` for what is none."""
        runs = self._runs()
        path = Path(word)
        if word == LAST and runs:
            return self._local(runs[-1])
        if word in runs:
            return self._local(word)
        if word.startswith("s3://"):
            return _placed(word, Store.from_environment())
        if path.is_dir():
            return self._local(path.resolve().name) if self._is_kept(path, runs) else _placed(word, None)
        if re.fullmatch(f"[0-9a-f]{{{SHORTEST},64}}", word):
            return self._digested(word)
        hint = did_you_mean(word, [LAST, *runs]) or (f" (the last ones: {', '.join(runs[-3:])})" if runs else "")
        raise BadInput(
            f"{word!r} is no run: give the name of a folder in {self._folder / 'runs'}, {LAST}, the folder or "
            f"s3:// prefix below which a run's artifacts lie, or the digest of a model{hint}"
        )

    def complete(self, run: Located, others: list[Located]) -> Located:
        """Return a run with what its steps were given and is not where it lies, as where steps were cached."""
        made = dict(run.made)
        known = shelf.digests(each for other in others for each in other.made.values())
        if run.beside and not {*chain.lacking(made).values()} <= {*known}:
            known |= shelf.digests(shelf.below(run.beside, next(iter(made.values())).store))
        for _ in chain.KINDS:  # what came may lack something itself
            made |= {kind: known[digest] for kind, digest in chain.lacking(made).items() if digest in known}
        if chain.MODEL in made and chain.TRAINED not in made:
            made |= {each.kind: each for each in known.values() if chain.alike(each, made[chain.MODEL])}
        return replace(run, made=made)

    def _runs(self) -> list[str]:
        """Return the names of the runs that are kept, the last one last."""
        folder = self._folder / "runs"
        return sorted(path.parent.name for path in folder.glob("*/summary.json"))

    def _is_kept(self, path: Path, runs: list[str]) -> bool:
        return path.resolve().parent == (self._folder / "runs").resolve() and path.resolve().name in runs

    def _store(self) -> Store:
        if self._own is None:
            if not (self._folder / "store").is_dir():
                raise BadInput(f"{self._folder} has no store of `make run`; run it first, or give another --folder")
            self._own = Store.from_environment(self._stack.enter_context(serve(self._folder / "store")))
        return self._own

    def _local(self, name: str) -> Located:
        summary = _summary(self._folder / "runs" / name)
        places = _places(summary.get("artifacts"))
        notes = [] if summary.get("state") == "finished" else [_ended(summary)]
        if not places:
            return Located(name, {}, [*notes, "No step of it has come to its end."])
        store = self._store()
        found = [each for place in places if (each := shelf.at(place, store))]
        chosen, more = chain.choose(found)
        return Located(name, chosen, notes + more)

    def _digested(self, word: str) -> Located:
        if self._every is None:
            self._every = shelf.everything(self._store())
        matches = shelf.digests(each for each in self._every if each.digest.startswith(word))
        if not matches:
            raise BadInput(f"{word}: no artifact in {self._folder / 'store'} has a digest that begins so")
        if len(matches) > 1:
            some = ", ".join(sorted(matches)[:3])
            raise BadInput(f"{word}: {len(matches)} artifacts have a digest that begins so, such as {some}; give more")
        (start,) = matches.values()
        if start.kind == chain.DATASET:
            raise BadInput(f"{word} is a data set, of any number of runs; give the digest of a model")
        chosen, notes = chain.choose(chain.around(start, self._every))
        return Located(word[:12], chosen, notes)


def _placed(place: str, store: Store | None) -> Located:
    found = shelf.below(place, store)
    if not found:
        raise BadInput(f"{place}: there is no artifact at or below it, that is, no manifest.json")
    models = [each for each in found if each.kind == chain.MODEL]
    if others := [each for each in models if not chain.alike(each, models[0])]:
        raise BadInput(f"{place} holds several runs; name one, such as the one of {others[0].place}")
    chosen, notes = chain.choose(found)
    if not chosen:
        raise BadInput(f"{place}: of the artifacts below it ({found[0].kind}, …) none is of a run of this workflow")
    parent, _, name = place.rstrip("/").rpartition("/")
    return Located(name, chosen, notes, parent if store else "")


def _summary(folder: Path) -> dict[str, Any]:
    found = outside.document(outside.content(folder / "summary.json"), str(folder / "summary.json"))
    return found if isinstance(found, dict) else {}


def _ended(summary: Mapping[str, Any]) -> str:
    """Say how a run ended that did not come to its end."""
    why = str(summary.get("sentence") or "").split("\n")[0]
    return f"It did not come to its end: {why}" if why else "It did not come to its end."


def _places(made: object) -> list[str]:
    """Return the places that a summary says of artifacts: by output by step; none if it is of another form."""
    steps = made.values() if isinstance(made, dict) else ()
    outputs = [place for each in steps if isinstance(each, dict) for place in each.values()]
    return [place for place in outputs if isinstance(place, str) and place.startswith("s3://")]
