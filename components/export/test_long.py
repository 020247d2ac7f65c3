# mypy: allow-untyped-defs, allow-untyped-calls
"""Long runs: memory that does not grow with them, tables with every row, and figures in which no step is lost."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.artifacts.record.columns import BINS, STATISTICS
from components.artifacts.record.reader import read
from components.artifacts.record.table import Table
from components.artifacts.record.writer import BLOCK, Recorder
from components.contract.errors import BadInput
from components.export import events, line, tables
from components.export.component import ExportParameters
from components.export.export import export

SPIKE = 777.0


def recorded(folder, steps, variables, *, every=50, epochs=4, spike=None):
    """Write the record of a run with a step whose loss and last variable are a thousand times as large."""
    folder.mkdir()
    names = [f"net/layer_{i // 2:04}/{('kernel', 'bias')[i % 2]}" for i in range(variables)]
    said = [{"name": name, "shape": [4], "activation": "", "connected": True} for name in names]
    recorder = Recorder(folder, said, "full")
    random = np.random.default_rng(0)
    for begin in range(0, steps, BLOCK):
        at = np.arange(begin + 1, min(begin + BLOCK, steps) + 1)
        values = random.uniform(0.5, 1, (len(at), len(recorder.columns))).astype(np.float32)
        values[at == spike, 0] = values[at == spike, -1] = SPIKE
        recorder.add("steps", at.tolist(), values)
        for step in at[at % every == 0].tolist():
            recorder.add("stats", [step], random.uniform(0.5, 1, (1, variables, len(STATISTICS))).astype(np.float32))
            recorder.add("hist", [step], np.eye(1, variables * BINS, 130, np.int32).reshape(1, variables, BINS))
    settings = {"steps_per_epoch": steps // epochs, "images_per_step": 8, "classes": 10, "clip_norm": 0.0, "frozen": []}
    metrics = dict.fromkeys(("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"), 0.5)
    recorder.finish(settings, [{"epoch": i + 1} | metrics for i in range(epochs)])
    return folder


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Return the record of 60,000 steps, and what export made of it."""
    folder = tmp_path_factory.mktemp("long")
    record = recorded(folder / "record", 60_000, 4, spike=31_234, epochs=5000)
    (folder / "tables").mkdir()
    export(ExportParameters(), gradients=record, gradient_tables=folder / "tables", report=folder / "report.html")
    return folder


def test_the_page_of_a_long_run_is_small_and_shows_a_single_step(long):
    page = (long / "report.html").read_text()
    assert len(page.encode()) < 700_000
    assert "60,000 steps of 4 variables" in page
    assert f"between 0.5 and {SPIKE:.0f}" in page
    assert page.count("a thin line leads to one that is far away from it") == 4


@pytest.mark.parametrize("steps", [10_000, 1_000_000])
def test_one_step_among_a_million_is_drawn(steps):
    values = np.random.default_rng(0).uniform(0.5, 1, steps).astype(np.float32)
    values[steps // 3] = SPIKE
    values[steps // 2] = np.nan
    drawn = line.Line.of(np.arange(1, steps + 1), values)
    assert drawn.values.shape == (line.POINTS, 5)
    assert drawn.span[1] == SPIKE
    assert (drawn.values[:, 4] == SPIKE).sum() == 1
    (part,) = np.flatnonzero(drawn.values[:, 4] == SPIKE)
    assert abs(drawn.steps[part] - steps / 3) <= steps / line.POINTS / 2 + 1
    axes = Axes()
    line.curve(axes, drawn, "loss")
    (spike,) = axes.plotted[0].reshape(-1, 3)
    assert spike[1] == SPIKE
    assert spike[0] <= 1


class Axes:
    """What is drawn, instead of a picture."""

    def __init__(self):
        self.plotted = []

    def plot(self, _, values, **__):
        self.plotted.append(np.asarray(values))

    def fill_between(self, *_, **__):
        pass


def test_the_tables_have_every_step(long):
    record = read(long / "record")
    steps = pq.ParquetFile(long / "tables" / "steps.parquet").read()
    assert steps["step"].to_pylist() == list(range(1, 60_001))
    assert steps["loss"].to_pylist()[31_233] == SPIKE
    gradients = pq.read_table(long / "tables" / "gradients.parquet")
    assert gradients.num_rows == 4 * 60_000
    np.testing.assert_array_equal(gradients["l2_norm"].to_numpy().reshape(-1, 4), record.norms.whole())
    statistics = pq.read_table(long / "tables" / "statistics.parquet")
    assert statistics["step"].to_pylist()[::4] == list(range(50, 60_001, 50))


def test_groups_of_rows_make_the_same_table(long, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "GROUP", 1000)
    record = read(long / "record")
    tables.write_parquet(record, None, tmp_path)
    for name in ("steps", "gradients", "statistics"):
        ours, whole = pq.ParquetFile(tmp_path / f"{name}.parquet"), pq.ParquetFile(long / "tables" / f"{name}.parquet")
        assert ours.num_row_groups > 100 > whole.num_row_groups
        assert ours.read().equals(whole.read())


def test_tensorboard_has_the_extremes_of_each_part_and_the_last_step(long):
    found = EventAccumulator(str(long / "tables"), size_guidance={"scalars": 0, "histograms": 0})
    found.Reload()
    loss = read(long / "record").column("loss")
    shown = found.Scalars("loss")
    parts = loss.reshape(events.PARTS, -1)
    expected = {24 * i + 1 + int(at) for i, part in enumerate(parts) for at in (part.argmin(), part.argmax())}
    assert [each.step for each in shown] == sorted(expected | {60_000})
    assert [each.value for each in shown] == loss[[each.step - 1 for each in shown]].tolist()
    histograms = found.Histograms("gradient/net/layer_0000/kernel")
    assert len(histograms) == 400
    assert {each.histogram_value.num for each in histograms} == {3}  # 1,200 of one number each


def test_in_a_part_the_first_that_is_no_number_is_shown_too():
    rows = np.array([[1, 5], [np.nan, 2], [np.inf, 9], [3, 4], [2, 4]], np.float32)
    assert events._kept(rows).T.tolist() == [[True, True, False, True, False], [False, True, True, False, False]]


PEAK = """
import sys
from pathlib import Path
from components.export.component import ExportParameters
from components.export.export import export
folder = Path(sys.argv[1])
export(ExportParameters(), gradients=folder, gradient_tables=folder / "tables", report=folder / "page.html")
print(*(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def peak(folder, steps, variables):
    """Return the largest resident memory of an export in a process of its own, in MiB.

    Not what getrusage says, which after a fork begins with that of pytest.
    """
    recorded(folder, steps, variables)
    (folder / "tables").mkdir()
    done = subprocess.run([sys.executable, "-c", PEAK, str(folder)], check=True, capture_output=True, text=True)
    return int(done.stdout.splitlines()[-1].split()[1]) / 1024


def test_a_run_that_is_eight_times_as_long_takes_no_more_memory(tmp_path):
    """To hold its largest table would take 80 MB more. Of its 25 layers some are drawn, and all together."""
    short, longer = (peak(tmp_path / str(steps), steps, 50) for steps in (8_000, 64_000))
    assert longer - short < 25
    page = (tmp_path / "64000" / "page.html").read_text()
    assert "Shown are 12 of 25 layers, from the first to the last." in page
    assert "; layer_0024: " in page
    assert "; all together: " in page


def test_a_table_is_read_by_rows_and_by_columns():
    rows = np.random.default_rng(0).normal(size=(1000, 7)).astype(np.float32)
    table = Table(lambda: (rows[i : i + 300] for i in range(0, 1000, 300)), 1000, 7)
    assert [len(each) for each in table.groups(450)] == [450, 450, 100]
    np.testing.assert_array_equal(np.concatenate(list(table.groups(450))), rows)
    for number in range(7):
        np.testing.assert_array_equal(table.column(number), rows[:, number])
    np.testing.assert_array_equal(table.part(slice(2, None, 3)).column(1), rows[:, 5])
    assert table.row(999).tolist() == rows[999].tolist()
    with pytest.raises(IndexError):
        table.column(7)


def test_files_that_change_while_they_are_read_are_noticed(tmp_path):
    record = recorded(tmp_path / "record", 1000, 2)
    found = read(record)
    save_file({"step": np.arange(501, 601), "values": np.zeros((100, 6), np.float32)},
              record / "steps" / "00000501.safetensors")  # fmt: skip
    with pytest.raises(
        BadInput, match=r"^600 rows, where there were 1,000: the files were changed while they were read$"
    ):
        found.column("loss")
