# mypy: allow-untyped-defs, allow-untyped-calls
"""The same digits in every form give the same images; and what is no form is said."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.ingest.forms import FORMS
from components.testdata.forms import WRITERS, digits, png, read

ROOT = Path(__file__).parents[3]


def by_image(images, labels):
    return sorted((image.tobytes(), str(label)) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("form", WRITERS)
def test_the_same_digits_in_every_form_are_the_same_images(form, tmp_path):
    (tmp_path / "source").mkdir()
    WRITERS[form](tmp_path / "source", digits(512))
    found, chosen = read(tmp_path / "source", tmp_path / "scratch")
    assert chosen.name == form
    assert list(found) == ["train", "test"]
    origins = {}
    for split, (images, labels) in digits(512).items():
        assert {(image.shape, image.dtype.name) for image in found[split][0]} == {((28, 28), "uint8")}
        if form == "folders":  # by class
            assert by_image(*found[split][:2]) == by_image(images, labels)
        else:
            assert np.array_equal(found[split][0], images)
            assert found[split][1] == labels.tolist()
        assert len(set(found[split][2])) == len(images)
        origins[split] = found[split][2][5]
    assert (
        origins
        == {
            "csv": {"train": "train.csv line 7", "test": "test.csv line 7"},
            "folders": {"train": "train/0/00056.png", "test": "test/0/00055.png"},
            "idx": {"train": "train-images-idx3-ubyte 5", "test": "t10k-images-idx3-ubyte 5"},
            "npz": {"train": "mnist.npz x_train 5", "test": "mnist.npz x_test 5"},
            "parquet": {split: f"data/{split}-00000-of-00001.parquet 5" for split in ("train", "test")},
            "tfrecord": {split: f"mnist-{split}.tfrecord-00000-of-00001 5" for split in ("train", "test")},
            "webdataset": {"train": "train-000000.tar 00005", "test": "test-000000.tar.gz 00005"},
        }[form]
    )


def test_every_form_that_ships_is_tested():
    assert FORMS.names == list(WRITERS)


@pytest.mark.parametrize("form", WRITERS)
def test_the_store_gives_what_the_folder_gives(form, tmp_path, s3):
    folder = tmp_path / "source"
    folder.mkdir()
    WRITERS[form](folder, digits(24))
    store = Store.from_environment()
    for path in folder.rglob("*"):
        if path.is_file():
            store.client.put_object(Bucket="tests", Key=f"{s3[11:]}/{path.relative_to(folder)}", Body=path.read_bytes())
    local, remote = (read(source, tmp_path / "scratch")[0] for source in (folder, s3))
    assert list(local) == list(remote) == ["train", "test"]
    for split in local:
        assert np.array_equal(local[split][0], remote[split][0])
        assert local[split][1:] == remote[split][1:]
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("form", WRITERS)
def test_whatever_is_damaged_is_a_sentence_or_read(form, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    WRITERS[form](folder, digits(12))
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chance, said = random.Random(form), []  # noqa: S311
    for _ in range(60):
        path = chance.choice(files)
        whole = path.read_bytes()
        path.write_bytes(damaged(whole, chance))
        try:
            read(folder, tmp_path / "scratch")
        except BadInput as error:
            said.append(str(error))
        path.write_bytes(whole)
    assert len(said) > 20
    assert [text for text in said if "\n" in text or len(text) > 600] == []


def damaged(content, chance):
    """Return a file cut off, with other bytes in it, with some left out, or with more of them."""
    at = chance.randrange(len(content))
    bits = bytes([chance.randrange(256)])
    few = chance.randrange(1, 50)
    return chance.choice(
        (
            content[:at],
            content[:at] + bits + content[at + 1 :],
            content[:at] + content[at + few :],
            content[:at] + bits * few,
        )
    )


def test_a_single_file_is_a_source(tmp_path):
    WRITERS["npz"](tmp_path, digits())
    assert len(read(tmp_path / "mnist.npz", tmp_path / "scratch")[0]["train"][0]) == 64


def test_two_forms_of_one_place_are_asked_about_and_either_may_be_chosen(tmp_path):
    """As in the archive of Fashion-MNIST on Kaggle."""
    WRITERS["idx"](tmp_path, digits())
    WRITERS["csv"](tmp_path, digits(8))
    with pytest.raises(BadInput) as error:
        read(tmp_path, tmp_path / "scratch")
    assert "can be read in more than one form: csv (tables test.csv, train.csv); idx (IDX files" in str(error.value)
    assert "choose one with `form`" in str(error.value)
    assert [len(read(tmp_path, tmp_path, form=form)[0]["train"][0]) for form in ("csv", "idx")] == [8, 64]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mnist.zip": b"PK\x03\x04more"}, "it has 1 such as mnist.zip: unpack it, and give the folder"),
        ({"mnist.mat": b"MATLAB 5.0"}, 'it has 1 such as mnist.mat: convert it: numpy.savez("data.npz", **scipy.io'),
        ({"mnist.h5": b"\x89HDF\r\n\x1a\n"}, 'it has 1 such as mnist.h5: convert it: f = h5py.File("mnist.h5")'),
        ({"mnist.pkl": b"\x80\x04."}, "a pickle can run any code, so it is never loaded here"),
        ({"data.arrow": b"ARROW1"}, "write it as Parquet"),
        ({"mnist": b"\0\0\x08\x03" + bytes(12)}, "mnist is an IDX file, but not called so; call it train-images"),
        ({"download": b"PAR1 and more"}, "download is a Parquet file, but not called so; call it download.parquet"),
        ({"download": b"<!DOCTYPE html>"}, "download is a web page or a message of a server"),
        ({"7/a.png": png(np.zeros((2, 2), np.uint8))}, "but only one folder of a class, 7; put those of"),
        ({"a.png": b"", "b.png": b""}, "it has 2 pictures, as a.png, but no folders of classes; put them there, as 7/"),
        ({"images.npy": b""}, "nearest is npz, but images.npy is alone; put labels.npy beside it"),
        ({".hidden": b"x"}, "all of its 1 files are hidden"),
        ({"a.md": b"words"}, "it has 1 files: a.md; see docs/data.md"),
    ],
)
def test_what_is_no_form_is_said_with_what_is_nearest(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path / "scratch")
    assert "has no form of data: csv, folders, idx, npz, parquet, tfrecord, webdataset; " in str(error.value)
    assert message in str(error.value)
    with pytest.raises(BadInput, match="has nothing of the form csv; "):
        read(tmp_path / "source", tmp_path / "scratch", form="csv")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that makes a form of one's own of its code."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(code):
        (tmp_path / "drawings.py").write_text(code)
        monkeypatch.delitem(sys.modules, "drawings", raising=False)
        if "drawings" not in FORMS:
            FORMS.add("drawings", "drawings", tmp_path / "drawings.py")

    yield make
    FORMS.remove("drawings")


def test_the_form_of_ones_own_of_the_page(own, tmp_path):
    page = (ROOT / "docs/data.md").read_text()
    own(page.partition("components/ingest/forms/drawings.py`:\n\n```python\n")[2].partition("```")[0])
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.drawing").write_text("one\n.#.\n.#.\n")
    (tmp_path / "source" / "b.drawing").write_text("minus\n...\n###\n")
    found, chosen = read(tmp_path / "source", tmp_path / "scratch")
    assert (chosen.name, chosen.what) == ("drawings", "2 drawings")
    assert found[""].labels == ["one", "minus"]
    assert np.array_equal(found[""].images, [[[0, 255, 0]] * 2, [[0, 0, 0], [255, 255, 255]]])


BATCH = """
import numpy as np
from components.ingest.forms import Batch
def recognised(place):
    return "drawings"
def read(place, fields):
    yield Batch(np.zeros((2, 2, 2), np.uint8), {})
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import nothing_of_that_name",
            "form drawings (drawings.py) cannot be imported: No module named 'nothing_of_that",
        ),
        ("def recognised(place) return", "form drawings (drawings.py) cannot be imported: expected ':'"),
        ("def recognised(place): ...", "form drawings (drawings.py) has no function read; see components/ingest/forms"),
        (
            BATCH.format("[1, 2], ['a', 'b'], 'holdout'"),
            "a: its split is 'holdout', expected train, validation, test, or",
        ),
        (BATCH.format("[1, 2, 3], ['a', 'b']"), "a: a batch of 2 images has 3 labels"),
    ],
)
def test_what_is_wrong_with_a_form_of_ones_own_is_one_sentence(code, message, own, tmp_path):
    own(code)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a").write_text("")
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path / "scratch")
    assert message in str(error.value)
