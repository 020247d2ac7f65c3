# mypy: allow-untyped-defs, allow-untyped-calls
"""The reader's command line, on a real record."""

import csv
import io
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from components.artifacts.record.command import main
from components.artifacts.record.reader import read
from components.conftest import SHORT, make
from components.contract import location
from components.contract.errors import BadInput, StepError
from components.train.component import COMPONENT as TRAIN


@pytest.fixture
def record(trained):
    return str(trained / "gradients")


def test_describe_says_what_there_is(record, capsys):
    main(["describe", record])
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["level full: 28 steps of 32 images", "3 steps with statistics, 3 with whole gradients"]
    assert lines[2].split() == ["convnet/conv1/kernel", "3×3×1×16", "relu"]
    assert lines[10].startswith("loss: 2.")
    assert re.fullmatch(r"gradient noise scale: .* images over the second half", lines[-1])


def test_verify_finds_a_changed_byte(record, tmp_path, capsys):
    main(["verify", record])
    assert capsys.readouterr().out.endswith("bytes: all as they were sealed\n")
    shutil.copytree(record, tmp_path / "copy")
    path = tmp_path / "copy" / "steps" / "00000001.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(BadInput, match=r"steps/00000001\.safetensors was changed or damaged"):
        main(["verify", str(tmp_path / "copy")])


def test_diff_names_the_first_step_that_differs(ingested, record, tmp_path, capsys, s3):
    location.publish(shutil.copytree(record, tmp_path / "copy"), f"{s3}/copy")
    main(["diff", record, f"{s3}/copy"])
    assert capsys.readouterr().out == "no difference\n"
    other = make(TRAIN, SHORT | {"clip_norm": 1.0}, {"dataset": ingested / "dataset"}, tmp_path) / "gradients"
    capsys.readouterr()
    with pytest.raises(StepError, match="the records differ in"):
        main(["diff", record, str(other), "--tolerance", "1e-6"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("settings: {")
    norms = [read(folder).column("global_norm") for folder in (tmp_path / "copy", other)]
    first = 1 + int(np.argmax(np.abs(norms[0] / norms[1] - 1) > 1e-6))
    assert any(line.startswith("global_norm: at ") and f"first at step {first}: " in line for line in lines)
    whole = [line.partition(":")[0] for line in lines if line.startswith("whole gradient of convnet/logits/kernel")]
    assert [int(line.rpartition(" ")[2]) for line in whole] == [step for step in (1, 4, 16) if step >= first]


@pytest.mark.parametrize(("kind", "count"), [("steps", 28), ("statistics", 3 * 8)])
def test_csv_has_a_row_for_each(record, capsys, kind, count):
    main(["to-csv", record, kind])
    heading, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert len(rows) == count
    values = read(location.fetch(record, None)).values if kind == "steps" else None  # type: ignore[arg-type]
    if values is not None:
        assert [float(cell) for cell in rows[3][1:]] == values.row(3).tolist()
    assert {len(row) for row in rows} == {len(heading)}


def test_csv_of_histograms_counts_every_number(record, capsys):
    main(["to-csv", record, "histograms"])
    _, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert sum(int(row[-1]) for row in rows) == 3 * 29_066


def test_the_reader_needs_no_tensorflow_and_says_what_is_wrong(tmp_path):
    code = "import sys, components.artifacts.record.command; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    command = [sys.executable, "-m", "components.artifacts.record", "describe", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"record: {tmp_path} is not an artifact: it has no manifest.json\n")
