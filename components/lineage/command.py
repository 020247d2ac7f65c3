"""Say what a model was made from: step by step up to the data, from digests alone, each file of it verified.

A model, or any other artifact, is its digest or the beginning of one, a folder, an s3://bucket/prefix, or its name in
the registry. A digest says the most: what lies at a place is only what that place says of itself.
"""

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.artifacts.registry import Registry
from components.artifacts.registry.shelf import VARIABLE
from components.contract import location
from components.contract.artifact import canonical_json
from components.contract.command import Parser
from components.contract.errors import BadInput, StepError
from components.contract.store.client import split
from components.contract.store.embedded import serve
from components.lineage import croissant, openlineage, runs, statements
from components.lineage.places import Found, Shelf
from components.lineage.post import post
from components.lineage.show import as_json, lines
from components.lineage.walk import CHANGED, NOT_FOUND, Node, Walk

HERE = Path(__file__).parent.parent.parent / "run"
BUCKET = "tapeline"  # of the store of `make run`
DATASET = "splits"  # what a data set's metadata has and no other artifact's
EPILOG = """\
Exit codes: 0 all is verified; 1 something was not found; 2 something was changed. Nothing is written down of what is
not verified."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it says."""
    options = _parser().parse_args(arguments)
    if options.public_key and not options.attested:
        raise BadInput("--public-key is for --attested: give the folder of the statements, too")
    if options.attested and not options.public_key:
        raise BadInput("--attested needs --public-key: whoever can write a statement could have written these")
    if options.key and not options.in_toto:
        raise BadInput("--key is for --in-toto: give the folder for the statements, too")
    with contextlib.ExitStack() as stack:
        shelf, registry = _search(options, stack)
        walk = Walk(shelf)
        traced = [walk.up(*_start(model, shelf, registry)) for model in options.models]
        if options.attested:
            _attest(traced, options.attested, options.public_key)
        found = list({node.digest: node.found for node in _all(traced) if node.found}.values())
        whose = runs.kept(options.folder, shelf.found)
        blessed = runs.blessings(registry, [each.digest for each in found]) if registry else {}
    if options.json:
        sys.stdout.write(canonical_json(as_json(traced, whose, blessed)).decode())
    else:
        print("\n".join(line for node in traced for line in lines(node, whose, blessed)))
        for sentence in shelf.unreadable:
            print(f"warning: {sentence}", file=sys.stderr)
    _judge(traced)
    _emit(options, found)


def _parser() -> Parser:
    parser = Parser(prog="make trace ARGS='…'", usage="%(prog)s", description=__doc__, epilog=EPILOG)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="what to trace")
    parser.add_argument(
        "--in", dest="places", action="append", default=[], metavar="PLACE",
        help="where to look for what it was made from; again for more (default: beside it, and the store of make run)",
    )  # fmt: skip
    parser.add_argument("--registry", default=os.environ.get(VARIABLE, ""), metavar="PLACE", help="the registry")
    parser.add_argument("--folder", type=Path, default=HERE, help="where `make run` keeps everything (default: run)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--croissant", type=Path, metavar="FILE", help="describe the data set in Croissant")
    parser.add_argument("--in-toto", type=Path, metavar="FOLDER", help="write an in-toto statement of each artifact")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign the statements with this private key (PEM)")
    parser.add_argument("--attested", type=Path, metavar="FOLDER", help="ask for a signed statement of each artifact")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="the key that they are signed with (PEM)")
    parser.add_argument("--openlineage", type=Path, metavar="FILE", help="write the steps as OpenLineage's events")
    parser.add_argument("--post", action="store_true", help="send these events to the server of OPENLINEAGE_URL")
    return parser


def _search(options: Any, stack: contextlib.ExitStack) -> tuple[Shelf, Registry | None]:
    """Return all artifacts in the places to look at, and the registry."""
    given = [model for model in options.models if _is_place(model)]
    places = options.places or [_beside(model) for model in given]
    place = options.registry
    if not options.places and (options.folder / "store").is_dir() and not os.environ.get("AWS_ENDPOINT_URL"):
        os.environ.update(stack.enter_context(serve(options.folder / "store", BUCKET)))
        places.append(f"s3://{BUCKET}")
        place = place or f"s3://{BUCKET}/registry"
    shelf = Shelf()
    for each in [*given, *places]:
        shelf.add(each)
    if not place:
        return shelf, None
    with contextlib.suppress(BadInput):  # nothing was blessed yet
        shelf.add(f"{place.rstrip('/')}/artifacts")
    return shelf, Registry(place)


def _is_place(model: str) -> bool:
    return location.is_remote(model) or Path(model).is_dir()


def _beside(place: str) -> str:
    """Return where to look for what else a run made: the folder around a place, or its bucket."""
    return f"s3://{split(place)[0]}" if location.is_remote(place) else str(Path(place).parent)


def _start(model: str, shelf: Shelf, registry: Registry | None) -> tuple[str, str]:
    """Return what to call an artifact, and its digest; raise `BadInput` for a word that leads to none, or several."""
    if _is_place(model):
        if not (found := shelf.at(model)):
            raise BadInput(f"{model} is not an artifact: it has no manifest.json that can be read")
        return found.manifest.output, found.digest
    if re.fullmatch("[0-9a-f]{6,64}", model):
        known = {each.digest: each.manifest.output for each in shelf.of(model)}
        if len(known) > 1:
            raise BadInput(f"{model}: {len(known)} artifacts have a digest that begins so; give more of it")
        if not known and len(model) < 64:
            raise BadInput(f"{model}: no artifact has a digest that begins so; --in says where to look")
        digest, name = next(iter(known.items())) if known else (model, "artifact")
        return name, digest
    if not registry:
        raise BadInput(f"{model!r} is no digest and no place; for a name in the registry give --registry or {VARIABLE}")
    version = runs.shelf_of(registry, model).state().current
    if not version:
        raise BadInput(f"no version of {model} is blessed")
    return "trained_model", version.model


def _all(traced: Iterable[Node]) -> Iterator[Node]:
    return (node for start in traced for node in start.all())


def _attest(traced: Iterable[Node], folder: Path, key: Path) -> None:
    for node in _all(traced):
        if node.found and not node.problem and (problem := statements.check(folder, node.found, key)):
            node.state, node.problem = CHANGED, problem


def _judge(traced: Sequence[Node]) -> None:
    """Raise an error with a sentence unless all is verified."""
    nodes = list({node.digest: node for node in _all(traced)}.values())
    changed = [node for node in nodes if node.state == CHANGED]
    absent = [node for node in nodes if node.state == NOT_FOUND]
    if changed:
        raise BadInput(f"{len(changed)} of {len(nodes)} artifacts changed: {changed[0].name}: {changed[0].problem}")
    if absent:
        raise StepError(f"{len(absent)} of {len(nodes)} artifacts not found: {absent[0].name}: {absent[0].problem}")


def _emit(options: Any, found: Sequence[Found]) -> None:
    if options.croissant:
        data = [each for each in found if DATASET in each.manifest.metadata]
        if len(data) != 1:
            raise BadInput(f"--croissant describes one data set, but {len(data)} are behind this")
        _write(options.croissant, canonical_json(croissant.document(data[0])))
    if options.in_toto:
        for each in found:
            statements.write(options.in_toto, each, options.key)
    if options.openlineage:
        rows = [json.dumps(each, sort_keys=True) for each in openlineage.events(found)]
        _write(options.openlineage, "".join(f"{row}\n" for row in rows).encode())
    if options.post:
        print(f"{post(openlineage.events(found))} events sent", file=sys.stderr)


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
