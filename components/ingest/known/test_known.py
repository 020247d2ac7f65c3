# mypy: allow-untyped-defs, allow-untyped-calls
"""Each known data set, from small files of its own layout on a mirror: which pixels, labels, groups and names come."""

import bz2
import gzip
import hashlib
import io
import re
import struct
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from components.conftest import make
from components.contract import artifact
from components.ingest import known
from components.ingest.component import COMPONENT
from components.ingest.conftest import Mirror
from components.ingest.known import KNOWN, NAMES, mnist_c, reading, table
from components.ingest.known.mnist import FILES

RANDOM = np.random.default_rng(0)


def idx(array, kind=0x08):
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def pixels(number, height=28, width=28):
    return RANDOM.integers(0, 256, (number, height, width), np.uint8)


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Return a function that puts {download: {file: content}} on a mirror, as a known data set has it."""
    with Mirror(tmp_path / "mirror") as mirror:

        def serve(name, contents):
            downloads = []
            for download in KNOWN[name].downloads:
                folder = tmp_path / "mirror" / download.folder
                folder.mkdir(parents=True)
                files = []
                for file in download.files:
                    content = contents[download.folder][file.packed]
                    (folder / file.packed).write_bytes(content)
                    kept = gzip.decompress(content) if file.unpacked else content
                    algorithm = file.digest.partition(":")[0]
                    files.append(replace(file, digest=f"{algorithm}:{hashlib.new(algorithm, kept).hexdigest()}"))
                mirrors = (f"{mirror.address}/{download.folder}",)
                downloads.append(replace(download, mirrors=mirrors, files=tuple(files), packages={}))
            monkeypatch.setitem(KNOWN, name, replace(KNOWN[name], downloads=tuple(downloads)))
            return mirror

        yield serve


def read(name, tmp_path):
    """Return what comes of a known data set, by split: images, labels, origins, groups."""
    found = KNOWN[name]
    parts: dict[str, list[tuple[object, ...]]] = {}
    for batch in found.batches(found.obtain(tmp_path / "cache")):
        assert batch.class_names == found.class_names
        groups = batch.groups or [""] * len(batch.origins)
        assert len(batch.images) == len(batch.labels) == len(batch.origins) == len(groups)
        parts.setdefault(batch.split, []).append((batch.images, batch.labels, batch.origins, groups))
    return {
        split: tuple(np.concatenate(each) for each in zip(*batches, strict=True)) for split, batches in parts.items()
    }


def four(train=7, test=5):
    arrays = dict(zip(FILES, (pixels(train), np.arange(train) % 10, pixels(test), np.arange(test) % 10), strict=True))
    return {name: array.astype(np.uint8) for name, array in arrays.items()}


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "kmnist"])
def test_four_idx_files(name, serve, tmp_path):
    arrays = four()
    serve(name, {name: {f"{file}.gz": idx(array) for file, array in arrays.items()}})
    found = read(name, tmp_path)
    for split, images, labels in (("train", *FILES[:2]), ("test", *FILES[2:])):
        assert (found[split][0] == arrays[images]).all()
        assert (found[split][1] == arrays[labels]).all()
        assert found[split][2].tolist() == [f"{images} {row}" for row in range(len(arrays[images]))]


@pytest.mark.parametrize(
    ("part", "lowest", "names"),
    [
        ("byclass", 0, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
        ("bymerge", 0, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        ("balanced", 0, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        ("letters", 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        ("digits", 0, "0123456789"),
        ("mnist", 0, "0123456789"),
    ],
)
def test_emnist_is_put_upright_and_its_labels_to_0(part, lowest, names, serve, tmp_path):
    assert "".join(KNOWN[f"emnist-{part}"].class_names) == names
    images = {"train": pixels(len(names)), "test": pixels(3)}
    members = {"gzip/emnist-other-train-images-idx3-ubyte.gz": b"not looked at"}
    for split, array in images.items():
        sideways = np.array([image.T for image in array])
        members[f"gzip/emnist-{part}-{split}-images-idx3-ubyte.gz"] = idx(sideways)
        labels = np.arange(lowest, lowest + len(array), dtype=np.uint8)
        members[f"gzip/emnist-{part}-{split}-labels-idx1-ubyte.gz"] = idx(labels)
    serve(f"emnist-{part}", {"emnist": {"gzip.zip": zipped(members)}})
    found = read(f"emnist-{part}", tmp_path)
    for split, array in images.items():
        assert (found[split][0] == array).all()
        assert found[split][1].tolist() == list(range(len(array)))
    assert found["test"][2][2] == f"emnist-{part}-test-images-idx3-ubyte.gz 2"
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*")) == ["emnist", "gzip.zip"]


def about(labels, first_writer):
    """Return labels as QMNIST has them, big-endian: two images in a row are by one writer."""
    rows = np.zeros((len(labels), 8), ">i4")
    rows[:, 0], rows[:, 1], rows[:, 2] = labels, 4, first_writer + np.arange(len(labels)) // 2
    return idx(rows, 0x0C)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("qmnist", slice(0, None)),
        ("qmnist-test10k", slice(0, 10_000)),
        ("qmnist-test50k", slice(10_000, None)),
    ],
)
def test_qmnist_has_writers_and_parts_of_its_test_images(name, kept, serve, tmp_path):
    train, test = pixels(7, 2, 3), pixels(10_003, 2, 3)
    numbers = np.arange(10_003) % 10
    contents = {
        "qmnist-train-images-idx3-ubyte.gz": idx(train),
        "qmnist-train-labels-idx2-int.gz": about(numbers[:7], 300),
        "qmnist-test-images-idx3-ubyte.gz": idx(test),
        "qmnist-test-labels-idx2-int.gz": about(numbers, 2100),
    }
    serve(name, {"qmnist": contents})
    found = read(name, tmp_path)
    assert (found["train"][0] == train).all()
    assert found["train"][3].tolist() == [f"writer {300 + i // 2}" for i in range(7)]
    assert (found["test"][0] == test[kept]).all()
    assert (found["test"][1] == numbers[kept]).all()
    assert found["test"][2][-1] == f"qmnist-test-images-idx3-ubyte {range(10_003)[kept][-1]}"
    assert found["test"][3][0] == f"writer {2100 + range(10_003)[kept][0] // 2}"


def test_usps_becomes_bytes_as_torchvision_makes_them(serve, tmp_path):
    values = np.array([[-1, 1, 0, 0.5, -0.999, 0.862, -0.4, 0.996] * 32, [1, -1] * 128])
    lines = [
        f"{label} " + " ".join(f"{i}:{value:.6g}" for i, value in enumerate(row, 1)) + " \n"
        for label, row in zip((10, 1), values, strict=True)
    ]
    sparse = "3 2:1 256:-1\n"  # an index that is not there has the value 0
    contents = {"usps.bz2": bz2.compress("".join(lines).encode()), "usps.t.bz2": bz2.compress(sparse.encode())}
    serve("usps", {"usps": contents})
    found = read("usps", tmp_path)
    assert found["train"][0].shape == (2, 16, 16)
    assert found["train"][0].dtype == np.uint8
    assert found["train"][0][0, 0].tolist() == [0, 255, 127, 191, 0, 237, 76, 254] * 2
    assert found["train"][0][1].ravel().tolist() == [255, 0] * 128
    assert found["train"][1].tolist() == [9, 0]
    assert found["test"][1].tolist() == [2]
    assert found["test"][0][0].ravel().tolist() == [127, 255, *[127] * 253, 0]
    assert found["test"][2].tolist() == ["usps.t.bz2 0"]


@pytest.mark.parametrize("name", ["mnist-c", "mnist-c-fog", "mnist-c-canny-edges"])
def test_mnist_c_is_mnist_tested_on_corrupted_images(name, serve, tmp_path):
    arrays = four()
    chosen = mnist_c.CORRUPTIONS if name == "mnist-c" else (name.removeprefix("mnist-c-").replace("-", "_"),)
    members, tests = {}, {}
    for corruption in (*mnist_c.CORRUPTIONS, "identity"):
        tests[corruption] = pixels(5)
        members[f"mnist_c/{corruption}/test_images.npy"] = npy(tests[corruption][..., None])
        members[f"mnist_c/{corruption}/test_labels.npy"] = npy(arrays[FILES[3]].astype(np.int64))
        members[f"mnist_c/{corruption}/train_images.npy"] = b"not looked at"
    contents = {
        "mnist": {f"{file}.gz": idx(array) for file, array in arrays.items()},
        "mnist-c": {"mnist_c.zip": zipped(members)},
    }
    serve(name, contents)
    found = read(name, tmp_path)
    assert (found["train"][0] == arrays[FILES[0]]).all()
    assert (found["test"][0] == np.concatenate([tests[each] for each in chosen])).all()
    assert found["test"][1].tolist() == [0, 1, 2, 3, 4] * len(chosen)
    assert found["test"][2][4] == f"mnist_c/{chosen[0]}/test_images.npy 4"
    assert set(found) == {"train", "test"}


def test_rows_of_a_split_come_in_parts_of_the_same_order(serve, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "ROWS", 3)
    arrays = four()
    serve("kmnist", {"kmnist": {f"{file}.gz": idx(array) for file, array in arrays.items()}})
    entry = KNOWN["kmnist"]
    batches = list(entry.batches(entry.obtain(tmp_path / "cache")))
    assert [(batch.split, len(batch.images)) for batch in batches] == [
        ("train", 3), ("train", 3), ("train", 1), ("test", 3), ("test", 2),
    ]  # fmt: skip
    assert batches[2].origins == ["train-images-idx3-ubyte 6"]
    assert (batches[2].images == arrays[FILES[0]][6:]).all()


def test_the_whole_step_with_writers_that_are_not_parted(serve, tmp_path):
    numbers = np.arange(40) % 4
    train = pixels(40, 6, 5)
    contents = {
        "qmnist-train-images-idx3-ubyte.gz": idx(train),
        "qmnist-train-labels-idx2-int.gz": about(numbers, 0),
        "qmnist-test-images-idx3-ubyte.gz": idx(pixels(6, 6, 5)),
        "qmnist-test-labels-idx2-int.gz": about(numbers[:6], 2100),
    }
    mirror = serve("qmnist", {"qmnist": contents})
    values = {"source": "qmnist", "cache": str(tmp_path / "cache"), "validation_size": 8}
    made = make(COMPONENT, values, {}, tmp_path / "made")
    metadata = artifact.read(made / "dataset").metadata
    assert metadata["splits"] == {"train": 32, "validation": 8, "test": 6}
    assert metadata["class_names"] == list("0123456789")
    assert set(metadata["source_sha256"]) == {file.name for file in KNOWN["qmnist"].downloads[0].files}
    validation = np.load(made / "dataset" / "validation-images-00000.npy").reshape(8, 6, 5)
    rows = [next(i for i in range(40) if (train[i] == image).all()) for image in validation]
    assert [row // 2 for row in rows[::2]] == [row // 2 for row in rows[1::2]]
    make(COMPONENT, values, {}, tmp_path / "again")
    assert len(mirror.asked) == 4


def test_what_is_declared_of_each():
    assert [name for name in NAMES if KNOWN[name].name != name] == []
    for each in KNOWN.values():
        assert 2 <= len(each.class_names) == len(set(each.class_names)) <= 256
        assert set(each.splits) == {"train", "test"}
        assert all((each.title, each.licence, each.homepage, each.citation))
        for download in each.downloads:
            assert download.mirrors
            for file in download.files:
                assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.digest)


def test_a_name_that_is_nearly_one():
    assert known.find("mnist") is KNOWN["mnist"]
    assert known.find("MNIST") is None
    assert known.nearest("MNIST") == " (did you mean mnist?)"
    assert known.nearest("fashion_mnist") == " (did you mean fashion-mnist?)"
    assert known.nearest("FashionMNIST") == " (did you mean fashion-mnist?)"
    assert known.nearest("mnist_c fog") == " (did you mean mnist-c-fog?)"
    assert known.nearest("EMNIST") == (
        " (emnist has 6 splits: emnist-byclass, emnist-bymerge, emnist-balanced, emnist-letters, emnist-digits, "
        "emnist-mnist)"
    )
    assert known.nearest("/data/photos") == ""


def test_names_are_known_where_there_is_no_numpy():
    heavy = "{'numpy', 'botocore'} & set(sys.modules)"
    code = f"import sys; from components.ingest.known import NAMES; print(len(NAMES), *{heavy})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "29\n"


def test_the_page_has_the_table_as_it_is_now():
    page = table.PAGE.read_text()
    assert f"{table.BEGIN}\n{table.table()}\n{table.END}" in page
    assert "| `emnist-letters` | [EMNIST Letters: capital and small as one class]" in page
    assert "`qmnist` with a part of its test images: `qmnist-test10k`, `qmnist-test50k`." in page
