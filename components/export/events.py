"""The record as TensorBoard events: of a long run as many as TensorBoard can show, with every spike."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import HistogramProto, Summary

from components.artifacts.record.columns import EXPONENTS, bin_edges
from components.artifacts.record.reader import Record, Steps
from components.artifacts.record.table import Table

# TensorBoard shows every file whose name contains "tfevents".
EVENTS = "events.out.tfevents.0.tapeline"

STEPS = 10_000  # up to which every step of a curve is written
PARTS = 2_500  # of a longer one
HISTOGRAMS = 500  # of a variable

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
    tags = [*record.scalars, *(f"gradient_norm/{name}" for name in names[: record.norms.width])]
    with (folder / EVENTS).open("wb") as file:
        _write_event(file, Event(wall_time=0.0, file_version="brain.Event:2"))
        _curves(file, record.steps, record.values, tags)
        ratios = [f"update_ratio/{name}" for name in names]
        _curves(file, record.stats_steps, record.stat("update_ratio"), ratios)
        for step, counts in record.histogram_sums(HISTOGRAMS, range(len(names))):
            values = [
                Summary.Value(tag=f"gradient/{name}", histo=_histogram(of_variable))
                for name, of_variable in zip(names, counts, strict=True)
            ]
            _write(file, step, values)
        for epoch in record.epochs:
            step = epoch["epoch"] * record.settings["steps_per_epoch"]
            _event(file, step, {f"epoch/{name}": value for name, value in epoch.items() if name != "epoch"})


def _curves(file: BinaryIO, steps: Steps, table: Table, tags: Sequence[str]) -> None:
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
                _event(file, step, {tags[i]: row[i] for i in np.flatnonzero(shown).tolist()})


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


def _event(file: BinaryIO, step: int, scalars: dict[str, float]) -> None:
    _write(file, step, [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()])


def _write(file: BinaryIO, step: int, values: list[Any]) -> None:
    _write_event(file, Event(wall_time=float(step), step=step, summary=Summary(value=values)))


def _write_event(file: BinaryIO, event: Event) -> None:
    """Write an event as a TFRecord: its length, its bytes, and the check sum of each.

    Not by tensorboardX, whose check sum in Python takes most of the time of the whole step.
    """
    data = event.SerializeToString(deterministic=True)
    length = struct.pack("<Q", len(data))
    file.write(length + _sum(length) + data + _sum(data))


def _sum(data: bytes) -> bytes:
    """Return TensorFlow's masked CRC-32C."""
    whole = google_crc32c.value(data)
    return struct.pack("<I", (((whole >> 15) | (whole << 17)) + 0xA282EAD8) & 0xFFFFFFFF)
