# mypy: allow-untyped-defs, allow-untyped-calls
"""Steps that are given less memory than the data set has bytes."""

import subprocess
import sys

import pytest

from benchmarks import larger
from components.contract import artifact
from tests.soak import machine

MIB = 2**20
IMAGES, SIZE = 4800, 224  # 690 MiB


def given(size, *command):
    """Run a command that is killed if it takes so many bytes; skip where no such limit can be set."""
    try:
        with machine.cgroup(size) as words:
            subprocess.run([*words, sys.executable, *command], check=True)
    except machine.Lacking as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "source.parquet"
    larger.write_source(path, IMAGES, SIZE)
    return path


def test_each_step_takes_less_than_the_data_set_has(source, tmp_path):
    places = {name: tmp_path / name for name in ("dataset", "report", "trained_model", "gradients", "metrics")}

    def outputs(*names):
        return [f"--{name.replace('_', '-')}={places[name]}" for name in names]

    given(550 * MIB, *larger.step("ingest", f"--source={source}", *outputs("dataset", "report")))
    manifest = artifact.read(places["dataset"])
    assert sum(file.bytes for file in manifest.files.values()) > IMAGES * SIZE**2 * 3 > 650 * MIB
    train = ["--model=patches", "--epochs=1", "--gradient-level=norms", "--shuffle-window=32", "--batch-size=32"]
    learned = ("trained_model", "gradients", "metrics")
    given(650 * MIB, *larger.step("train", *outputs("dataset", *learned), *train))
    judged = [f"--{name}={tmp_path / name}" for name in ("classification", "report")]
    more = [*outputs("dataset", "trained_model"), f"--metrics={tmp_path / 'judged'}", *judged]
    given(650 * MIB, *larger.step("evaluate", *more))
