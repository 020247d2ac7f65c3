# mypy: allow-untyped-defs, allow-untyped-calls
"""WebDataset's archives: where the label may be, and what is wrong with them."""

import json

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.forms import Fields
from components.testdata.forms import archive, digits, picture, png, read

X, Y = digits()["train"]


def write(path, label, image="png", folder=""):
    """Write all digits, with the files of a label that `label` makes of a number and a digit."""
    path.parent.mkdir(exist_ok=True)
    files = []
    for i, (x, y) in enumerate(zip(X, Y, strict=True)):
        files += [(f"{folder}{i:03}.{image}", png(x))]
        files += [(f"{folder}{i:03}.{ending}", content) for ending, content in label(i, int(y)).items()]
    archive(path, *files)


@pytest.mark.parametrize(
    ("label", "image", "fields", "labels"),
    [
        (lambda _, y: {"cls": b"%d\n" % y}, "png", {}, Y.tolist()),
        (lambda _, y: {"txt": b"digit %d" % y}, "PNG", {}, [f"digit {y}" for y in Y]),
        (lambda _, y: {"json": json.dumps({"label": y}).encode()}, "png", {}, Y.tolist()),
        (lambda _, y: {"json": b"%d" % y}, "png", {}, Y.tolist()),
        (lambda _, y: {"json": b'{"id": 3}', "cls": b"%d" % y}, "png", {}, Y.tolist()),
        (lambda _, y: {"json": json.dumps({"kind": y}).encode()}, "png", {"label": "kind"}, Y.tolist()),
        (
            lambda _, y: {"right.txt": b"%d" % y, "cls": b"1"},
            "in.png",
            {"image": "in.png", "label": "right.txt"},
            Y.tolist(),
        ),
    ],
)
def test_labels_in_many_places(label, image, fields, labels, tmp_path):
    write(tmp_path / "source" / "mnist-val-000000.tar", label, image, folder="./some/")
    found = read(tmp_path / "source", tmp_path, Fields(**fields))[0]["validation"]
    assert np.array_equal(found.images, X)
    assert found.labels == labels
    assert found.origins[9] == "mnist-val-000000.tar some/009"


def test_several_archives_with_splits_groups_and_weights(tmp_path):
    def said(i, y):
        return {
            "json": json.dumps(
                {"label": y, "split": "test" if i % 2 else "train", "writer": i, "weight": i / 2}
            ).encode()
        }

    for shard in ("0.tar", "1.tar.gz"):
        write(tmp_path / "source" / shard, said)
    found = read(tmp_path / "source", tmp_path)[0]
    assert np.array_equal(found["test"].images, [*X[1::2]] * 2)
    assert found["test"].groups == [str(i) for i in range(1, 64, 2)] * 2
    assert found["train"].weights == [float(i) for i in range(32)] * 2


A = [("a.png", png(X[0])), ("a.cls", b"5")]
B = [("b.png", png(X[1])), ("b.cls", b"0")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([*A, B[0]], "a.tar b has no label, only png; put it in b.cls, or say which of them has it with `label_field`"),
        ([*A, B[1]], "a.tar b has no image, but cls; give each one picture, or name it with `image_field`, as png"),
        ([*A, ("a.jpg", picture(X[0], "JPEG"))], "a.tar a has 2 images, but png, cls, jpg; give each one picture"),
        ([*A, A[0]], "a.tar: a.png is there twice"),
        ([("a.png", png(X[0])[:-40]), A[1]], "a.tar a is a damaged picture"),
        ([A[0], ("a.json", b"{")], "a.tar a.json is no JSON: "),
        ([A[0], ("a.cls", b"")], "a.tar a has no label, only png, cls"),
        ([], "a.tar has no files"),
    ],
)
def test_what_is_wrong_is_one_sentence(files, message, tmp_path):
    (tmp_path / "source").mkdir()
    archive(tmp_path / "source" / "a.tar", *files)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("a.tar", lambda c: c[:2200], "a.tar is truncated or damaged at byte 2048, where a file begins: "),
        (
            "a.tar",
            lambda c: c[:2048],
            "a.tar is truncated or damaged at byte 2048, where a file begins: its end is missing",
        ),
        ("a.tar", lambda c: c[:2700], "a.tar is truncated or damaged at byte 2048, where a file begins: "),
        (
            "a.tar",
            lambda c: c[:2060] + b"x" + c[2061:],
            "a.tar is truncated or damaged at byte 2048, where a file begins: ",
        ),
        ("a.tar.gz", lambda c: c[:-300], "a.tar.gz is truncated or damaged at byte "),
        ("a.tar", lambda _: b"", "a.tar is no tar archive: it is empty"),
        ("a.tar", lambda _: b"<html>", "a.tar is no tar archive: it is a web page or a message of a server"),
        ("a.tar", lambda _: b"x" * 600, "a.tar is truncated or damaged at byte 0, where a file begins: "),
    ],
)
def test_archives_that_are_not_whole(name, spoil, message, tmp_path):
    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / name
    archive(path, *A, *B)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)
