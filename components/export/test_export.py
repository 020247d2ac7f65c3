# mypy: allow-untyped-defs, allow-untyped-calls
import base64
import io
import json
import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.artifacts.record.columns import STATISTICS
from components.artifacts.record.reader import read
from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.errors import BadInput, Blocked
from components.export.component import COMPONENT
from components.train.component import COMPONENT as TRAIN


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory):
    return make(COMPONENT, {}, {"gradients": trained / "gradients"}, tmp_path_factory.mktemp("export"))


def test_the_tables_say_what_the_record_says(trained, exported):
    record = read(trained / "gradients")
    tables = exported / "gradient_tables"
    steps = pq.read_table(tables / "steps.parquet").to_pydict()
    assert list(steps) == ["step", "epoch", "loss", "accuracy", "learning_rate", "global_norm", "applied_norm"]
    assert steps["step"] == list(range(1, 29))
    assert steps["epoch"] == [1] * 14 + [2] * 14
    assert steps["loss"] == record.column("loss").tolist()
    gradients = pq.read_table(tables / "gradients.parquet").to_pydict()
    assert gradients["step"][:9] == [1] * 8 + [2]
    assert gradients["variable"][:8] == [variable.name for variable in record.variables]
    assert gradients["layer"][:8] == ["conv1", "conv1", "conv2", "conv2", "conv3", "conv3", "logits", "logits"]
    assert np.reshape(gradients["l2_norm"], (28, 8)).tolist() == record.norms.whole().tolist()
    statistics = pq.read_table(tables / "statistics.parquet").to_pydict()
    assert list(statistics) == ["step", "epoch", "variable", "layer", *STATISTICS]
    assert statistics["step"] == np.repeat([1, 4, 16], 8).tolist()
    np.testing.assert_array_equal(statistics["update_norm"], record.stat("update_norm").whole().reshape(-1))
    histograms = pq.read_table(tables / "histograms.parquet")
    assert histograms.group_by(["step", "variable"]).aggregate([("count", "sum")])["count_sum"].to_pylist()[:8] == [
        variable.size for variable in record.variables
    ]
    rows = histograms.to_pylist()
    largest = max(row["exponent"] for row in rows if row["step"] == 16 and row["variable"] == "convnet/conv3/kernel")
    gradient = load_file(tables / "snapshots" / "00000016.safetensors")["convnet/conv3/kernel"]
    assert largest == np.floor(np.log2(np.abs(gradient).max()))
    assert pq.read_table(tables / "noise.parquet")["step"].to_pylist() == [1, 4, 16]
    epochs = pq.read_table(tables / "epochs.parquet").to_pylist()
    assert epochs == json.loads((trained / "metrics" / "metrics.json").read_text())["epochs"]


def test_the_snapshots_are_the_whole_gradients(trained, exported):
    source, copy = trained / "gradients" / "snapshots", exported / "gradient_tables" / "snapshots"
    assert sorted(path.name for path in copy.iterdir()) == sorted(path.name for path in source.iterdir())
    tensors = load_file(copy / "00000004.safetensors")
    assert tensors["convnet/logits/kernel"].shape == (576, 10)


def test_tensorboard_reads_the_events(trained, exported):
    record = read(trained / "gradients")
    events = EventAccumulator(str(exported / "gradient_tables"), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()["scalars"]
    assert {"loss", "global_norm", "gradient_norm/convnet/conv1/kernel", "epoch/validation_accuracy"} <= set(tags)
    scalars = events.Scalars("loss")
    assert [scalar.step for scalar in scalars] == list(range(1, 29))
    assert [scalar.value for scalar in scalars] == record.column("loss").tolist()
    shown = events.Histograms("gradient/convnet/conv1/bias")
    assert [histogram.step for histogram in shown] == [1, 4, 16]
    gradient = load_file(trained / "gradients" / "snapshots" / "00000016.safetensors")["convnet/conv1/bias"]
    last = shown[-1].histogram_value
    assert (last.num, sum(last.bucket)) == (16, 16)
    for limit, below in zip(last.bucket_limit, np.cumsum(last.bucket), strict=True):
        assert below == (gradient < limit).sum()


def test_the_same_record_gives_the_same_bytes(trained, exported, tmp_path):
    again = make(COMPONENT, {}, {"gradients": trained / "gradients"}, tmp_path)
    for name in ("gradient_tables", "report"):
        assert artifact.digest(again / name) == artifact.digest(exported / name)


def test_without_snapshots(trained, tmp_path):
    made = make(COMPONENT, {"snapshots": False}, {"gradients": trained / "gradients"}, tmp_path)
    assert not (made / "gradient_tables" / "snapshots").exists()


def test_the_report_stands_alone(exported):
    text = (exported / "report" / "report.html").read_text()
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert "https://" not in text
    assert text.count("<svg") == 7 + 4  # and the histograms of the kernels
    assert text.count('aria-label="') == text.count("<svg") + text.count("<table")
    assert "Healthy: no rule found an error or a warning." in text


def test_a_training_that_diverged_is_reported_and_blocks_if_it_is_to(ingested, tmp_path):
    """Even then the report is published, and nothing that a later step would build upon."""
    values = SHORT | {"optimizer": "adamw", "weight_decay": 1.0, "learning_rate": 100.0, "diverged": "publish"}
    trained = make(TRAIN, values, {"dataset": ingested / "dataset"}, tmp_path / "train")
    record = {"gradients": trained / "gradients"}
    tables = make(COMPONENT, {}, record, tmp_path / "never") / "gradient_tables"
    document = json.loads((tables / "diagnosis.json").read_text())
    assert document["verdict"] == artifact.read(tables).metadata["diagnosis"] == "error"
    found = {finding["rule"]: finding for finding in document["findings"]}["not-finite"]
    losses = read(trained / "gradients").column("loss")
    assert found["first_step"] <= 1 + np.argmin(np.isfinite(losses))
    with pytest.raises(Blocked, match=r"^fail_on: error, and there is .*not-finite.*; the report says more$"):
        make(COMPONENT, {"fail_on": "error"}, record, tmp_path / "blocked")
    assert [path.name for path in (tmp_path / "blocked").iterdir()] == ["report"]
    artifact.verify(tmp_path / "blocked" / "report")
    assert "NaN or infinities" in (tmp_path / "blocked" / "report" / "report.html").read_text()


def test_a_sound_training_is_not_blocked(trained, tmp_path):
    make(COMPONENT, {"fail_on": "warning"}, {"gradients": trained / "gradients"}, tmp_path)
    document = json.loads((tmp_path / "gradient_tables" / "diagnosis.json").read_text())
    assert (document["verdict"], document["findings"]) == ("healthy", [])


@pytest.mark.parametrize("level", ["off", "norms"])
def test_a_record_without_gradients_or_with_very_many_steps(trained, tmp_path, level):
    """What is recorded less, and a run that is much longer than a curve has points."""
    folder = tmp_path / "record"
    for name in ("steps", "stats", "hist"):
        (folder / name).mkdir(parents=True)
    document = json.loads((trained / "gradients" / "record.json").read_text())
    columns = document["columns"][: 3 if level == "off" else None]
    count = 20_000
    document |= {"level": level, "columns": columns}
    document["settings"]["steps_per_epoch"] = count // 2
    (folder / "record.json").write_text(json.dumps(document))
    values = np.random.default_rng(0).uniform(0.1, 1, (count, len(columns))).astype(np.float32)
    steps = np.arange(1, count + 1)
    save_file({"step": steps, "values": values}, folder / "steps" / "000001.safetensors")
    artifact.seal(folder, component="train", output="gradients", parameters={}, inputs={})
    made = make(COMPONENT, {}, {"gradients": folder}, tmp_path / "out")
    assert pq.read_table(made / "gradient_tables" / "steps.parquet").num_rows == count
    variables = 0 if level == "off" else 8
    assert pq.read_table(made / "gradient_tables" / "gradients.parquet").num_rows == count * variables
    assert (made / "report" / "report.html").stat().st_size < 500_000


def again(trained, folder, change):
    """Return a copy of a record with another record.json, and values to fit its columns."""
    shutil.copytree(trained / "gradients", folder)
    document = json.loads((folder / "record.json").read_text())
    columns = list(document["columns"])
    change(document)
    (folder / "record.json").write_text(json.dumps(document))
    (path,) = (folder / "steps").iterdir()
    part = load_file(path)
    values = [part["values"][:, columns.index(name) if name in columns else 0] for name in document["columns"]]
    save_file(part | {"values": np.stack(values, axis=1)}, path)
    artifact.seal(folder, component="train", output="gradients", parameters={}, inputs={})
    return folder


def test_what_is_minimised_beside_the_loss_and_epochs_without_a_number(trained, tmp_path):
    """One more column before the norms; and a validation loss that is null, or all that an epoch has."""

    def change(document):
        document["columns"].insert(3, "objective")
        document["epochs"][0] |= dict.fromkeys(("validation_loss", "validation_accuracy"))
        document["epochs"][1]["validation_loss"] = None

    folder = again(trained, tmp_path / "record", change)
    ours, theirs = (read(each).norms.whole() for each in (folder, trained / "gradients"))
    assert np.array_equal(ours, theirs)
    made = make(COMPONENT, {}, {"gradients": folder}, tmp_path / "out")
    steps = pq.read_table(made / "gradient_tables" / "steps.parquet").to_pydict()
    assert list(steps)[2:8] == ["loss", "accuracy", "learning_rate", "objective", "global_norm", "applied_norm"]
    assert steps["objective"] == steps["loss"]
    epochs = pq.read_table(made / "gradient_tables" / "epochs.parquet")
    assert str(epochs.schema.field("validation_loss").type) == "double"
    assert np.isnan(epochs["validation_loss"].to_numpy()).all()
    report = (made / "report" / "report.html").read_text()
    assert "with all that is minimised" in report
    assert "<td>nan</td>" in report
    assert "NaN" not in (made / "gradient_tables" / "diagnosis.json").read_text()


def test_a_record_from_before_roles_were_kept(trained, tmp_path):
    def change(document):
        for variable in document["variables"]:
            for name in ("role", "normalised", "zero_initialised"):
                del variable[name]

    old, new = read(again(trained, tmp_path / "record", change)), read(trained / "gradients")
    assert [variable.role for variable in old.variables] == ["kernel", "bias"] * 4
    assert [variable.role for variable in new.variables] == ["kernel", "bias"] * 4
    assert not any(variable.normalised or variable.zero_initialised for variable in old.variables)


def test_a_network_without_a_kernel_has_its_pictures(trained, tmp_path):
    def change(document):
        for variable in document["variables"]:
            variable["role"] = "other"

    made = make(COMPONENT, {}, {"gradients": again(trained, tmp_path / "record", change)}, tmp_path / "out")
    assert (made / "report" / "report.html").read_text().count("<svg") == 7 + 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 9}, "schema version 9, expected 2; train again"),
        ({"columns": ["loss"]}, "its columns are not those of its level and its variables; train again"),
    ],
)
def test_a_record_that_is_none_is_refused(trained, tmp_path, change, message):
    shutil.copytree(trained / "gradients", tmp_path / "record")
    path = tmp_path / "record" / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "record")


@pytest.mark.parametrize("colours", [(), (3,)])
def test_what_training_saw_is_shown_in_pairs_of_rows(trained, exported, tmp_path, colours):
    folder = tmp_path / "gradients"
    shutil.copytree(trained / "gradients", folder)
    random = np.random.default_rng(0)
    given, augmented = (random.integers(0, 256, (8, 28, 28, *colours), np.uint8) for _ in range(2))
    save_file({"given": given, "augmented": augmented}, folder / "sheet.safetensors")
    document = json.loads((folder / "record.json").read_text())
    document["settings"]["augment"] = "shift,erase"
    (folder / "record.json").write_text(json.dumps(document))
    (folder / "manifest.json").unlink()
    artifact.seal(folder, component="train", output="gradients", parameters={}, inputs={}, metadata={})
    page = (make(COMPONENT, {}, {"gradients": folder}, tmp_path) / "report" / "report.html").read_text()
    assert (
        "8 images of the first step in pairs of rows: above as they are, below after <code>shift, erase</code>" in page
    )
    section = page[page.index("What training saw") :]
    (data, alt), *_ = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)"', section)
    assert alt == "8 training images in pairs of rows: as they are, and below as they were learned from"
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert sheet.shape == (4 * 29, 6 * 29, *colours)
    for row, (images, first) in enumerate(((given, 0), (augmented, 0), (given, 6), (augmented, 6))):
        for column, image in enumerate(images[first : first + 6]):
            top, left = 29 * row, 29 * column
            np.testing.assert_array_equal(sheet[top : top + 28, left : left + 28], image)
    assert "What training saw" not in (exported / "report" / "report.html").read_text()
