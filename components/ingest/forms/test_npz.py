# mypy: allow-untyped-defs, allow-untyped-calls
"""Named arrays: whose names they may have, and what is wrong with them."""

import io
import zipfile

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.forms import Fields
from components.testdata.forms import digits, read

X, Y = digits()["train"]
ONE_HOT = np.eye(10)[Y]


@pytest.mark.parametrize(
    ("arrays", "fields", "splits"),
    [
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}, {}, ["train", "test"]),
        (
            {f"{s}_{k}": a for s in ("train", "val", "test") for k, a in (("images", X), ("labels", Y[:, None]))},
            {},
            ["train", "validation", "test"],
        ),
        ({"X": X.reshape(64, 784), "y": Y.astype(float)}, {}, [""]),
        ({"trainImages": np.asfortranarray(X), "trainLabels": ONE_HOT}, {}, ["train"]),
        ({"arr_0": X, "arr_1": Y}, {}, [""]),
        (
            {"pics_train": X, "digit_train": Y, "images": X[:2], "y": Y[:3]},
            {"image": "pics", "label": "digit"},
            ["train"],
        ),
        ({"pics": X, "digits": Y}, {"image": "pics", "label": "digits"}, [""]),
    ],
)
def test_arrays_of_many_names(arrays, fields, splits, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    found = read(tmp_path, tmp_path / "scratch", Fields(**fields))[0]
    assert sorted(found) == sorted(splits)
    for split in found.values():
        assert np.array_equal(split.images, X)
        assert split.labels == Y.tolist()


def test_several_archives_have_the_split_in_their_names(tmp_path):
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", images=X, labels=np.array([f"digit {y}" for y in Y]))
    found = read(tmp_path, tmp_path / "scratch")[0]
    assert sorted(found) == ["test", "train"]
    assert found["train"].labels[:2] == ["digit 5", "digit 0"]
    assert found["test"].origins[63] == "test.npz images 63"


def test_single_arrays_in_files(tmp_path):
    np.save(tmp_path / "images.npy", X.astype(np.float32) / 255)
    np.save(tmp_path / "labels.npy", Y)
    found = read(tmp_path, tmp_path / "scratch")[0][""]
    assert found.images[0].dtype == np.float32
    assert np.array_equal(np.rint(np.array(found.images) * 255), X)
    assert found.origins[1] == "images.npy 1"


def test_splits_groups_and_weights_are_arrays_too(tmp_path, capsys):
    split = np.array(["train", "val"] * 32)
    np.savez(tmp_path / "a.npz", x=X, y=Y, fold=split, writer=np.arange(64) // 8, weights=np.arange(64) / 2, more=Y)
    found = read(tmp_path, tmp_path / "scratch", Fields(split="fold"))[0]
    assert np.array_equal(found["validation"].images, X[1::2])
    assert found["validation"].groups == [str(i // 8) for i in range(1, 64, 2)]
    assert found["train"].weights == [i / 2 for i in range(0, 64, 2)]
    assert "npz: left out of a.npz: more" in capsys.readouterr().out


def test_images_without_labels_are_left_out_and_that_is_said(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X)
    assert list(read(tmp_path, tmp_path / "scratch")[0]) == ["train"]
    assert "npz: left out, as there are no labels: a.npz x_test" in capsys.readouterr().out


def test_a_header_that_announces_more_than_there_can_be(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (64, 2**20, 2**30)})
    (tmp_path / "images.npy").write_bytes(file.getvalue() + X.tobytes())
    np.save(tmp_path / "labels.npy", Y)
    with pytest.raises(
        BadInput, match=r"images.npy announces images of more than 50,000,000 pixels: \[1048576, 1073741824\]"
    ):
        read(tmp_path, tmp_path / "scratch")


def packed(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def truncated(name, array):
    """Return an archive in which an array ends within its numbers."""
    inner, outer = io.BytesIO(), io.BytesIO()
    np.save(inner, array)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr(f"{name}.npy", inner.getvalue()[:-1000])
        labels = io.BytesIO()
        np.save(labels, Y)
        archive.writestr("y.npy", labels.getvalue())
    return outer.getvalue()


def flipped(content):
    """Return an archive with another pixel."""
    at = content.index(X[5].tobytes())
    return content[:at] + b"\x07" + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            packed(x=np.array([X[0], None], object), y=Y),
            "a.npz x holds Python objects, which are never loaded; save it as",
        ),
        (packed(x=X, y=Y[:60]), "a.npz x has 64 images, but a.npz y has 60 labels"),
        (packed(x_train=X, y_test=Y), "a.npz has no images of test, only y_test; name them with `image_field`"),
        (packed(x_train=X, x_test=X), "a.npz has no labels of train, only x_train; name them with `label_field`"),
        (
            packed(a=X, b=X, c=Y),
            "a.npz: which array holds the images, and which the labels? It has a [64, 28, 28], b [64,",
        ),
        (packed(x=X, image=X, y=Y), "a.npz image and a.npz x may both be the images; name one with `image_field`"),
        (packed(x=X.reshape(64, 784)[:, :783], y=Y), "a.npz x: an image has 783 pixels, which is no square number"),
        (
            packed(x=X, y=ONE_HOT * 0.5),
            "a.npz y 0: the label is a row of 10 numbers which is not one-hot, one 1 among 0s",
        ),
        (packed(x=X, y=Y + 0.5), "a.npz x 0: the label is 5.5, expected a whole number or a text"),
        (
            packed(x=X, y=np.where(Y == 4, np.nan, Y)),
            "a.npz x 2: the label is missing; give it one, or take the image out",
        ),
        (packed(x=X, y=5), "a.npz y is a single value, expected a label for each image"),
        (packed(x=Y, y=Y), "a.npz x is uint8 of shape [64], expected numbers [n, height, width]; name another array"),
        (packed(x=X.astype(str), y=Y), "a.npz x is str96 of shape [64, 28, 28], expected numbers [n, height, width]"),
        (packed(x=X, y=np.zeros((64, 2, 2))), "a.npz y: the labels have shape [64, 2, 2], expected one for each image"),
        (packed(x=X, y=Y)[:-50], "a.npz is no file of NumPy's: it cannot be read: File is not a zip file"),
        (b"<html>", "a.npz is no file of NumPy's: it is a web page or a message of a server, not data"),
        (
            truncated("x", X),
            "a.npz x is truncated: its header announces [64, 28, 28] uint8, but the numbers end within row 62",
        ),
        (flipped(packed(x=X, y=Y)), "a.npz x is damaged: Bad CRC-32 for file 'x.npy'"),
    ],
)
def test_what_is_wrong_is_one_sentence(content, message, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(BadInput) as error:
        read(tmp_path, tmp_path / "scratch")
    assert message in str(error.value)


def test_a_field_that_is_not_there_is_said_with_what_is(tmp_path):
    (tmp_path / "a.npz").write_bytes(packed(x=X, y=Y))
    with pytest.raises(BadInput, match=r"a.npz has no digits, which `label_field` names; it has x, y"):
        read(tmp_path, tmp_path / "scratch", Fields(label="digits"))
