# mypy: allow-untyped-defs, allow-untyped-calls
"""What validation keeps, where it ends a run, and what it is held against."""

import json
import sys

import numpy as np
import pytest

from components.artifacts.dataset import Split
from components.artifacts.findings import Rule
from components.conftest import SMALL, make
from components.contract import artifact
from components.contract.errors import BadInput, Blocked
from components.contract.store.client import Store
from components.ingest import validation
from components.ingest.component import COMPONENT
from components.ingest.forms import idx
from components.ingest.known.mnist import FILES
from components.ingest.validation import inspect, validate
from components.testdata.forms import digits

NAMES = list("0123456789")


def write(folder, images, labels):
    """Write digits with other training images as IDX files."""
    test = digits(256)["test"]
    folder.mkdir()
    for file, array in zip(FILES, (images, labels, *test), strict=True):
        idx.write(folder / file, array)
    return {"source": str(folder), "validation_size": 64}


@pytest.fixture
def leaky(tmp_path):
    """Return the parameters of digits, of which some test images are training images too."""
    (images, labels), (test, answers) = digits(512).values()
    return write(tmp_path / "leaky", np.concatenate([images, test[:50]]), np.concatenate([labels, answers[:50]]))


def test_the_schema_and_the_findings_are_kept(ingested):
    schema = json.loads((ingested / "dataset" / "schema.json").read_text())
    counts = np.bincount(np.load(ingested / "dataset" / "train-labels.npy"), minlength=10).tolist()
    assert schema == {
        "schema_version": 1, "shape": [28, 28], "channels": 1, "dtype": "uint8", "classes": NAMES, "range": [0, 255],
        "class_shares": [round(count / 448, 6) for count in counts],
        "splits": schema["splits"],
    }  # fmt: skip
    assert schema["splits"]["train"] == {"images": 448, "class_counts": counts}
    document = json.loads((ingested / "dataset" / "findings.json").read_text())
    assert (document["verdict"], document["findings"]) == ("sound", [])
    assert [rule["id"] for rule in document["rules"]] == [rule.id for rule in validation.rules()]
    metadata = artifact.read(ingested / "dataset").metadata
    assert (metadata["validation"], metadata["errors"], metadata["warnings"]) == ("sound", 0, 0)


def test_a_finding_says_where_its_images_came_from(leaky, tmp_path):
    made = make(COMPONENT, leaky, {}, tmp_path / "made")
    document = json.loads((made / "dataset" / "findings.json").read_text())
    (shared,) = [each for each in document["findings"] if "test split are also in the train" in each["sentence"]]
    assert shared["severity"] == document["verdict"] == "warning"
    assert len(shared["pairs"]) == 6
    first, second = shared["pairs"][0]
    assert (first["split"], second["split"]) == ("train", "test")
    assert first["origin"].startswith("train-images-idx3-ubyte")
    assert second["origin"].startswith("t10k-images-idx3-ubyte")
    assert first["label"] == second["label"]
    assert "the verdict too kind" in (made / "report" / "report.html").read_text()


def test_fail_on_publishes_the_report_alone(leaky, tmp_path):
    with pytest.raises(Blocked, match="fail_on: warning, and there is shared") as error:
        make(COMPONENT, leaky | {"fail_on": "warning"}, {}, tmp_path / "made")
    assert error.value.exit_code == 5
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["report"]
    assert "is not published" in (tmp_path / "made" / "report" / "report.html").read_text()
    make(COMPONENT, leaky | {"fail_on": "error"}, {}, tmp_path / "other")


@pytest.mark.parametrize("kind", ["data set", "schema"])
def test_a_reference_that_is_alike_changes_nothing_but_the_page(ingested, tmp_path, kind):
    place = ingested / "dataset" / ("" if kind == "data set" else "schema.json")
    made = make(COMPONENT, SMALL | {"reference": str(place), "seed": 1}, {}, tmp_path / "made")
    metadata = artifact.read(made / "dataset").metadata
    assert metadata["validation"] == "sound"
    expected = artifact.digest(place) if place.is_dir() else artifact.sha256(place)
    assert metadata["reference_sha256"] == expected
    text = (made / "report" / "report.html").read_text()
    assert "Classes, against the reference" in text
    assert ("Mean images, against the reference" in text) == (kind == "data set")


def test_a_reference_in_the_store(s3, ingested, tmp_path):
    Store.from_environment().publish(ingested / "dataset", f"{s3}/before")
    made = make(COMPONENT, SMALL | {"reference": f"{s3}/before"}, {}, tmp_path / "made")
    digest = artifact.digest(ingested / "dataset")
    assert artifact.read(made / "dataset").metadata["reference_sha256"] == digest


def found(sets, reference, names=NAMES):
    splits = {name: Split(*arrays) for name, arrays in sets.items()}
    origins = {name: [""] * len(split.labels) for name, split in splits.items()}
    return {each.rule: each for each in validate(inspect(splits, origins, names, reference))}


def test_drift_is_said_with_its_size_and_its_chance(ingested, tmp_path):
    images, labels = digits(512)["train"]
    kept = (labels > 2) | (np.cumsum(labels <= 2) <= 15)
    given = write(tmp_path / "drifted", images[kept] // 2, labels[kept])
    made = make(COMPONENT, given | {"reference": str(ingested / "dataset")}, {}, tmp_path / "made")
    findings = {each["rule"]: each for each in json.loads((made / "dataset" / "findings.json").read_text())["findings"]}
    assert {"drift-classes", "drift-pixels", "drift-class-pixels"} <= findings.keys()
    figures = findings["drift-classes"]["evidence"]
    assert figures["cramers_v"] > 0.1
    assert figures["p"] < 0.001
    assert f"Cramér's V {figures['cramers_v']:.2f}" in findings["drift-classes"]["sentence"]
    assert findings["drift-pixels"]["evidence"]["d"] > 0.1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "reference: there is no "),
        ("{", "is no JSON: "),
        ("[]", "must be an object with some of schema_version, shape, channels"),
        ('{"shapes": [28, 28]}', "has shapes, which no schema has; known are schema_version, shape"),
        ('{"shape": "28"}', "must be list, not str"),
        ('{"shape": [28]}', "shape and range in "),
        ('{"range": [0, "1"]}', "shape and range in "),
        ('{"splits": {"train": {"class_counts": ["1"]}}}', "train of splits in "),
    ],
)
def test_what_is_no_schema_is_said(tmp_path, content, message):
    path = tmp_path / "schema.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadInput) as error:
        make(COMPONENT, SMALL | {"reference": str(path)}, {}, tmp_path / "made")
    assert message in str(error.value)
    assert not (tmp_path / "made" / "dataset").exists()


def test_what_is_no_data_set_is_said(trained, tmp_path):
    with pytest.raises(BadInput, match=r"is no data set that ingest made: it has no train images; give the folder"):
        make(COMPONENT, SMALL | {"reference": str(trained / "trained_model")}, {}, tmp_path / "made")


OWN = """
import numpy as np
from components.ingest.validation import Evidence, Rule


def dark(data):
    for name, look in data.looks.items():
        found = np.flatnonzero(look.means < 20)
        if len(found):
            yield Evidence(f"{len(found)} {name} images are dark.", {"images": len(found)}, data.at(name, found))


RULES = (Rule("dark", "warning", "the mean of each image", "Take them out.", dark),)
"""


@pytest.fixture
def own(monkeypatch, tmp_path):
    """Return a function that puts a file into the folder of checks."""

    def put(text):
        path = tmp_path / "my_check.py"
        path.write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "my_check", raising=False)
        monkeypatch.setitem(validation.CHECKS.files, "my-check", path)
        monkeypatch.setitem(validation.CHECKS, "my-check", "my_check")
        validation._files.cache_clear()

    yield put
    validation._files.cache_clear()


def test_a_check_of_ones_own_is_a_file(own):
    own(OWN)
    images, labels = digits(512)["train"]
    sets = dict.fromkeys(("train", "validation", "test"), (images, labels))
    dark = found(sets, None)["dark"]
    number = int((images.reshape(512, -1).mean(axis=1) < 20).sum())
    assert dark.sentence == f"{number} test images are dark."
    assert dark.evidence == {"images": number}
    assert len(dark.images) == 6
    assert dark.remedy == "Take them out."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def", r"the check my_check.py cannot be imported: SyntaxError"),
        ("import nowhere", "the check my_check.py cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("RULES = ()", r"the check my_check.py must have RULES, a tuple of Rule\(id, severity, looks_at, remedy, find"),
        (OWN.replace('"warning"', '"bad"'), "with a severity of info, warning, error"),
        (
            OWN.replace("look.means", "look.nothing"),
            "the rule dark in my_check.py fails: AttributeError: 'Look' object",
        ),
    ],
)
def test_a_check_that_is_broken_is_said_with_its_file(own, text, message):
    own(text)
    images, labels = digits(512)["train"]
    with pytest.raises(BadInput, match=message):
        found(dict.fromkeys(("train", "validation", "test"), (images, labels)), None)


def test_every_rule_has_another_name_and_says_what_to_do():
    ids = [rule.id for rule in validation.rules()]
    assert len(set(ids)) == len(ids) == 24
    assert all(isinstance(rule, Rule) and rule.remedy.endswith(".") for rule in validation.rules())
