"""A lineage as a person reads it, and as JSON."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from components.contract.terminal import line
from components.lineage.declared import chosen
from components.lineage.walk import VERIFIED, Node

Words = Mapping[str, Sequence[str]]  # by digest


def lines(start: Node, runs: Words, blessed: Words) -> Iterator[str]:
    """Yield a tree: what it is, whether it is verified, who made it how; below it what it was made from."""
    yield from _branch(start, "", "", set(), runs, blessed)


def _branch(  # noqa: PLR0913 - where in the tree, and what is known of the artifacts
    node: Node, first: str, rest: str, seen: set[str], runs: Words, blessed: Words
) -> Iterator[str]:
    known = node.digest in seen
    seen.add(node.digest)
    size = f", {len(node.found.manifest.files):,} files" if node.found and not known else ""
    yield f"{first}{line(node.name)} {node.digest}: {'see above' if known else node.state}{size}"
    if known:
        return
    bar = "│  " if node.inputs else "   "
    for text in _about(node, runs.get(node.digest, ()), blessed.get(node.digest, ())):
        yield f"{rest}{bar}{line(text)}"
    for index, each in enumerate(node.inputs):
        last = index == len(node.inputs) - 1
        yield from _branch(
            each, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), seen, runs, blessed
        )


def _about(node: Node, runs: Sequence[str], blessed: Sequence[str]) -> Iterator[str]:
    if node.problem:
        yield node.problem
    if not node.found:
        return
    manifest = node.found.manifest
    yield f"{manifest.component}, at {node.found.place}"
    if parameters := chosen(manifest):
        yield "parameters other than by default: " + ", ".join(f"{name}={value}" for name, value in parameters.items())
    if manifest.versions:
        yield "with " + ", ".join(f"{name} {version}" for name, version in sorted(manifest.versions.items()))
    if isinstance(source := manifest.metadata.get("source_sha256"), dict):
        yield from (f"from {name}, sha256 {digest}" for name, digest in source.items())
    if runs:
        yield f"in the runs here: {', '.join(runs)}"
    yield from blessed


def as_json(traced: Iterable[Node], runs: Words, blessed: Words) -> dict[str, Any]:
    """Return all artifacts of some lineages by their digests, and whether all of them are verified."""
    starts = list(traced)
    nodes = {node.digest: node for start in starts for node in start.all()}
    return {
        "traced": [start.digest for start in starts],
        "verified": all(node.state == VERIFIED for node in nodes.values()),
        "artifacts": {digest: _one(node, runs, blessed) for digest, node in nodes.items()},
    }


def _one(node: Node, runs: Words, blessed: Words) -> dict[str, Any]:
    said: dict[str, Any] = {"name": node.name, "state": node.state, "problem": node.problem}
    if node.found:
        manifest = node.found.manifest
        said |= {"place": node.found.place, "runs": list(runs.get(node.digest, ()))}
        said |= {"registry": list(blessed.get(node.digest, ())), "chosen": chosen(manifest)}
        said |= manifest.model_dump(include={"component", "output", "inputs", "parameters", "versions"})
    return said
