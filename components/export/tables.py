"""The record as Parquet tables and as TensorBoard events."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from components.export.record import Record

# TensorBoard shows every file whose name contains "tfevents".
EVENTS = "events.out.tfevents.0.tapeline"


def write_parquet(record: Record, folder: Path) -> None:
    """Write `steps.parquet`, `gradients.parquet` and `epochs.parquet`.

    `steps`: a row a step (step, epoch, and the columns of the record but for those of single variables);
    `gradients`: a row for each step and variable (step, epoch, variable, layer, l2_norm);
    `epochs`: a row an epoch, as in metrics.json.
    """
    scalars = [name for name in record.columns if name not in record.variables]
    place = {"step": record.steps, "epoch": record.epoch_of(record.steps)}
    _write(folder / "steps.parquet", pa.table(place | {name: record.column(name) for name in scalars}))

    # A variable of the network may not have been recorded: there are norms only from level `norms` on.
    variables = [name for name in record.columns if name in record.variables]
    count = len(record.steps)
    norms = record.values[:, len(scalars) :] if variables else np.empty((count, 0), np.float32)
    long = {name: np.repeat(values, len(variables)) for name, values in place.items()}
    _write(
        folder / "gradients.parquet",
        pa.table(
            {
                **long,
                "variable": _repeated(variables, count),
                "layer": _repeated([layer_of(name) for name in variables], count),
                "l2_norm": norms.reshape(-1),
            }
        ),
    )
    _write(folder / "epochs.parquet", pa.Table.from_pylist(record.epochs))


def layer_of(variable: str) -> str:
    """Return the layer of a variable: `dense` of `simple/dense/kernel`."""
    return variable.split("/")[-2] if "/" in variable else variable


def write_events(record: Record, folder: Path) -> None:
    """Write every column of the record, and the metrics of the epochs, as TensorBoard scalars.

    The wall time of each event is its step, so that the same record gives the same bytes.
    """
    tags = ["gradient_norm/" + name if name in record.variables else name for name in record.columns]
    writer = RecordWriter(str(folder / EVENTS))
    writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())
    for step, row in zip(record.steps.tolist(), record.values.tolist(), strict=True):
        _event(writer, step, dict(zip(tags, row, strict=True)))
    for epoch in record.epochs:
        step = epoch["epoch"] * record.steps_per_epoch
        _event(writer, step, {f"epoch/{name}": value for name, value in epoch.items() if name != "epoch"})
    writer.close()


def _event(writer: RecordWriter, step: int, scalars: dict[str, float]) -> None:
    values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
    event = Event(wall_time=float(step), step=step, summary=Summary(value=values))
    writer.write(event.SerializeToString(deterministic=True))


def _repeated(names: Sequence[str], count: int) -> pa.DictionaryArray:
    """Return `names` so many times over, each distinct name kept once."""
    distinct = list(dict.fromkeys(names))
    indices = np.tile(np.array([distinct.index(name) for name in names], np.int32), count)
    return pa.DictionaryArray.from_arrays(indices, pa.array(distinct, pa.string()))


def _write(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path, compression="zstd")
