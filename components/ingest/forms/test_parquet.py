# mypy: allow-untyped-defs, allow-untyped-calls
"""Parquet: the columns that images may be in, and what is wrong with them."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.contract.errors import BadInput
from components.ingest.forms import Fields
from components.testdata.forms import digits, png, read, write_parquet

X, Y = digits()["train"]
PNGS = [png(image) for image in X]
LABELS = pa.array(Y, pa.int64())


def write(to, **columns):
    to.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), to, row_group_size=20)


def tensor():
    return pa.FixedShapeTensorArray.from_numpy_ndarray(X)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.array([{"bytes": each, "path": None} for each in PNGS])},
        {"img": pa.array(PNGS)},
        {"image": pa.array(PNGS, pa.large_binary())},
        {"pixels": pa.array(X.reshape(64, 784).tolist(), pa.list_(pa.uint8()))},
        {"pixels": pa.array(X.reshape(64, 784).tolist(), pa.list_(pa.int64(), 784))},
        {"image": pa.array(X.tolist(), pa.list_(pa.list_(pa.uint8())))},
        {"image": tensor()},
        {f"pixel{i}": X.reshape(64, 784)[:, i] for i in range(784)},
    ],
    ids=["struct", "bytes", "large bytes", "list", "fixed list", "lists", "tensor", "columns"],
)
def test_columns_of_many_types(columns, tmp_path):
    write(tmp_path / "source" / "train.parquet", label=LABELS, **columns)
    found = read(tmp_path / "source", tmp_path)[0]["train"]
    assert np.array_equal(found.images, X)
    assert {image.dtype.name for image in found.images} == {"uint8"}
    assert found.labels == Y.tolist()
    assert found.origins[63] == "train.parquet 63"


def test_images_of_many_sizes_and_names_of_files(tmp_path):
    write(tmp_path / "source" / "a.parquet", image=pa.array([X[0].tolist(), X[1, :20].tolist()]), label=LABELS[:2])
    found = read(tmp_path / "source", tmp_path)[0][""]
    assert [image.shape for image in found.images] == [(28, 28), (20, 28)]
    assert np.array_equal(found.images[1], X[1, :20])
    for i, content in enumerate(PNGS):
        (tmp_path / "source" / f"{i}.png").write_bytes(content)
    write(tmp_path / "source" / "a.parquet", path=[f"{i}.png" for i in range(64)], label=LABELS)
    assert np.array_equal(read(tmp_path / "source", tmp_path)[0][""].images, X)


def test_names_of_classes_and_shards_are_those_of_the_hub(tmp_path):
    (tmp_path / "source").mkdir()
    write_parquet(tmp_path / "source", digits())
    found = read(tmp_path / "source", tmp_path)[0]
    assert list(found) == ["train", "test"]
    assert found["test"].class_names == list("0123456789")
    kept = {"huggingface": json.dumps({"info": {"features": {"label": {"dtype": "int64", "_type": "Value"}}}})}
    table = pa.table({"image": PNGS, "label": LABELS}).replace_schema_metadata(kept)
    pq.write_table(table, tmp_path / "source" / "data" / "test-00000-of-00001.parquet")
    assert read(tmp_path / "source", tmp_path)[0]["test"].class_names == []


def test_what_has_no_label_and_which_columns_are_not_used_is_said(tmp_path, capsys):
    features = {"label": {"names": list("0123456789"), "_type": "ClassLabel"}}
    labels = np.where(np.arange(64) < 60, Y.astype(int), -1)
    table = pa.table({"image": PNGS, "label": labels, "wieght": Y, "split": ["train"] * 58 + ["test"] * 6})
    said = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    for name in ("a", "b"):
        write_table = tmp_path / "source" / f"{name}.parquet"
        write_table.parent.mkdir(exist_ok=True)
        pq.write_table(said, write_table)
    found = read(tmp_path / "source", tmp_path)[0]
    assert np.array_equal(found["test"].images, [*X[58:60]] * 2)
    assert found["test"].origins == ["a.parquet 58", "a.parquet 59", "b.parquet 58", "b.parquet 59"]
    unused, left = capsys.readouterr().out.splitlines()
    assert unused == "parquet: columns of a.parquet that are not used: wieght"
    assert left.startswith(
        "parquet: left out, as their label is -1, which is none: 8 images, a.parquet 60, a.parquet 61"
    )


def test_folders_may_name_the_split_and_the_label(tmp_path):
    for split in ("train", "test"):
        for label in (3, 7):
            write(tmp_path / "source" / f"split={split}" / f"label={label}" / "part-0.parquet", image=PNGS[:label])
    found = read(tmp_path / "source", tmp_path)[0]
    assert list(found) == ["train", "test"]
    assert found["test"].labels == ["3"] * 3 + ["7"] * 7
    assert np.array_equal(found["test"].images[3:], X[:7])


def test_splits_groups_weights_and_texts(tmp_path):
    names = [f"digit {y}" for y in Y]
    write(
        tmp_path / "source" / "a.parquet",
        picture=PNGS,
        what=pa.array(names).dictionary_encode(),
        split=["train", "test"] * 32,
        writer=list(range(64)),
        weight=[i / 2 for i in range(64)],
    )
    found = read(tmp_path / "source", tmp_path, Fields(label="what"))[0]
    assert found["test"].labels == names[1::2]
    assert found["test"].groups == [str(i) for i in range(1, 64, 2)]
    assert found["train"].weights == [float(i) for i in range(32)]


def structs(change, i):
    made = [{"bytes": content, "path": None} for content in PNGS]
    made[i] |= change
    return pa.array(made, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"image": structs({"bytes": None}, 30)},
            "a.parquet 30: the image is missing; take the row out, or give it one",
        ),
        ({"image": structs({"bytes": None, "path": "x.png"}, 30)}, "a.parquet 30: there is no file x.png in "),
        ({"image": structs({"bytes": b"<html>"}, 30)}, "a.parquet 30 is no picture that can be read"),
        ({"image": structs({"bytes": PNGS[0][:-40]}, 30)}, "a.parquet 30 is a damaged picture"),
        ({"image": PNGS, "label": pa.array([None, *Y[1:].tolist()])}, "a.parquet 0: the label is missing; give it one"),
        (
            {"image": PNGS, "label": pa.array(Y + 0.5)},
            "a.parquet 0: the label is 5.5, expected a whole number or a text",
        ),
        ({"image": PNGS, "label": [[1]] * 64}, "a.parquet 0: the label is [1], expected a whole number or a text"),
        ({"image": [[1, 2, 3]] * 64}, "a.parquet: an image has 3 pixels, which is no square number"),
        (
            {"image": [[1] * 4] * 9 + [[1] * 3] + [[1] * 4] * 54},
            "a.parquet 9: an image has 3 pixels, which is no square",
        ),
        ({"image": [[[1, 2], [3]]] * 64}, "a.parquet 0: the rows of the image have not all the same number of pixels"),
        ({"image": [[1, 2, 3, None]] * 64}, "a.parquet 0: a pixel of image is missing"),
        ({"image": [*[[1, 2]] * 9, None, *[[1, 2]] * 54]}, "a.parquet 9: the image is missing; take the row out"),
        ({"image": [["a", "b", "c", "d"]] * 64}, "a.parquet 0: the column image is string, expected numbers: pixels"),
        (
            {"image": [1.5] * 64},
            "a.parquet: the column image is double, expected pictures (bytes, or a struct with bytes)",
        ),
        (
            {"image": PNGS, "label": None},
            "a.parquet has no column for the label: it has image; name it with `label_field`",
        ),
        ({}, "a.parquet has no column for the image: it has label; name it with `image_field`"),
    ],
)
def test_what_is_wrong_is_one_sentence(columns, message, tmp_path):
    columns = {name: column for name, column in ({"label": LABELS} | columns).items() if column is not None}
    write(tmp_path / "source" / "a.parquet", **columns)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-100], "it begins as one, but its end is missing: it is truncated"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1", "it is a pointer of Git LFS, not the file itself"),
        (lambda _: b"", "it is empty"),
        (lambda content: content[:300] + bytes(400) + content[700:], "a.parquet is no sound Parquet file: "),
    ],
)
def test_files_that_are_not_whole(spoil, message, tmp_path):
    write(tmp_path / "source" / "a.parquet", image=PNGS, label=LABELS)
    path = tmp_path / "source" / "a.parquet"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)
