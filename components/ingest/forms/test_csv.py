# mypy: allow-untyped-defs, allow-untyped-calls
"""Tables of pixels and tables of files, with and without a header, and what is wrong with them."""

import gzip

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.forms import Fields
from components.testdata.forms import digits, png, read

X, Y = digits()["train"]
FLAT = X.reshape(64, 784)


HEADER = ",".join(["label", *(f"pixel{i}" for i in range(784))])


def table(header=HEADER, columns=None, separator=","):
    """Return a table of digits as text."""
    rows = [[y, *x] for y, x in zip(Y.tolist(), FLAT.tolist(), strict=True)] if columns is None else columns
    lines = [separator.join(map(str, row)) for row in rows]
    return "\n".join([header.replace(",", separator)] * bool(header) + lines) + "\n"


@pytest.mark.parametrize(
    ("name", "content", "origin"),
    [
        ("train.csv", table(), "train.csv line 2"),
        (
            "fashion-mnist_train.csv",
            table("label," + ",".join(f"pixel{i}" for i in range(1, 785))),
            "fashion-mnist_train.csv line 2",
        ),
        ("mnist_train.csv", table(""), "mnist_train.csv line 1"),
        (
            "train.csv",
            "\ufeff" + table("label," + ",".join(f"{i}x{j}" for i in range(28) for j in range(28))),
            "train.csv line 2",
        ),
        ("train.tsv", table(separator="\t"), "train.tsv line 2"),
        ("train.csv", table(separator=";").replace("\n", "\r\n"), "train.csv line 2"),
        (
            "train.csv",
            table(
                "id,target," + ",".join(f"p{i}" for i in range(784)),
                [[7, y, *x] for y, x in zip(Y.tolist(), FLAT.tolist(), strict=True)],
            ),
            "train.csv line 2",
        ),
    ],
)
def test_tables_of_pixels(name, content, origin, tmp_path):
    (tmp_path / name).write_text(content, encoding="utf-8")
    found = read(tmp_path, tmp_path / "scratch")[0]["train"]
    assert np.array_equal(found.images, X)
    assert found.images[0].dtype == np.uint8
    assert found.labels == Y.tolist()
    assert found.origins[0] == origin


def test_a_gzipped_table_of_fractions(tmp_path):
    rows = [[y, *x] for y, x in zip(Y.tolist(), (FLAT / 255).tolist(), strict=True)]
    (tmp_path / "train.csv.gz").write_bytes(gzip.compress(table(columns=rows).encode()))
    assert np.array_equal(read(tmp_path, tmp_path / "scratch")[0]["train"].images, X / 255)


def test_a_table_without_labels_is_left_out_and_that_is_said(tmp_path, capsys):
    """As Kaggle's digit-recognizer: test.csv has no labels, sample_submission.csv no images."""
    (tmp_path / "train.csv").write_text(table())
    (tmp_path / "test.csv").write_text(table(",".join(f"pixel{i}" for i in range(784)), FLAT.tolist()))
    (tmp_path / "sample_submission.csv").write_text("ImageId,Label\n1,0\n2,0\n")
    assert list(read(tmp_path, tmp_path / "scratch")[0]) == ["train"]
    left = "csv: left out, as they have no labels or no images: test.csv, sample_submission.csv"
    assert left in capsys.readouterr().out


def test_a_table_of_files_with_split_group_and_weight(tmp_path):
    (tmp_path / "images").mkdir()
    lines = ["file_name,label,split,writer,weight"]
    for i, (image, label) in enumerate(zip(X, Y, strict=True)):
        (tmp_path / "images" / f"{i}.png").write_bytes(png(image))
        lines.append(f"images/{i}.png,{label},{'val' if i % 4 == 0 else 'Train'},w{i // 8},{i / 4}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    found, chosen = read(tmp_path, tmp_path / "scratch")
    assert chosen.name == "csv"
    assert sorted(found) == ["train", "validation"]
    assert np.array_equal(found["validation"].images, X[::4])
    assert found["validation"].labels == Y[::4].tolist()
    assert found["validation"].origins[1] == "images/4.png"
    assert found["validation"].groups == [f"w{i // 8}" for i in range(0, 64, 4)]
    assert found["validation"].weights == [float(i) for i in range(16)]


def test_a_pixel_may_be_whole_at_first_and_a_fraction_far_below(tmp_path, monkeypatch):
    monkeypatch.setattr("components.ingest.forms.csv._BLOCK", 64)
    (tmp_path / "a.csv").write_text("label,a,b,c,d\n" + "1,0,0.5,0,0\n" * 20 + "1,0.25,0,0,1\n")
    found = read(tmp_path, tmp_path / "scratch")[0][""]
    assert found.images[20].tolist() == [[0.25, 0.0], [0.0, 1.0]]
    assert len(found.images) == 21
    (tmp_path / "a.csv").write_text("label,a,b,c,d\n" + "1,0,0,0,0\n" * 20 + "1,x,0,0,1\n")
    with pytest.raises(
        BadInput, match=r"a.csv is no table of one kind: In CSV column #1: Row #22: CSV conversion error"
    ):
        read(tmp_path, tmp_path / "scratch")


@pytest.mark.parametrize("first", [0, 1])
def test_columns_of_numbers_instead_of_names_are_no_image(first, tmp_path):
    """As pandas writes what was read without a header, from 0, and as it reads what had none, as 0, 0.1, 0.2, …"""
    header = ",".join(str(i) if first == 0 else f"0.{i}" for i in range(first, 785 + first))
    (tmp_path / "a.csv").write_text(table(header))
    found = read(tmp_path, tmp_path / "scratch")[0][""]
    assert np.array_equal(found.images, X)
    assert found.origins[0] == "a.csv line 2"


def test_columns_that_are_not_used_are_said(tmp_path, capsys):
    (tmp_path / "7.png").write_bytes(png(X[0]))
    (tmp_path / "a.csv").write_text("file,label,wieght\n7.png,7,3\n")
    read(tmp_path, tmp_path / "scratch")
    assert "csv: columns of a.csv that are not used: wieght" in capsys.readouterr().out


def test_columns_that_are_named(tmp_path):
    content = table(
        "colour,kind," + ",".join(f"p{i}" for i in range(784)),
        [["red", y, *x] for y, x in zip(Y.tolist(), FLAT.tolist(), strict=True)],
    )
    (tmp_path / "a.csv").write_text(content)
    found = read(tmp_path, tmp_path / "scratch", Fields(label="kind", group="colour"))[0][""]
    assert (found.labels, set(found.groups)) == (Y.tolist(), {"red"})


SMALL = "label,a,b,c,d\n1,0,0,0,9\n2,0,0,0,9\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SMALL.replace(",d", "").replace(",9", ""), "a.csv: an image has 3 pixels, which is no square number"),
        (SMALL.replace("2,0,0", "2,0,"), "a.csv line 3: pixel b is missing, expected a number"),
        (SMALL.replace("2,0,0", "2,0,x"), "a.csv line 3: pixel b is 'x', expected a number"),
        (SMALL.replace("\n2,", "\n,"), "a.csv line 3: the label is missing; give it one, or take the image out"),
        (SMALL.replace("\n2,", "\n2.5,"), "a.csv line 3: the label is 2.5, expected a whole number or a text"),
        (SMALL + "3,0,0\n", "a.csv is no table of one kind: CSV parse error: Row #4: Expected 5 columns, got 3: 3,0,0"),
        (SMALL.replace(",d", ",c"), "a.csv line 1: there is more than one column 'c'; give each a name of its own"),
        ("label,a,b,c,d\n", "a.csv has a header, but no rows"),
        ("", "a.csv is no table: it is empty"),
        ("<!doctype html>", "a.csv is no table: it is a web page or a message of a server, not data"),
        (SMALL.replace("label", "what"), "a.csv: no column is called label, or none holds images; name them with"),
        ("file,label\nb.png,1\n", "a.csv line 2: there is no file b.png in "),
        ("file,label\n,1\n", "a.csv line 2: the name of the image's file is missing"),
        (
            "file,label\n7.png,1\n7.png,2\n",
            "a.csv line 3: 7.png was named before, in a.csv line 2; name each file once",
        ),
        ("file,label,split\n7.png,1,holdout\n", "7.png: the split is 'holdout', expected train, validation or test"),
        ("file,label,weight\n7.png,1,-2\n", "7.png: the weight is -2, expected a number that is not negative"),
        ("file,label,writer\n7.png,1,\n", "7.png: the group is missing; give it one"),
    ],
)
def test_what_is_wrong_is_one_sentence(content, message, tmp_path):
    (tmp_path / "a.csv").write_text(content)
    (tmp_path / "7.png").write_bytes(png(X[0]))
    with pytest.raises(BadInput) as error:
        read(tmp_path, tmp_path / "scratch")
    assert message in str(error.value)


def test_other_than_utf8_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"label,gr\xf6\xdfe\n")
    with pytest.raises(BadInput, match=r"a.csv is no table in UTF-8: at byte 8 stands f6"):
        read(tmp_path, tmp_path / "scratch")
