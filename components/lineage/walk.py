"""From an artifact to all that it was made from: each manifest names the digests of what its step was given."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from components.lineage.places import Found, Shelf

VERIFIED, CHANGED, NOT_FOUND = "verified", "CHANGED", "NOT FOUND"


@dataclass
class Node:
    """An artifact that was asked for, by its digest: what it is, whether it is that, and what it was made from."""

    name: str  # what the step that took it calls it
    digest: str
    state: str
    found: Found | None = None
    problem: str = ""  # in a sentence
    inputs: list["Node"] = field(default_factory=list)

    def all(self) -> Iterator["Node"]:
        """Yield this one and all that it was made from, each once."""
        seen: set[str] = set()
        waiting = [self]
        while waiting:
            node = waiting.pop(0)
            if node.digest not in seen:
                seen.add(node.digest)
                yield node
                waiting += node.inputs


class Walk:
    """Looks for artifacts on a shelf and verifies them; each is read once, however often it is met."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._known: dict[str, Node] = {}

    def up(self, name: str, digest: str) -> Node:
        """Return the artifact of that digest, with all that it was made from."""
        if digest in self._known:
            known = self._known[digest]
            return Node(name, digest, known.state, known.found, known.problem, known.inputs)
        node = self._known[digest] = self._look(name, digest)
        if node.found:
            node.inputs = [self.up(*each) for each in sorted(node.found.manifest.inputs.items())]
        return node

    def _look(self, name: str, digest: str) -> Node:
        copies = self._shelf.of(digest)
        if not copies:
            return Node(name, digest, NOT_FOUND, problem=self._absent(name))
        problems = []
        for each in copies:  # one that is whole will do
            if not (problem := each.verify()):
                return Node(name, digest, VERIFIED, each)
            problems.append(problem)
        return Node(name, digest, CHANGED, copies[0], problems[0])

    def _absent(self, name: str) -> str:
        others = [each.place for each in self._shelf.found if each.manifest.output == name]
        there = f"; another {name} is at {others[0]}" if others else ""
        return f"no artifact of this digest is in the places that were searched{there}"
