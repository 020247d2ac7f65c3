"""python -m components.artifacts.registry: look at what is blessed, and decide by hand.

The registry is where --registry or TAPELINE_REGISTRY says: a path, or s3://bucket/prefix in the store that the
environment leads to. Without either it is that of `make run`, whose store is up as long as this command needs it. A
model is named by NAME or, where there are several test sets, by NAME/TESTSET.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import rich.box
import rich.console
import rich.table

from components.artifacts.registry import mirror
from components.artifacts.registry.shelf import VARIABLE, Registry, Shelf
from components.artifacts.words import percent
from components.contract.command import Parser, guard
from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput
from components.contract.store.embedded import serve

_HERE = Path(__file__).parents[3] / "run"
_BUCKET = "tapeline"  # of `make run`


def main() -> None:
    """Do what the command line says."""
    options = _options(sys.argv[1:])
    with contextlib.ExitStack() as stack:
        _do(options, Registry(options.registry or _of_this_machine(options.folder, stack)))


def _of_this_machine(folder: Path, stack: contextlib.ExitStack) -> str:
    """Return where the registry of `make run` is, with its store up."""
    if not (folder / "store").is_dir():
        raise BadInput(
            f"no registry: give --registry or {VARIABLE}, a path or s3://bucket/prefix; nor has `make run` left any in "
            f"{folder}"
        )
    os.environ |= stack.enter_context(serve(folder / "store", _BUCKET))
    return f"s3://{_BUCKET}/registry"


def _do(options: argparse.Namespace, registry: Registry) -> None:
    if options.do == "list":
        _list(registry)
    elif options.do == "verify":
        _verify(registry, [_find(registry, options.model)] if options.model else registry.shelves())
    else:
        shelf = _find(registry, options.model)
        if options.do == "promote":
            mirror.tell(shelf, shelf.promote(options.version, options.why))
        elif options.do == "rollback":
            mirror.tell(shelf, shelf.roll_back(options.why))
        _show(shelf)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(prog="python -m components.artifacts.registry", description=__doc__)
    parser.add_argument("--registry", metavar="PLACE", default=os.environ.get(VARIABLE, ""), help="where it is")
    parser.add_argument("--folder", type=Path, default=_HERE, help="where `make run` keeps everything (default: run)")
    commands = parser.add_subparsers(dest="do", required=True, metavar="list|show|promote|rollback|verify")
    commands.add_parser("list", help="every model, with the version that is blessed")
    for name, text in (
        ("show", "the versions of a model, and what was decided of them"),
        ("promote", "make another version the blessed one"),
        ("rollback", "make the version that was blessed before the blessed one again"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("model", metavar="NAME", help="its name, or NAME/TESTSET")
        if name == "promote":
            command.add_argument("version", type=int, help="the number of the version")
        if name != "show":
            command.add_argument("--why", default="", help="a sentence for those who come after")
    verify = commands.add_parser("verify", help="read every artifact, and check its digests")
    verify.add_argument("model", metavar="NAME", nargs="?", default="", help="its name, or NAME/TESTSET; none: all")
    return parser.parse_args(arguments)


def _find(registry: Registry, model: str) -> Shelf:
    """Return the one shelf of that name."""
    shelves = {str(shelf): shelf for shelf in registry.shelves()}
    found = [name for name in shelves if model in (name, name.partition("/")[0])]
    if not found:
        names = [*shelves, *(shelf.name for shelf in shelves.values())]
        there = f"; there are: {', '.join(shelves)}" if shelves else "; it is empty"
        raise BadInput(f"{registry.place} has no model {model!r}{did_you_mean(model, names)}{there}")
    if len(found) > 1:
        raise BadInput(f"{model} is there for several test sets, so say which: {', '.join(found)}")
    return shelves[found[0]]


def _list(registry: Registry) -> None:
    rows = []
    for shelf in registry.shelves():
        state = shelf.state()
        if version := state.current:
            last = state.events[-1]
            rows.append(
                (shelf.name, shelf.test_set, str(version.number), f"{len(state.versions)}",
                 percent(version.figures["accuracy"]), last.at, last.by)
            )  # fmt: skip
    if rows:
        _table(("name", "test set", "blessed", "versions", "accuracy", "since", "by"), rows)
    else:
        print(f"{registry.place} is empty: nothing has been blessed yet")


def _show(shelf: Shelf) -> None:
    state = shelf.state()
    print(shelf)
    _table(
        ("version", "", "accuracy", "model"),
        [
            (
                str(version.number),
                "blessed" if version == state.current else "withdrawn" if version.number in state.withdrawn else "",
                percent(version.figures["accuracy"]),
                shelf.registry.artifact(version.model),
            )
            for version in state.versions.values()
        ],
    )
    _table(
        ("", "version", "at", "by", "run", "why"),
        [(each.action, str(each.version), each.at, each.by, each.run, each.why) for each in state.events],
    )


def _verify(registry: Registry, shelves: list[Shelf]) -> None:
    """Read each artifact that a version names; whatever is missing or damaged ends it with a sentence."""
    digests = {
        digest for shelf in shelves for version in shelf.state().versions.values()
        for digest in (version.model, version.metrics)
    }  # fmt: skip
    for digest in sorted(digests):
        with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
            registry.fetch(digest, Path(scratch))
    print(f"{registry.place}: {len(shelves)} models, {len(digests)} artifacts, all as they were put")


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = rich.table.Table(*header, box=rich.box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = rich.console.Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 160)
    console.print(table)


if __name__ == "__main__":
    guard("registry", main)
