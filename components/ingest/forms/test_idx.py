# mypy: allow-untyped-defs, allow-untyped-calls
"""IDX files in every spelling and type, and spoilt."""

import gzip
import shutil
import struct

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.testdata.forms import digits, read, write_idx

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def write(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    path.write_bytes(header + array.astype(array.dtype.newbyteorder(">")).tobytes())


@pytest.fixture
def files(tmp_path):
    """Return a folder with the four files, to be spoilt."""
    folder = tmp_path / "files"
    folder.mkdir()
    write_idx(folder, digits())
    return folder


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ([name.replace("-idx", ".idx") for name in FILES], ["train", "test"]),
        ([name.upper() for name in FILES], ["train", "test"]),
        ([f"emnist-letters-{name}".replace("t10k", "test") for name in FILES], ["train", "test"]),
        ([name.replace("t10k", "valid") for name in FILES], ["train", "validation"]),
        (["raw/Train_Images.IDX", "raw/Train_Labels.IDX", "test/images.idx3", "test/labels.idx1"], ["train", "test"]),
        (["train-images", "train-labels", "t10k-images", "t10k-labels"], ["train", "test"]),
    ],
)
def test_any_spelling(names, splits, files, tmp_path):
    for old, new in zip(FILES, names, strict=True):
        (files / new).parent.mkdir(exist_ok=True)
        (files / old).rename(files / new)
    found = read(files, tmp_path)[0]
    assert list(found) == splits
    for split, (images, labels) in zip(found.values(), digits().values(), strict=True):
        assert np.array_equal(split.images, images)
        assert split.labels == labels.tolist()


def test_gzipped_with_and_without_the_name(files, tmp_path):
    for name, packed in zip(FILES, ("", ".gz", "", ".gz"), strict=True):
        content = gzip.compress((files / name).read_bytes())
        (files / name).unlink()
        (files / (name + packed)).write_bytes(content)
    assert np.array_equal(read(files, tmp_path)[0]["test"].images, digits()["test"][0])


def test_folders_of_the_files_names_beside_the_files_or_around_them(files, tmp_path):
    """As in Kaggle's archive of MNIST: folders with a dash, files with a dot, and the same file in each."""
    for name in FILES:
        (files / name).rename(files / name.replace("-idx", ".idx"))
        (files / name).mkdir()
        shutil.copy(files / name.replace("-idx", ".idx"), files / name / name)
    assert read(files, tmp_path)[0]["train"].origins[0] == "train-images.idx3-ubyte 0"
    for name in FILES:
        (files / name.replace("-idx", ".idx")).unlink()
    found = read(files, tmp_path)[0]
    assert found["train"].origins[0] == "train-images-idx3-ubyte/train-images-idx3-ubyte 0"
    assert np.array_equal(found["test"].images, digits()["test"][0])


@pytest.mark.parametrize("dtype", CODES)
def test_all_types_of_numbers_in_grey_and_colour(dtype, tmp_path):
    images, labels = digits()["train"]
    colour = np.stack([images // 2, images // 3, images // 4], axis=-1).astype(dtype)
    (tmp_path / "files").mkdir()
    write(tmp_path / "files" / "images-idx4-ubyte", colour)
    write(tmp_path / "files" / "labels-idx1-ubyte", labels.astype("int32" if "float" in dtype else dtype))
    found = read(tmp_path / "files", tmp_path)[0]
    assert list(found) == [""]
    assert np.array_equal(found[""].images, colour)
    assert {image.dtype for image in found[""].images} == {np.dtype(dtype)}
    assert found[""].labels == labels.tolist()


def test_the_writers_of_qmnist_are_groups(tmp_path):
    images, labels = digits()["train"]
    columns = np.zeros((len(labels), 8), np.int32)
    columns[:, 0], columns[:, 2] = labels, np.arange(len(labels)) // 4 + 70000
    (tmp_path / "files").mkdir()
    write(tmp_path / "files" / "qmnist-train-images-idx3-ubyte", images)
    write(tmp_path / "files" / "qmnist-train-labels-idx2-int", columns)
    found = read(tmp_path / "files", tmp_path)[0]["train"]
    assert found.labels == labels.tolist()
    assert found.groups == [str(i // 4 + 70000) for i in range(64)]


def change(name, how):
    def spoil(folder):
        path = folder / FILES[name]
        path.write_bytes(how(path.read_bytes()))

    return spoil


def swap(folder):
    for old, new in ((0, "kept"), (1, FILES[0])):
        (folder / FILES[old]).rename(folder / new)
    (folder / "kept").rename(folder / FILES[1])


def remove(name):
    return lambda folder: (folder / FILES[name]).unlink()


def dangle(folder):
    (folder / FILES[2]).unlink()
    (folder / FILES[2]).symlink_to(folder / "nowhere")


def second(folder):
    shutil.copy(folder / FILES[0], folder / f"emnist-{FILES[0]}")


def rewrite(name, array):
    return lambda folder: write(folder / FILES[name], array)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            change(0, lambda b: b[:-1]),
            "is truncated: its header announces 64×28×28 bytes of images, 50192 bytes in all, but it has 50191",
        ),
        (
            change(1, lambda b: b + b"\0"),
            "train-labels-idx1-ubyte is longer than it should be: its header announces 64 bytes",
        ),
        (swap, "train-images-idx3-ubyte holds labels, expected images: are two files swapped?"),
        (
            change(3, lambda _: b"%PDF-1.7"),
            "t10k-labels-idx1-ubyte is no IDX file of labels: it starts with 25504446, expected 00000801",
        ),
        (change(2, lambda b: b[:10]), "t10k-images-idx3-ubyte is truncated: it ends within its header"),
        (change(2, lambda _: b""), "t10k-images-idx3-ubyte is no IDX file of images: it is empty"),
        (rewrite(3, np.zeros(0, np.uint8)), "t10k-labels-idx1-ubyte is empty: its header announces 0 labels"),
        (
            rewrite(3, np.zeros(63, np.uint8)),
            "t10k-images-idx3-ubyte has 64 images, but t10k-labels-idx1-ubyte has 63 labels",
        ),
        (
            rewrite(3, np.zeros((64, 10), np.uint8)),
            "t10k-labels-idx1-ubyte has 10 numbers for each label, expected one",
        ),
        (rewrite(3, np.full(64, 0.5)), "t10k-images-idx3-ubyte 0: the label is 0.5, expected a whole number or a text"),
        (change(0, lambda b: gzip.compress(b)[:-9]), "train-images-idx3-ubyte is a damaged gzip file: "),
        (
            change(0, lambda b: gzip.compress(gzip.compress(b))),
            "train-images-idx3-ubyte is no IDX file of images: it is gzipped, perhaps twice; unpack it with: gunzip",
        ),
        (
            change(0, lambda b: b[3::-1] + b[4:]),
            "it starts with 03080000, expected 00000803, as if it was written little-",
        ),
        (change(0, lambda _: b"version https://git-lfs.github.com/spec/v1\n"), "is a pointer of Git LFS, not the file"),
        (change(0, lambda _: b"\n<!DOCTYPE html><html>"), "it is a web page or a message of a server, not data"),
        (
            change(2, lambda _: bytes.fromhex("00000803" + 12 * "ff")),
            "79228162458924105385300197391 bytes in all, but it has 16",
        ),
        (
            remove(2),
            "has no t10k-images-idx3-ubyte (nor t10k-images-idx3-ubyte.gz), which belongs to t10k-labels-idx1-ubyte",
        ),
        (
            remove(1),
            "has no train-labels-idx1-ubyte (nor train-labels-idx1-ubyte.gz), which belongs to train-images-idx3",
        ),
        (dangle, "has no t10k-images-idx3-ubyte"),
        (
            second,
            "has more than one file of train images: emnist-train-images-idx3-ubyte, train-images-idx3-ubyte; give",
        ),
    ],
)
def test_each_way_to_spoil_a_file_has_its_own_sentence(files, tmp_path, spoil, message):
    spoil(files)
    with pytest.raises(BadInput) as error:
        read(files, tmp_path)
    assert message in str(error.value)
