"""Read a gradient record from the command line: describe it, compare two, verify it, or write it as CSV.

python -m components.artifacts.record describe ./gradients
python -m components.artifacts.record diff ./gradients s3://bucket/other/gradients --tolerance 1e-6
python -m components.artifacts.record verify ./gradients
python -m components.artifacts.record to-csv ./gradients statistics > statistics.csv

A record is the output `gradients` of train: a folder, or an s3://bucket/prefix. `diff` compares each number of the
steps and statistics, and whole gradients by their distance. `diff` and `verify` exit with 0 where all is alike or
whole; with 1 where two records differ; with 2 where a file is damaged.
"""

import contextlib
import csv
import itertools
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from components.artifacts.record import noise
from components.artifacts.record.columns import EXPONENTS
from components.artifacts.record.reader import Record, read
from components.artifacts.record.table import Table
from components.contract import artifact, location
from components.contract.command import Parser
from components.contract.errors import StepError

KINDS = ("steps", "statistics", "histograms")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and do what it says."""
    parser = Parser(prog="python -m components.artifacts.record", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="describe|diff|verify|to-csv")
    for name in ("describe", "verify"):
        commands.add_parser(name).add_argument("record")
    both = commands.add_parser("diff")
    both.add_argument("record")
    both.add_argument("other")
    both.add_argument("--tolerance", type=float, default=0.0, help="largest relative difference that counts as none")
    table = commands.add_parser("to-csv")
    table.add_argument("record")
    table.add_argument("kind", choices=KINDS)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        folder = location.fetch(options.record, Path(scratch) / "record")
        if options.command == "describe":
            print("\n".join(describe(read(folder))))
        elif options.command == "verify":
            manifest = artifact.verify(folder)
            read(folder).sheet()
            size = sum(file.bytes for file in manifest.files.values())
            print(f"{len(manifest.files)} files, {size:,} bytes: all as they were sealed")
        elif options.command == "to-csv":
            with contextlib.suppress(BrokenPipeError):  # whoever reads has seen enough
                csv.writer(sys.stdout, lineterminator="\n").writerows(rows(read(folder), options.kind))
                sys.stdout.flush()
        else:
            other = read(location.fetch(options.other, Path(scratch) / "other"))
            if differences := list(diff(read(folder), other, options.tolerance)):
                print("\n".join(differences))
                raise StepError(f"the records differ in {len(differences)} of what was compared")
            print("no difference")


def describe(record: Record) -> Iterator[str]:
    """Yield what there is in a record, line by line."""
    settings = record.settings
    yield f"level {record.level}: {len(record.steps):,} steps of {settings['images_per_step']} images"
    yield f"{len(record.stats_steps):,} steps with statistics, {len(record.snapshots())} with whole gradients"
    for variable in record.variables:
        shape = "×".join(map(str, variable.shape))
        yield f"  {variable.name:32} {shape:>12} {variable.activation}{'' if variable.connected else ' not connected'}"
    for name in record.scalars:
        values = record.column(name)
        yield f"{name}: {values[0]:.4g} at first, {np.median(values):.4g} in the middle, {values[-1]:.4g} at last"
    scale = noise.measure(record)
    if scale is not None:
        yield f"gradient noise scale: {scale.overall:,.0f} images over the second half"


def diff(record: Record, other: Record, tolerance: float) -> Iterator[str]:
    """Yield a line for each thing in which two records differ by more than the tolerance."""
    for what in ("level", "variables", "settings", "columns"):
        if (mine := getattr(record, what)) != (theirs := getattr(other, what)):
            yield f"{what}: {mine} here, {theirs} there"
    common = np.intersect1d(record.steps, other.steps)
    if len(common) < max(len(record.steps), len(other.steps)):
        yield f"steps: {len(record.steps):,} here, {len(other.steps):,} there; {len(common):,} are compared"
    for name in (name for name in record.columns if name in other.columns):
        here, there = record.column(name)[: len(common)], other.column(name)[: len(common)]
        yield from _compare(name, common, here, there, tolerance)
    common, mine_at, theirs_at = np.intersect1d(record.stats_steps, other.stats_steps, return_indices=True)
    if len(common) < max(len(record.stats_steps), len(other.stats_steps)):
        yield f"steps with statistics: {len(record.stats_steps):,} here, {len(other.stats_steps):,} there"
    if record.variables == other.variables and record.statistics == other.statistics:
        for statistic, (index, variable) in itertools.product(record.statistics, enumerate(record.variables)):
            here, there = record.stat(statistic).column(index)[mine_at], other.stat(statistic).column(index)[theirs_at]
            yield from _compare(f"{statistic} of {variable.name}", common, here, there, tolerance)
    yield from _diff_of_snapshots(record, other, tolerance)


def _diff_of_snapshots(record: Record, other: Record, tolerance: float) -> Iterator[str]:
    mine, theirs = ({int(path.stem): path for path in each.snapshots()} for each in (record, other))
    if mine.keys() != theirs.keys():
        yield f"steps with whole gradients: {len(mine):,} here, {len(theirs):,} there"
    for step in sorted(mine.keys() & theirs.keys()):
        here, there = load_file(mine[step]), load_file(theirs[step])
        for name in (name for name in here if name in there and here[name].shape == there[name].shape):
            if np.array_equal(here[name], there[name], equal_nan=True):
                continue
            length = max(np.linalg.norm(here[name]), np.linalg.norm(there[name]))
            distance = np.linalg.norm(here[name] - there[name]) / length
            if not distance <= tolerance:
                yield f"whole gradient of {name} at step {step}: {distance:.2g} of its length away"


def _compare(name: str, steps: Any, here: Any, there: Any, tolerance: float) -> Iterator[str]:
    here, there = here.astype(np.float64), there.astype(np.float64)
    same = (here == there) | (np.isnan(here) & np.isnan(there))
    size = np.maximum(np.abs(here), np.abs(there))
    with np.errstate(invalid="ignore"):  # infinity less infinity
        relative = np.where(same, 0.0, np.abs(here - there) / np.where(size > 0, size, 1.0))
    wrong = np.flatnonzero(~(relative <= tolerance))
    if len(wrong):
        first = wrong[0]
        yield (
            f"{name}: at {len(wrong):,} of {len(steps):,} steps, first at step {steps[first]}: {here[first]:.9g} here, "
            f"{there[first]:.9g} there; largest relative difference {np.max(relative):.2g}"
        )


def rows(record: Record, kind: str) -> Iterator[Iterable[Any]]:
    """Yield the rows of a table, the heading first; only the bins of histograms that hold anything."""
    names = [variable.name for variable in record.variables]
    if kind == "steps":
        yield ("step", *record.columns)
        for step, values in zip(record.steps.tolist(), _each(record.values), strict=True):
            yield (step, *values)
    elif kind == "statistics":
        yield ("step", "variable", *record.statistics)
        apart = len(record.statistics)
        for step, of_step in zip(record.stats_steps.tolist(), _each(record.stats), strict=True):
            yield from ((step, name, *of_step[i * apart : (i + 1) * apart]) for i, name in enumerate(names))
    else:
        yield ("step", "variable", "sign", "exponent", "count")
        for steps, counts in record.histograms():
            for row, variable, index in np.argwhere(counts).tolist():
                sign, exponent = 1 if index < EXPONENTS else -1, index % EXPONENTS - 127
                yield (int(steps[row]), names[variable], sign, exponent, int(counts[row, variable, index]))


def _each(table: Table) -> Iterator[list[float]]:
    """Yield the rows one by one."""
    for rows in table.blocks():
        yield from rows.tolist()
