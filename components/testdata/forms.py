# ruff: noqa: INP001
"""Writes images in each form in which people have them: the same digits, for tests and benchmarks."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as arrow
import pyarrow.parquet as pq
from PIL import Image

from components.ingest.forms import Chosen, Fields, choose, idx
from components.ingest.place import Place

HERE = Path(__file__).parent
NO_FIELDS = Fields()

Splits = Mapping[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]  # train and test: images and labels


def digits(count: int = 64) -> dict[str, tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]:
    """Return the first digits of train and of test, images and labels, up to 512 and 256."""
    made = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        images = idx.numbers(HERE / f"{stem}-images-idx3-ubyte.gz", "images")[:count]
        made[split] = images, idx.numbers(HERE / f"{stem}-labels-idx1-ubyte.gz", "labels")[:count]
    return made


class Read(NamedTuple):
    """What is of one split: images, labels, origins, groups, weights, and the names of the classes."""

    images: list[npt.NDArray[Any]]
    labels: list[Any]
    origins: list[str]
    groups: list[str]
    weights: list[float]
    class_names: list[str]


def read(
    source: Path | str, scratch: Path, fields: Fields = NO_FIELDS, form: str = "auto"
) -> tuple[dict[str, Read], Chosen]:
    """Return what a source has of each split, and the form that it was read in."""
    place = Place(str(source), scratch)
    chosen = choose(place, form)
    found: dict[str, Read] = {}
    for batch in chosen.read(place, fields):
        assert len(batch.images) == len(batch.labels) == len(batch.origins)
        split = found.setdefault(batch.split, Read([], [], [], [], [], list(batch.class_names)))
        labels = batch.labels.tolist() if isinstance(batch.labels, np.ndarray) else batch.labels
        split.images.extend(batch.images)
        split.labels.extend(labels)
        split.origins.extend(batch.origins)
        split.groups.extend(batch.groups or ())
        split.weights.extend(batch.weights or ())
    return found, chosen


def png(image: npt.NDArray[Any], **options: Any) -> bytes:
    """Return an image as a PNG file."""
    return picture(image, "PNG", **options)


def picture(image: npt.NDArray[Any], kind: str, **options: Any) -> bytes:
    """Return an image as a file of some kind."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def write_idx(folder: Path, splits: Splits) -> None:
    """Write four IDX files."""
    for split, (images, labels) in splits.items():
        stem = {"train": "train", "test": "t10k"}[split]
        idx.write(folder / f"{stem}-images-idx3-ubyte", images)
        idx.write(folder / f"{stem}-labels-idx1-ubyte", labels)


def write_npz(folder: Path, splits: Splits) -> None:
    """Write Keras' mnist.npz."""
    arrays = {f"{kind}_{split}": both["xy".index(kind)] for split, both in splits.items() for kind in "xy"}
    np.savez_compressed(folder / "mnist.npz", **arrays)  # type: ignore[arg-type]


def write_csv(folder: Path, splits: Splits) -> None:
    """Write train.csv and test.csv as Kaggle has them, but both with labels."""
    for split, (images, labels) in splits.items():
        flat = images.reshape(len(images), -1)
        columns = {"label": labels} | {f"pixel{i}": flat[:, i] for i in range(flat.shape[1])}
        arrow.write_csv(pa.table(columns), folder / f"{split}.csv", arrow.WriteOptions(quoting_header="none"))


def write_folders(folder: Path, splits: Splits) -> None:
    """Write a PNG file for each image, in folders of classes."""
    for split, (images, labels) in splits.items():
        for label in np.unique(labels):
            (folder / split / str(label)).mkdir(parents=True)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            (folder / split / str(label) / f"{i:05}.png").write_bytes(png(image))


def write_parquet(folder: Path, splits: Splits) -> None:
    """Write a Parquet file for each split, as the Hugging Face Hub has them."""
    names = [str(i) for i in range(10)]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    (folder / "data").mkdir()
    for split, (images, labels) in splits.items():
        pictures = [{"bytes": png(image), "path": f"{i}.png"} for i, image in enumerate(images)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(pictures, kind), "label": pa.array(labels, pa.int64())})
        pq.write_table(table.replace_schema_metadata(metadata), folder / "data" / f"{split}-00000-of-00001.parquet")


def write_tfrecord(folder: Path, splits: Splits) -> None:
    """Write TFRecord files, with TensorFlow."""
    for split, (images, labels) in splits.items():
        features = ({"image": [png(image)], "label": [int(label)]} for image, label in zip(images, labels, strict=True))
        records(folder / f"mnist-{split}.tfrecord-00000-of-00001", *features)


def records(path: Path, *examples: Mapping[str, Any], compression: str = "") -> None:
    """Write a TFRecord file of examples: {feature: a list of bytes, of whole numbers, or of floats}."""
    import tensorflow as tf  # noqa: PLC0415 - nothing else here needs it

    def feature(values: Any) -> Any:
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for example in examples:
            features = tf.train.Features(feature={name: feature(values) for name, values in example.items()})
            writer.write(tf.train.Example(features=features).SerializeToString())


def write_webdataset(folder: Path, splits: Splits) -> None:
    """Write WebDataset's tars, one of them gzipped."""
    for split, (images, labels) in splits.items():
        files = [
            file
            for i, (image, label) in enumerate(zip(images, labels, strict=True))
            for file in ((f"{i:05}.png", png(image)), (f"{i:05}.cls", str(label).encode()))
        ]
        archive(folder / f"{split}-000000.tar{'.gz' * (split == 'test')}", *files)


def archive(path: Path, *files: tuple[str, bytes]) -> None:
    """Write a tar archive, gzipped if its name says so."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as made:
        for name, each in files:
            member = tarfile.TarInfo(name)
            member.size = len(each)
            made.addfile(member, io.BytesIO(each))
    path.write_bytes(gzip.compress(content.getvalue()) if path.suffix == ".gz" else content.getvalue())


WRITERS: dict[str, Callable[[Path, Splits], None]] = {
    "csv": write_csv,
    "folders": write_folders,
    "idx": write_idx,
    "npz": write_npz,
    "parquet": write_parquet,
    "tfrecord": write_tfrecord,
    "webdataset": write_webdataset,
}
