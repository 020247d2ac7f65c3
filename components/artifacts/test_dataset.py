# mypy: allow-untyped-defs, allow-untyped-calls
"""A split in several files: what is in which of them, and that they are read like one array."""

from pathlib import Path

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.artifacts import shards
from components.contract import artifact
from components.contract.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 4, 3, 3), np.uint8)
LABELS = np.arange(23, dtype=np.uint8) % 5


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a folder with a test split in shards of 5 images, of which 23 came 7, 0 and 16 at a time."""
    monkeypatch.setattr(datasets, "SHARD", 5 * 36 + 35)
    monkeypatch.setattr(shards, "PIECE", 2 * 36)
    parts = iter([IMAGES[:7], IMAGES[:0], IMAGES[7:]])
    datasets.write(tmp_path, "test", parts, LABELS, None, [str(i) for i in range(23)])
    return tmp_path


def test_each_shard_but_the_last_has_as_many_images(written):
    names = sorted(path.name for path in written.glob("*-images-*"))
    assert names == [f"test-images-{i:05}.npy" for i in range(5)]
    arrays = [np.load(written / name) for name in names]
    assert [len(each) for each in arrays] == [5, 5, 5, 5, 3]
    assert (np.concatenate(arrays) == IMAGES).all()


def test_one_shard_is_what_numpy_writes(tmp_path):
    datasets.write(tmp_path, "test", iter([IMAGES[:9], IMAGES[9:]]), LABELS, None, ["x"] * 23)
    np.save(tmp_path / "numpy.npy", IMAGES)
    assert (tmp_path / "test-images-00000.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()
    assert not (tmp_path / "test-images-00001.npy").exists()


def test_an_image_larger_than_a_shard_is_one_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "SHARD", 35)
    split = datasets.write(tmp_path, "test", iter([IMAGES]), LABELS, None, ["x"] * 23)
    assert len(list(tmp_path.glob("*-images-*"))) == 23
    assert (split.images[:] == IMAGES).all()


def test_they_are_read_like_one_array(written):
    images = datasets.read(written, "test").images
    assert (images.shape, images.ndim, images.nbytes, len(images)) == (IMAGES.shape, 4, 828, 23)
    assert images.dtype == np.uint8
    for chosen in (
        0, 22, -1, np.int64(7), slice(None), slice(6, 9), slice(3, 17), slice(20, 99), slice(9, 9),
        slice(None, None, -4), [4, 5, 4], np.array([22, 0, 11]), np.array([], int), LABELS == 3,
    ):  # fmt: skip
        assert np.array_equal(images[chosen], IMAGES[chosen]), chosen
    assert np.array_equal(np.asarray(images), IMAGES)
    assert np.array_equal([image.sum() for image in images], IMAGES.sum(axis=(1, 2, 3)))
    made = np.zeros((2, 4, 3, 3), np.uint8)
    images.into(made, np.array([12, 3]))  # type: ignore[union-attr]
    assert np.array_equal(made, IMAGES[[12, 3]])
    for wrong in (23, -24, [0, 23], [-1]):
        with pytest.raises(IndexError):
            images[wrong]


def test_few_files_are_mapped_at_a_time(written):
    def mapped():
        return Path("/proc/self/maps").read_text(encoding="utf-8").count(f"{written}/")

    images = datasets.read(written, "test").images
    for _ in images:
        assert mapped() <= 3  # the last two, and the one that is being opened


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "test-images-00003.npy").unlink(),
         "the test split has 23 labels, but of its images there is no test-images-00003.npy"),
        (lambda folder: (folder / "test-images-00000.npy").unlink(), "there is no .*test-images-00000.npy; give the"),
        (lambda folder: np.save(folder / "test-images-00005.npy", IMAGES[:1]),
         "the test split has 23 labels, but more images than that"),
        (lambda folder: np.save(folder / "test-labels.npy", LABELS[:4]), "has 4 labels, but more images than that"),
        (lambda folder: np.save(folder / "test-images-00002.npy", IMAGES[:4]),
         r"test-images-00002.npy has the shape \(4, 4, 3, 3\), expected \(5, 4, 3, 3\)"),
        (lambda folder: np.save(folder / "test-images-00002.npy", IMAGES[:5].astype(np.int16)),
         "test-images-00002.npy holds int16, expected uint8"),
        (lambda folder: (folder / "test-images-00004.npy").write_bytes(b"no array"),
         "test-images-00004.npy is damaged"),
        (lambda folder: np.save(folder / "test-images.npy", IMAGES),
         "has its test images in one file, as earlier versions did; make the data set again"),
        (lambda folder: np.save(folder / "test-labels.npy", LABELS[:, None]), r"labels.npy has the shape \(23, 1\)"),
    ],
)  # fmt: skip
def test_what_does_not_agree_is_named(written, change, sentence):
    change(written)
    with pytest.raises(BadInput, match=sentence):
        datasets.read(written, "test").images[:]


def test_a_test_set_is_named_by_what_is_in_it(written):
    def named():
        (written / artifact.MANIFEST).unlink(missing_ok=True)
        artifact.seal(
            written, component="x", output="x", parameters={}, inputs={}, metadata={"class_names": ["a", "b"]}
        )
        return datasets.test_set(written)

    first = named()
    (written / "train-labels.npy").write_bytes(b"others")
    assert named() == first
    for name in ("test-images-00004.npy", "test-labels.npy"):
        before = (written / name).read_bytes()
        (written / name).write_bytes(before + b"x")
        assert named() != first
        (written / name).write_bytes(before)
    assert named() == first
    (written / "test-labels.npy").unlink()
    with pytest.raises(BadInput, match="has no test split"):
        named()
