"""The record as Parquet tables and as TensorBoard events."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import HistogramProto, Summary
from tensorboardX.record_writer import RecordWriter

from components.artifacts.record.columns import EXPONENTS, bin_edges, layer_of
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record, Steps

# TensorBoard shows every file whose name contains "tfevents".
EVENTS = "events.out.tfevents.0.tapeline"


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
    scalars = {name: record.column(name) for name in record.scalars}
    if record.level != "off":
        scalars["applied_norm"] = record.applied_norm()
    place = {"step": record.steps, "epoch": record.epoch_of(record.steps)}
    _write(folder / "steps.parquet", pa.table(place | scalars))

    # A variable of the network may not have been recorded: there are norms only from level `norms` on.
    names = [variable.name for variable in record.variables][: record.norms.shape[1]]
    norms = {"l2_norm": record.norms.reshape(-1)}
    _write(folder / "gradients.parquet", pa.table(_long(record, record.steps, names) | norms))
    if len(record.stats_steps):
        names = [variable.name for variable in record.variables]
        stats = {name: record.stat(name).reshape(-1) for name in record.statistics}
        _write(folder / "statistics.parquet", pa.table(_long(record, record.stats_steps, names) | stats))
    _write_histograms(record, folder / "histograms.parquet")
    if scale is not None:
        by_variable = {f"noise_scale/{name}": scale.by_variable[:, i] for i, name in enumerate(names)}
        _write(folder / "noise.parquet", pa.table({"step": scale.steps, "noise_scale": scale.total} | by_variable))
    if record.epochs:
        _write(folder / "epochs.parquet", pa.Table.from_pylist(record.epochs))


def _long(record: Record, steps: Steps, names: list[str]) -> dict[str, Any]:
    """Return the columns that say to which step and variable each row of a long table belongs."""
    return {
        "step": np.repeat(steps, len(names)),
        "epoch": np.repeat(record.epoch_of(steps), len(names)),
        "variable": _repeated(names, len(steps)),
        "layer": _repeated([layer_of(name) for name in names], len(steps)),
    }


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


def write_events(record: Record, folder: Path) -> None:
    """Write every column of the record, the update ratios, the histograms and the epochs' metrics for TensorBoard.

    The wall time of each event is its step, so that the same record gives the same bytes.
    """
    names = [variable.name for variable in record.variables]
    tags = ["gradient_norm/" + name if name in names else name for name in record.columns]
    writer = RecordWriter(str(folder / EVENTS))
    writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    for step, row in zip(record.steps.tolist(), record.values.tolist(), strict=True):
        _event(writer, step, dict(zip(tags, row, strict=True)))
    for step, row in zip(record.stats_steps.tolist(), record.stat("update_ratio").tolist(), strict=True):
        _event(writer, step, {f"update_ratio/{name}": value for name, value in zip(names, row, strict=True)})
    for steps, counts in record.histograms():
        for step, of_step in zip(steps.tolist(), counts, strict=True):
            values = [
                Summary.Value(tag=f"gradient/{name}", histo=_histogram(of_variable))
                for name, of_variable in zip(names, of_step, strict=True)
            ]
            _write_event(writer, step, values)
    for epoch in record.epochs:
        step = epoch["epoch"] * record.settings["steps_per_epoch"]
        _event(writer, step, {f"epoch/{name}": value for name, value in epoch.items() if name != "epoch"})
    writer.close()


def _histogram(counts: npt.NDArray[np.int32]) -> HistogramProto:
    """Return one variable's histogram, int32 [bins], as TensorBoard's; what is not finite it cannot hold."""
    edges = np.array(bin_edges())
    negative, positive = counts[EXPONENTS:-1][::-1], counts[: EXPONENTS - 1]
    limits = np.concatenate([-edges[: EXPONENTS - 1][::-1], edges[1:EXPONENTS]])
    limits[-1] = np.ldexp(1.0, 128)
    both = np.concatenate([negative, positive])
    used = np.flatnonzero(both)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
    kept = slice(max(0, first - 1), last + 1)  # an empty bucket in front says where the first one begins
    middles = 0.75 * np.where(limits > 0, limits, -2 * np.abs(limits))  # of each octave
    total = float(both.sum())
    return HistogramProto(
        min=float(limits[max(0, first - 1)]),
        max=float(limits[last]),
        num=total,
        sum=float((both[kept] * middles[kept]).sum()),
        sum_squares=float((both[kept] * np.square(middles[kept])).sum()),
        bucket_limit=limits[kept].tolist(),
        bucket=both[kept].astype(np.float64).tolist(),
    )


def _event(writer: RecordWriter, step: int, scalars: dict[str, float]) -> None:
    _write_event(writer, step, [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()])


def _write_event(writer: RecordWriter, step: int, values: list[Any]) -> None:
    event = Event(wall_time=float(step), step=step, summary=Summary(value=values))
    writer.write(event.SerializeToString(deterministic=True))


def _repeated(names: Sequence[str], count: int) -> pa.DictionaryArray:
    """Return `names` so many times over, each distinct name kept once."""
    distinct = list(dict.fromkeys(names))
    indices = np.tile(np.array([distinct.index(name) for name in names], np.int32), count)
    return pa.DictionaryArray.from_arrays(indices, pa.array(distinct, pa.string()))


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")
