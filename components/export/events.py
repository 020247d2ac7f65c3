"""The record as TensorBoard events: of a long run as many as TensorBoard can show, with every spike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import HistogramProto, Summary
from tensorboardX.record_writer import RecordWriter

from components.artifacts.record.columns import EXPONENTS, bin_edges
from components.artifacts.record.reader import Record, Steps
from components.artifacts.record.table import Table

# TensorBoard shows every file whose name contains "tfevents".
EVENTS = "events.out.tfevents.0.tapeline"

STEPS = 10_000  # up to which every step of a curve is written
PARTS = 5_000  # of a longer one
HISTOGRAMS = 1_000  # of a variable

_EDGES = np.array(bin_edges())
# The upper limits of TensorBoard's buckets, from the largest negative numbers up, and the middle of each octave.
_LIMITS = np.concatenate([-_EDGES[: EXPONENTS - 1][::-1], _EDGES[1 : EXPONENTS - 1], [np.ldexp(1.0, 128)]])
_MIDDLES = 0.75 * np.where(_LIMITS > 0, _LIMITS, -2 * np.abs(_LIMITS))


def write_events(record: Record, folder: Path) -> None:
    """Write every column of the record, the update ratios, the histograms and the epochs' metrics for TensorBoard.

    Of more than STEPS steps each curve has, of each of PARTS equal parts, the smallest and the largest number and the
    first that is none; and the last step's. Of more than HISTOGRAMS histograms there are the sums of so many parts. The
    wall time of each event is its step, so that the same record gives the same bytes.
    """
    names = [variable.name for variable in record.variables]
    tags = ["gradient_norm/" + name if name in names else name for name in record.columns]
    writer = RecordWriter(str(folder / EVENTS))
    writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    _curves(writer, record.steps, record.values, tags)
    ratios = [f"update_ratio/{name}" for name in names]
    _curves(writer, record.stats_steps, record.stat("update_ratio"), ratios)
    for step, counts in record.histogram_sums(HISTOGRAMS, range(len(names))):
        values = [
            Summary.Value(tag=f"gradient/{name}", histo=_histogram(of_variable))
            for name, of_variable in zip(names, counts, strict=True)
        ]
        _write_event(writer, step, values)
    for epoch in record.epochs:
        step = epoch["epoch"] * record.settings["steps_per_epoch"]
        _event(writer, step, {f"epoch/{name}": value for name, value in epoch.items() if name != "epoch"})
    writer.close()


def _curves(writer: RecordWriter, steps: Steps, table: Table, tags: Sequence[str]) -> None:
    """Write the columns of a table."""
    size = -(-len(steps) // PARTS) if len(steps) > STEPS else 1
    at = 0
    for rows in table.groups(size):
        of_part = steps[at : at + len(rows)].tolist()
        kept = _kept(rows)
        at += len(rows)
        kept[-1] |= at == len(steps)
        for step, row, shown in zip(of_part, rows.tolist(), kept, strict=True):
            if shown.any():
                _event(writer, step, {tags[i]: row[i] for i in np.flatnonzero(shown).tolist()})


def _kept(rows: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which are shown, bool [k, C], of some rows: the extremes of each column, and the first that is none."""
    finite, columns = np.isfinite(rows), np.arange(rows.shape[1])
    kept = np.zeros(rows.shape, bool)
    kept[np.where(finite, rows, np.inf).argmin(axis=0), columns] = True
    kept[np.where(finite, rows, -np.inf).argmax(axis=0), columns] = True
    none = ~finite.all(axis=0)
    kept[finite.argmin(axis=0)[none], columns[none]] = True
    return kept


def _histogram(counts: npt.NDArray[np.int64]) -> HistogramProto:
    """Return one variable's histogram, int64 [bins], as TensorBoard's; what is not finite it cannot hold."""
    limits = _LIMITS
    negative, positive = counts[EXPONENTS:-1][::-1], counts[: EXPONENTS - 1]
    both = np.concatenate([negative, positive])
    used = np.flatnonzero(both)
    first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
    kept = slice(max(0, first - 1), last + 1)  # an empty bucket in front says where the first one begins
    total = float(both.sum())
    return HistogramProto(
        min=float(limits[max(0, first - 1)]),
        max=float(limits[last]),
        num=total,
        sum=float((both[kept] * _MIDDLES[kept]).sum()),
        sum_squares=float((both[kept] * np.square(_MIDDLES[kept])).sum()),
        bucket_limit=limits[kept].tolist(),
        bucket=both[kept].astype(np.float64).tolist(),
    )


def _event(writer: RecordWriter, step: int, scalars: dict[str, float]) -> None:
    _write_event(writer, step, [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()])


def _write_event(writer: RecordWriter, step: int, values: list[Any]) -> None:
    event = Event(wall_time=float(step), step=step, summary=Summary(value=values))
    writer.write(event.SerializeToString(deterministic=True))
