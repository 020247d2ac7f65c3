# mypy: allow-untyped-defs, allow-untyped-calls
"""The hand-over with real models: what servers load gives what evaluate found, and the card says what is known."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import scipy.stats
import yaml
from huggingface_hub import ModelCard

from components.artifacts import dataset as datasets
from components.artifacts import model as models
from components.conftest import SHORT, SMALL, make
from components.contract import artifact
from components.contract.declaration import argument
from components.contract.errors import BadInput, StepError
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.handover.card import wilson
from components.handover.component import COMPONENT, HandoverParameters
from components.handover.convert import Inconvertible, Session, convert
from components.ingest.component import COMPONENT as INGEST
from components.testdata import networks
from components.train.component import COMPONENT as TRAIN

ROOT = Path(__file__).parents[2]
SHAPE, CLASSES = (10, 8), 4
IMAGES = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), np.uint8)


@pytest.fixture(scope="module")
def inputs(ingested, trained, tmp_path_factory):
    """Return what the step takes: of ingest, train, evaluate and export."""
    folder = tmp_path_factory.mktemp("judged")
    given = {"dataset": ingested / "dataset", "trained_model": trained / "trained_model"}
    make(EVALUATE, {"min_accuracy": 0.1}, given, folder)
    make(EXPORT, {}, {"gradients": trained / "gradients"}, folder)
    return {**given, "metrics": folder / "metrics", "gradient_tables": folder / "gradient_tables"}


@pytest.fixture(scope="module")
def package(inputs, tmp_path_factory):
    return make(COMPONENT, {"service_name": "digits"}, inputs, tmp_path_factory.mktemp("handover")) / "package"


def test_the_package_is_what_servers_load(package, inputs):
    assert sorted(artifact.verify(package).files) == [
        "README.md", "inferenceservice-onnx.yaml", "inferenceservice.yaml", "onnx/digits/1/model.onnx",
        "saved_model/1/saved_model.pb", "saved_model/1/variables/variables.data-00000-of-00001",
        "saved_model/1/variables/variables.index",
    ]  # fmt: skip
    images = datasets.read(inputs["dataset"], "test").images[:]
    wanted = np.load(inputs["metrics"] / "logits.npy").argmax(axis=1)
    session = onnxruntime.InferenceSession(package / "onnx" / "digits" / "1" / "model.onnx")
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("images", "tensor(uint8)", ["n", 28, 28])
    ]
    (classes,) = session.run(["class"], {"images": images})
    np.testing.assert_array_equal(classes, wanted)
    metadata = artifact.read(package).metadata
    assert (metadata["images"], metadata["onnx"], metadata["opset"]) == (len(images), True, 17)
    for what in ("saved_model", "onnx"):
        assert 0 <= metadata[f"largest_difference_{what}"] < 1e-5


def test_the_manifests_are_those_of_kserve(package, inputs):
    digest = artifact.digest(inputs["trained_model"])
    for file, form, protocol, folder in (
        ("inferenceservice.yaml", {"name": "tensorflow", "version": "2"}, "v1", "saved_model"),
        ("inferenceservice-onnx.yaml", {"name": "onnx", "version": "1"}, "v2", "onnx"),
    ):
        said = yaml.safe_load((package / file).read_text())
        assert (said["apiVersion"], said["kind"]) == ("serving.kserve.io/v1beta1", "InferenceService")
        assert said["metadata"] == {"name": "digits", "annotations": {"tapeline/trained-model": f"sha256:{digest}"}}
        model = said["spec"]["predictor"]["model"]
        assert (model["modelFormat"], model["protocolVersion"]) == (form, protocol)
        assert model["storageUri"] == f"s3://BUCKET/PREFIX/{folder}"


def test_the_card_is_one_of_hugging_faces(package, inputs):
    card = ModelCard.load(package / "README.md")
    accuracy = artifact.read(inputs["metrics"]).metadata["accuracy"]
    results = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert results["accuracy"] == accuracy
    assert (card.data.library_name, card.data.pipeline_tag, card.data.license) == (
        "tensorflow", "image-classification", None
    )  # fmt: skip
    assert card.data.eval_results[0].dataset_name == "a data set of one's own"
    assert "onnx" in card.data.tags
    text = card.text
    for section in (
        "Intended use", "Data", "Training", "Metrics", "Calibration", "Gradient health", "Limits", "Provenance"
    ):  # fmt: skip
        assert text.count(f"\n## {section}\n") == 1, section
    for digest in map(artifact.digest, inputs.values()):
        assert digest in text
    assert str(inputs["dataset"].parent) not in text
    assert "is: healthy." in text or "rules about the gradients" in text


def test_the_code_in_the_card_runs(package):
    text = (package / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0] + "print(classes.shape)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=package, capture_output=True, text=True, check=True)
    assert done.stdout == "(1,)\n"


def test_the_code_of_the_page_runs(package, inputs, tmp_path):
    code = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    for name, place in (("package", package), ("dataset", inputs["dataset"])):
        (tmp_path / name).symlink_to(place)
    command = [sys.executable, "-c", code.replace("onnx/tapeline/", "onnx/digits/")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"(\d is taken for \d, which is \d+\.\d% sure\n){10}", done.stdout)


def test_the_interval_of_a_class_is_scipys():
    for right, of in ((0, 5), (5, 5), (97, 100), (1, 3)):
        interval = scipy.stats.binomtest(right, of).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose(wilson(right, of), (interval.low, interval.high), atol=1e-12)


def test_another_process_makes_the_same_bytes(package, inputs, tmp_path):
    named = [argument(name, value) for name, value in {**inputs, "package": tmp_path / "package"}.items()]
    command = [sys.executable, "-m", "components.handover", *named, "--service-name=digits"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("SavedModel: ")
    assert done.stdout.count("each with evaluate's class; no probability differs") == 2
    assert artifact.digest(tmp_path / "package") == artifact.digest(package)


def test_other_answers_than_evaluates_are_not_handed_over(inputs, tmp_path):
    """A step that hands over another network than was judged fails, and publishes nothing."""
    spoilt = shutil.copytree(inputs["metrics"], tmp_path / "metrics")
    logits = np.load(spoilt / "logits.npy")
    logits[3] = np.roll(logits[3], 1)
    np.save(spoilt / "logits.npy", logits)
    manifest = artifact.read(spoilt)
    artifact.seal(
        spoilt, component="evaluate", output="metrics", parameters=manifest.parameters, inputs=manifest.inputs
    )
    with pytest.raises(StepError, match=r"the SavedModel gives 1 of 256 test images another .*\(image 3: \d inst") as e:
        make(COMPONENT, {}, {**inputs, "metrics": spoilt}, tmp_path)
    assert e.value.exit_code == 1
    assert not (tmp_path / "package").exists()


def test_what_is_said_to_be_the_largest_is_rounded_up():
    from components.handover.handover import _rounded

    assert [_rounded(each) for each in (0.0, 1.21e-6, 1.2e-6, 9.91e-8, 0.5)] == [0.0, 1.3e-6, 1.2e-6, 1e-7, 0.5]


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        (
            "metrics.json",
            b'{"images": 256}',
            r"metrics.json: accuracy: Field required; give what the steps",
        ),
        ("metrics.json", b"{", r"metrics.json is no JSON"),
        ("logits.npy", b"x", r"logits.npy is damaged: .*; evaluate the model again"),
        ("logits.npy", None, r"logits.npy holds float64 \(256, 10\), expected float32 \(256, 10\)"),
    ],
)
def test_what_evaluate_has_not_written_is_refused(file, text, sentence, inputs, tmp_path):
    spoilt = shutil.copytree(inputs["metrics"], tmp_path / "metrics")
    if text is None:
        np.save(spoilt / file, np.load(spoilt / file).astype(np.float64))
    else:
        (spoilt / file).write_bytes(text)
    given = artifact.read(spoilt).inputs
    artifact.seal(spoilt, component="evaluate", output="metrics", parameters={}, inputs=given)
    with pytest.raises(BadInput, match=sentence):
        make(COMPONENT, {}, {**inputs, "metrics": spoilt}, tmp_path)


def test_metrics_of_another_model_are_refused(inputs, tmp_path):
    other = shutil.copytree(inputs["trained_model"], tmp_path / "other")
    manifest = artifact.read(other)
    artifact.seal(other, component="train", output="trained_model", parameters={}, inputs=manifest.inputs)
    with pytest.raises(BadInput, match=r"is not about .*other, but about another trained_model; evaluate this one"):
        make(COMPONENT, {}, {**inputs, "trained_model": other}, tmp_path)


@pytest.mark.parametrize(
    "values", [{"service_name": "Digits"}, {"storage_uri": "here"}, {"model_licence": "Apache License"}]
)
def test_what_no_server_takes_is_refused(values):
    with pytest.raises(BadInput, match=next(iter(values))):
        HandoverParameters.checked(values)


INCONVERTIBLE = {
    "half": "ONNX Runtime does not load it: .*bfloat16",
    "dice": "ONNX has no operator StatelessRandomNormalV2",
    "looked-up": "ONNX has no operator Bucketize",
    "table": "ONNX has no operator LookupTableFindV2",
}


def test_whatever_network_it_is():
    """Those of the zoo, and colours: the same answers, or a sentence, which four of them have."""
    for name in networks.NETWORKS:
        network, spec = networks.made(name, SHAPE, CLASSES)
        if name in INCONVERTIBLE:
            with pytest.raises(Inconvertible, match=INCONVERTIBLE[name]):
                Session(convert(network, spec))
            continue
        model = convert(network, spec)
        onnx.checker.check_model(model, full_check=True)
        found, wanted = Session(model)(IMAGES), models.function(network, spec)(IMAGES)
        np.testing.assert_allclose(found["probabilities"], wanted["probabilities"].numpy(), atol=1e-3, err_msg=name)
        assert (found["class"] == wanted["class"].numpy()).all(), name


def test_images_in_colour_and_without_onnx(tmp_path):
    """From ingest to the package; and where it is not wanted there is no ONNX in it."""
    data = {"dataset": make(INGEST, SMALL | {"colour": "rgb"}, {}, tmp_path) / "dataset"}
    made = make(TRAIN, SHORT | {"epochs": 1}, data, tmp_path) / "trained_model"
    inputs = {**data, "trained_model": made}
    make(EVALUATE, {"check_labels": False}, inputs, tmp_path)
    inputs["metrics"] = tmp_path / "metrics"
    package = make(COMPONENT, {}, inputs, tmp_path) / "package"
    session = onnxruntime.InferenceSession(package / "onnx" / "tapeline" / "1" / "model.onnx")
    assert session.get_inputs()[0].shape == ["n", 28, 28, 3]
    card = (package / "README.md").read_text(encoding="utf-8")
    assert "uint8 [n, 28, 28, 3]: 28 × 28" in card
    assert "np.zeros((1, 28, 28, 3), np.uint8)" in card
    values = {"onnx": False, "storage_uri": "s3://models/digits/", "model_licence": "apache-2.0"}
    package = make(COMPONENT, values, inputs, tmp_path / "without") / "package"
    assert not (package / "onnx").exists()
    assert "There is no ONNX file in this package: it was not asked for.\n" in (package / "README.md").read_text()
    assert ModelCard.load(package / "README.md").data.license == "apache-2.0"
    assert "storageUri: s3://models/digits/saved_model\n" in (package / "inferenceservice.yaml").read_text()


def test_a_model_that_onnx_has_no_words_for_goes_without(ingested, tmp_path):
    """With a sentence in the card and on the terminal."""
    with networks.entered():
        network, spec = networks.made("looked-up", (28, 28), 10)
        (tmp_path / "trained_model").mkdir()
        models.write(network, spec, tmp_path / "trained_model")
        data = {"dataset": artifact.digest(ingested / "dataset")}
        artifact.seal(tmp_path / "trained_model", component="train", output="trained_model", parameters={}, inputs=data)
        inputs = {"dataset": ingested / "dataset", "trained_model": tmp_path / "trained_model"}
        make(EVALUATE, {"check_labels": False}, inputs, tmp_path)
        made = make(COMPONENT, {}, {**inputs, "metrics": tmp_path / "metrics"}, tmp_path) / "package"
    card = (made / "README.md").read_text(encoding="utf-8")
    assert "There is no ONNX file in this package: ONNX has no operator Bucketize.\n" in card
    assert "the record of the gradients was not given" in card
    assert {path.split("/")[0] for path in artifact.verify(made).files} == {
        "README.md", "inferenceservice.yaml", "saved_model"
    }  # fmt: skip
