# mypy: allow-untyped-defs, allow-untyped-calls
import json
import zipfile

import numpy as np
import pytest

from components.conftest import SHORT, make
from components.contract import artifact
from components.contract.errors import BadInput
from components.evaluate.component import COMPONENT, EvaluateParameters
from components.evaluate.metrics import calibration_error, measure, reliability, roc, wilson
from components.evaluate.verdict import judge
from components.train.component import COMPONENT as TRAIN


def inputs(ingested, trained, **more):
    return {"dataset": ingested / "dataset", "trained_model": trained / "trained_model"} | more


@pytest.fixture(scope="session")
def evaluated(ingested, trained, tmp_path_factory):
    return make(COMPONENT, {}, inputs(ingested, trained), tmp_path_factory.mktemp("evaluate"))


def figures(folder):
    return json.loads((folder / "metrics" / "metrics.json").read_text())


def test_wilsons_interval_is_the_published_one():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3: 81 of 263.
    assert wilson(81, 263) == pytest.approx([0.2553, 0.3662], abs=5e-5)
    assert wilson(10_000, 10_000)[1] == 1.0


def test_figures_of_six_answers_by_hand():
    logits = np.log(np.array([[8, 1, 1], [8, 1, 1], [1, 8, 1], [1, 8, 1], [1, 8, 1], [1, 1, 8]], np.float64) / 10)
    labels = np.array([0, 0, 1, 1, 2, 2])
    got = measure(logits, labels, ["a", "b", "c"])
    assert (got["images"], got["mistakes"], got["accuracy"]) == (6, 1, 5 / 6)
    assert got["confusion_matrix"] == [[2, 0, 0], [0, 2, 0], [0, 1, 1]]
    assert got["loss"] == pytest.approx(-(5 * np.log(0.8) + np.log(0.1)) / 6)
    assert [c["precision"] for c in got["classes"]] == [1.0, pytest.approx(2 / 3), 1.0]
    assert [c["recall"] for c in got["classes"]] == [1.0, 1.0, 0.5]
    assert got["classes"][2]["f1"] == pytest.approx(2 / 3)
    assert got["calibration_error"] == pytest.approx(abs(5 / 6 - 0.8))
    # 5 of 6 positives score 0.8 and one 0.1; 1 of 12 negatives scores 0.8 and eleven 0.1.
    assert got["roc_auc"] == pytest.approx(5 / 6 * 11 / 12 + 0.5 * (5 / 6 / 12 + 1 / 6 * 11 / 12))


def test_calibration_weighs_its_bins():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55])
    bins = reliability(confidence, np.array([True, True, True, False, True]))
    assert [each["count"] for each in bins] == [1, 4]
    assert calibration_error(bins, 5) == pytest.approx((4 * 0.2 + 1 * 0.45) / 5)
    assert reliability(np.array([1.0]), np.array([True]))[0]["count"] == 1


def test_the_roc_curve_is_finite_thin_and_whole():
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 5000)
    scores = random.random((5000, 10)) + np.eye(10)[labels]
    curve, area = roc(scores / scores.sum(axis=1, keepdims=True), labels)
    assert len(curve) <= 100
    assert curve[0]["confidenceThreshold"] == 1.0
    assert (curve[0]["falsePositiveRate"], curve[-1]["recall"], curve[-1]["falsePositiveRate"]) == (0.0, 1.0, 1.0)
    thinned = np.trapezoid([p["recall"] for p in curve], [p["falsePositiveRate"] for p in curve])
    assert thinned == pytest.approx(area, abs=2e-3)


FIGURES = {
    "accuracy": 0.98,
    "calibration_error": 0.01,
    "classes": [{"name": "3", "recall": 0.95, "images": 10}, {"name": "4", "recall": 0.0, "images": 0}],
}


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [
        ({}, "unjudged"),
        ({"min_accuracy": 0.98}, "passed"),
        ({"min_accuracy": 0.981}, "failed"),
        ({"min_accuracy": 0.9, "min_recall": 0.95}, "passed"),
        ({"min_accuracy": 0.9, "min_recall": 0.951}, "failed"),
        ({"max_calibration_error": 0.01}, "passed"),
        ({"max_calibration_error": 0.009}, "failed"),
    ],
)
def test_the_verdict(thresholds, verdict):
    assert judge(EvaluateParameters(**thresholds), FIGURES)[0] == verdict


def test_every_test_image_counts(evaluated):
    got = figures(evaluated)
    assert got["images"] == 256  # not a multiple of any batch
    assert np.sum(got["confusion_matrix"]) == 256
    assert np.trace(got["confusion_matrix"]) == 256 - got["mistakes"] > 128
    assert got["verdict"] == "unjudged"
    metadata = artifact.verify(evaluated / "metrics").metadata
    assert metadata["accuracy"] == got["accuracy"]
    assert got["accuracy_interval"] == [metadata["accuracy_low"], metadata["accuracy_high"]]


def test_the_answers_are_kept(ingested, evaluated):
    logits = np.load(evaluated / "metrics" / "logits.npy", allow_pickle=False)
    assert (logits.shape, logits.dtype) == ((256, 10), np.float32)
    labels = np.load(ingested / "dataset" / "test-labels.npy")
    assert (logits.argmax(axis=1) != labels).sum() == figures(evaluated)["mistakes"]


def test_what_kubeflow_draws(evaluated):
    shown = json.loads((evaluated / "classification" / "classification.json").read_text())
    assert [spec["displayName"] for spec in shown["confusionMatrix"]["annotationSpecs"]] == list("0123456789")
    assert [row["row"] for row in shown["confusionMatrix"]["rows"]] == figures(evaluated)["confusion_matrix"]
    assert shown == artifact.verify(evaluated / "classification").metadata


def test_thresholds_decide(ingested, trained, tmp_path):
    made = make(COMPONENT, {"min_accuracy": 0.5, "min_recall": 0.999}, inputs(ingested, trained), tmp_path)
    got = figures(made)
    assert got["verdict"] == "failed"
    assert [check["passed"] for check in got["checks"]] == [True, False]


def test_the_same_inputs_give_the_same_bytes(ingested, trained, evaluated, tmp_path):
    again = make(COMPONENT, {}, inputs(ingested, trained), tmp_path)
    for name in ("metrics", "classification", "report"):
        assert artifact.digest(again / name) == artifact.digest(evaluated / name)


def test_the_report_shows_the_mistakes_and_stands_alone(evaluated):
    text = (evaluated / "report" / "report.html").read_text()
    assert "<script" not in text
    assert "https://" not in text
    assert text.count("<svg") == 4  # confusion matrix, confidence, ROC curve, cosines
    assert "Unjudged, as no threshold was given: " in text
    assert "Set <code>min_accuracy</code>, " in text
    assert text.count('alt="test image ') == min(24, figures(evaluated)["mistakes"]) + 24 + 8  # suspects, saliency


def test_a_model_for_other_images_is_refused(trained, ingested, tmp_path):
    from components.ingest.component import COMPONENT as INGEST
    from components.ingest.forms import idx
    from components.ingest.known.mnist import FILES

    (tmp_path / "files").mkdir()
    for file in FILES:
        array = np.arange(32 * 20 * 20, dtype=np.uint8).reshape(32, 20, 20) if "images" in file else np.arange(32) % 10
        idx.write(tmp_path / "files" / file, array.astype(np.uint8))
    other = make(INGEST, {"source": str(tmp_path / "files"), "validation_size": 8}, {}, tmp_path / "other")
    with pytest.raises(
        BadInput,
        match="takes 28×28 images in grey and gives 10 classes, but the data set has 20×20 images in grey and 10",
    ):
        make(COMPONENT, {}, inputs(ingested, trained, dataset=other / "dataset"), tmp_path / "out")
    small = make(
        TRAIN, SHORT | {"model": "simple", "batch_size": 8}, {"dataset": other / "dataset"}, tmp_path / "small"
    )
    made = make(COMPONENT, {}, inputs(ingested, small, dataset=other / "dataset"), tmp_path / "out")
    assert figures(made)["images"] == 32


def test_what_is_no_model_is_refused(ingested, tmp_path):
    folder = tmp_path / "trained_model"
    folder.mkdir()
    with zipfile.ZipFile(folder / "model.keras", "w") as file:
        file.writestr("config.json", "{}")
    artifact.seal(folder, component="train", output="trained_model", parameters={}, inputs={})
    with pytest.raises(BadInput, match="is not a model that Keras can load"):
        make(COMPONENT, {}, inputs(ingested, tmp_path), tmp_path / "out")
