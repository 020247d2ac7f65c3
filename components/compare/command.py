"""Compare runs: what they were given, how they learned, what they answer, and which is better and how sure that is.

A run is the name of a folder in run/runs, `last`, the folder or s3:// prefix below which its artifacts lie (a run of
Kubeflow or Airflow, say), or the digest of a model or another artifact that `make run` has made, or its beginning.
"""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich.console
import rich.table

from components.artifacts import page
from components.compare import report
from components.compare.duels import Duel, comparable, duels, only_right
from components.compare.find import FEW, Finder
from components.compare.runs import LETTERS, Run, read
from components.contract.command import Parser
from components.contract.errors import BadInput

HERE = Path(__file__).parent.parent.parent / "run"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, and compare."""
    parser = Parser(prog="make compare ARGS='…'", usage="%(prog)s", description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help=f"two to {FEW} runs")
    parser.add_argument("--folder", type=Path, default=HERE, help="where `make run` keeps everything (default: run)")
    parser.add_argument("--page", type=Path, help="where the page is written (default: compare.html in that folder)")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON; the table to stderr")
    options = parser.parse_args(arguments)
    words: list[str] = options.runs
    if len(words) < 2 or len(words) > FEW:
        raise BadInput(f"{len(words)} run{'s' * (len(words) > 1)} given, expected 2 to {FEW}")
    path: Path = options.page or options.folder / "compare.html"
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tapeline-")))
        runs = gather(words, Finder(options.folder, stack), scratch)
        document = compare(runs, path)
    _print(runs, document, sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(document, sort_keys=True, indent=1))


def gather(words: Sequence[str], finder: Finder, scratch: Path) -> list[Run]:
    """Return the runs of those names, places and digests, each with a letter, in their order."""
    located = [finder.find(word) for word in words]
    whole = [finder.complete(each, located) for each in located]
    return [read(each, letter, scratch) for each, letter in zip(whole, LETTERS, strict=False)]


def compare(runs: Sequence[Run], path: Path) -> dict[str, Any]:
    """Write the page, and return what it says as JSON can hold it."""
    compared = comparable(runs)
    pairs = duels(compared)
    alone = only_right(compared)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        said = report.write(path, runs, compared, pairs, alone)
    except IsADirectoryError:
        raise BadInput(f"--page: {path} is a folder, expected a file to write") from None
    return {
        "answer": {"headline": said.headline, "why": list(said.why), "advice": list(said.advice)},
        "page": str(path),
        "runs": [_run(run) for run in runs],
        "parameters": report.differences(runs),
        "pairs": [_pair(duel) for duel in pairs],
        "only_right": alone,
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "letter": run.letter,
        "name": run.name,
        "artifacts": {kind: {"place": each.place, "digest": each.digest} for kind, each in sorted(run.made.items())},
        "test_set": run.test_set.name if run.test_set else None,
        "figures": run.figures.model_dump() if run.figures else None,
        "diagnosis": run.diagnosis.model_dump() if run.diagnosis else None,
        "notes": run.notes,
    }


def _pair(duel: Duel) -> dict[str, Any]:
    counted = duel.pair._asdict()
    return counted | {
        "ours": duel.ours.letter,
        "theirs": duel.theirs.letter,
        "difference": duel.pair.difference,
        "interval": list(duel.interval),
        "p": duel.p,
        "p_holm": duel.adjusted,
    }


def _print(runs: Sequence[Run], document: dict[str, Any], out: Any) -> None:
    console = rich.console.Console(file=out, highlight=False, soft_wrap=True)
    table = rich.table.Table(box=None, pad_edge=False)
    for heading in ("", *(f"{run.letter}: {page.short(run.name, 24)}" for run in runs)):
        table.add_column(heading, overflow="fold")
    rows = document["parameters"] | report.metrics(runs) | report.findings(runs)
    for name, cells in rows.items():
        table.add_row(name, *cells)
    console.width = max(console.width, 100)
    console.print(table)
    console.print()
    for line in (document["answer"]["headline"], *document["answer"]["why"]):
        console.print(line, markup=False)
    for run in runs:
        for note in run.notes:
            console.print(f"{run.letter}: {note}", markup=False)
    console.print(f"\nthe page: {os.path.relpath(document['page'])}", markup=False)
