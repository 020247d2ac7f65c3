# mypy: allow-untyped-defs, allow-untyped-calls
"""Labels that a model contradicts: by hand, and in a training whose labels were changed."""

import json

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.conftest import SHORT, make
from components.contract import artifact
from components.evaluate.component import COMPONENT as EVALUATE
from components.evaluate.labels import contradicted
from components.train.component import COMPONENT as TRAIN


def test_a_class_that_is_as_sure_as_usual_contradicts():
    # The images labelled 0 are 0.7 sure on average, those labelled 1 are 0.6.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.4, 0.6], [0.6, 0.4]])
    found = contradicted(np.log(probabilities), np.array([0, 0, 0, 1, 1, 1]), [f"file {i}" for i in range(6)])
    assert (found["images"], found["contradicted"]) == (6, 1)
    (only,) = found["first"]
    assert {name: value for name, value in only.items() if name != "margin"} == {
        "image": 2, "origin": "file 2", "label": 0, "answer": 1,
    }  # fmt: skip
    assert only["margin"] == pytest.approx(0.4)


def test_a_class_without_images_contradicts_nothing():
    found = contradicted(np.array([[0.0, 1.0, 9.0]] * 4), np.array([0, 1, 0, 1]), ["a"] * 4)
    assert [each["answer"] for each in found["first"]] == [1, 1]


# A few hundred images make a model that has not learned much; benchmarks/labels.py has figures of a real one.
@pytest.mark.parametrize(("split", "least"), [("train", 3), ("validation", 6)])
def test_labels_that_were_changed_are_found(ingested, tmp_path, split, least):
    folder = tmp_path / "dataset"
    folder.mkdir()
    for path in (ingested / "dataset").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    labels = datasets.read(folder, split).labels
    changed = list(range(3, 63, 6))
    labels[changed] = (labels[changed] + 5) % 10
    np.save(folder / f"{split}-labels.npy", labels)
    manifest = artifact.read(folder)
    (folder / artifact.MANIFEST).unlink()
    artifact.seal(folder, component="ingest", output="dataset", parameters={}, inputs={}, metadata=manifest.metadata)
    made = make(TRAIN, SHORT | {"epochs": 4}, {"dataset": folder}, tmp_path)
    judged = make(EVALUATE, {}, {"dataset": folder, "trained_model": made / "trained_model"}, tmp_path)
    found = json.loads((judged / "metrics" / "metrics.json").read_text())["labels_to_look_at"][split]
    first = {each["image"]: each for each in found["first"]}
    hit = set(changed) & set(first)
    assert len(hit) >= least
    assert found["contradicted"] <= 20
    assert sum(first[i]["answer"] == (first[i]["label"] + 5) % 10 for i in hit) >= len(hit) - 1
    origins = datasets.origins(folder, split)
    assert all(each["origin"] == origins[i] for i, each in first.items())
    page = (judged / "report" / "report.html").read_text()
    assert f"{found['contradicted']} of the {len(labels)} {split} images" in page
    assert found["first"][0]["origin"] in page
