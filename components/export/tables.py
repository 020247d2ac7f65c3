"""The record as Parquet tables, of which a group of rows is in memory."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts.record.columns import EXPONENTS, GLOBAL_NORM, layer_of
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record, Steps
from components.artifacts.record.table import Table

GROUP = 2**18  # numbers of the record that are written at a time

Columns = dict[str, Any]


def write_parquet(record: Record, scale: NoiseScale | None, folder: Path) -> None:
    """Write the tables.

    `steps`: a row a step: step, epoch, loss, accuracy, learning_rate, objective (where what is minimised is not the
    loss), global_norm, applied_norm (after clipping);
    `gradients`: a row for each step and variable: step, epoch, variable, layer, l2_norm;
    `statistics`: a row for each step that has them and variable: all of components/artifacts/record/columns.py;
    `histograms`: a row for each bin that is not empty: step, variable, sign, exponent e (2^e ≤ |g| < 2^(e+1); -127:
    zero and subnormal, 128: infinity and NaN), count;
    `noise`: a row for each step with statistics: step, noise_scale and that of each variable, in images;
    `epochs`: a row an epoch, as in metrics.json.
    """
    _write(folder / "steps.parquet", _steps(record))
    # A variable of the network may not have been recorded: there are norms only from level `norms` on.
    names = [variable.name for variable in record.variables]
    norms = _long(record, record.steps, record.norms, names[: record.norms.width], ["l2_norm"])
    _write(folder / "gradients.parquet", norms)
    if len(record.stats_steps):
        statistics = _long(record, record.stats_steps, record.stats, names, record.statistics)
        _write(folder / "statistics.parquet", statistics)
    _write_histograms(record, folder / "histograms.parquet")
    if scale is not None:
        columns = ["noise_scale", *(f"noise_scale/{name}" for name in names)]
        found = ({"step": steps} | _named(columns, rows) for steps, rows in _groups(scale.steps, scale.values))
        _write(folder / "noise.parquet", found)
    if record.epochs:
        pq.write_table(pa.Table.from_pylist(record.epochs), folder / "epochs.parquet", compression="zstd")


def _steps(record: Record) -> Iterator[Columns]:
    for steps, rows in _groups(record.steps, record.course):
        columns: Columns = {"step": steps, "epoch": record.epoch_of(steps)} | _named(record.scalars, rows)
        if record.level != "off":
            columns["applied_norm"] = record.applied(columns[GLOBAL_NORM])
        yield columns


def _long(record: Record, steps: Steps, table: Table, names: list[str], columns: list[str]) -> Iterator[Columns]:
    """Yield the columns of a table with a row for each step and variable, of one whose rows are of a step."""
    for at, rows in _groups(steps, table):
        yield {
            "step": np.repeat(at, len(names)),
            "epoch": np.repeat(record.epoch_of(at), len(names)),
            "variable": _repeated(names, len(at)),
            "layer": _repeated([layer_of(name) for name in names], len(at)),
        } | _named(columns, rows.reshape(-1, len(columns)))


def _groups(steps: Steps, table: Table) -> Iterator[tuple[Steps, npt.NDArray[Any]]]:
    """Yield steps and their rows, as many at a time as make a group."""
    at = 0
    for part in table.groups(max(1, GROUP // max(1, table.width))):
        yield steps[at : at + len(part)], part
        at += len(part)


def _named(names: Sequence[str], rows: npt.NDArray[Any]) -> Columns:
    return {name: rows[:, index] for index, name in enumerate(names)}


def _write_histograms(record: Record, path: Path) -> None:
    """Write the bins that hold anything, a block of the run at a time."""
    names = pa.array([variable.name for variable in record.variables], pa.string())
    fields = {"step": pa.int64(), "variable": pa.dictionary(pa.int32(), pa.string()), "sign": pa.int8()}
    schema = pa.schema(fields | {"exponent": pa.int16(), "count": pa.int32()})
    writer = None
    for steps, counts in record.histograms():
        writer = writer or pq.ParquetWriter(path, schema, compression="zstd")
        row, variable, index = np.nonzero(counts)
        columns = {
            "step": steps[row],
            "variable": pa.DictionaryArray.from_arrays(variable.astype(np.int32), names),
            "sign": np.where(index < EXPONENTS, 1, -1).astype(np.int8),
            "exponent": (index % EXPONENTS - 127).astype(np.int16),
            "count": counts[row, variable, index],
        }
        writer.write_table(pa.table(columns, schema))
    if writer:
        writer.close()


def _repeated(names: Sequence[str], count: int) -> pa.DictionaryArray:
    """Return `names` so many times over, each distinct name kept once."""
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    indices = np.tile(np.array([place[name] for name in names], np.int32), count)
    return pa.DictionaryArray.from_arrays(indices, pa.array([*place], pa.string()))


def _write(path: Path, groups: Iterator[Columns]) -> None:
    """Write a table, a group of rows at a time.

    Of several groups none has a dictionary of its floats: they are hardly ever equal, so that it would take a third
    more room, and time. (One that fits in a group has, as tables always had.)
    """
    tables = (pa.table(columns) for columns in groups)
    first, second = next(tables), next(tables, None)
    if second is None or not len(first):
        pq.write_table(first, path, compression="zstd")
        return
    repeated = [field.name for field in first.schema if not pa.types.is_floating(field.type)]
    with pq.ParquetWriter(path, first.schema, compression="zstd", use_dictionary=repeated) as writer:
        for table in itertools.chain((first, second), tables):
            writer.write_table(table)
