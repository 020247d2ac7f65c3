"""Small real examples of everything that is parsed, made by what makes them in earnest."""

import gzip
import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from components.artifacts.record.columns import BINS, STATISTICS
from components.artifacts.record.writer import Recorder
from components.ingest.forms import idx, tfrecord

IMAGES = (np.arange(4 * 3 * 3) * 7 % 256).astype(np.uint8).reshape(4, 3, 3)
LABELS = np.array([0, 1, 1, 0], np.uint8)


def written(write: Callable[[Path], object]) -> bytes:
    """Return what a function writes to a path."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
        write(Path(folder) / "file")
        return (Path(folder) / "file").read_bytes()


def idx_images() -> list[bytes]:
    """Return images in bytes, and in big-endian floats."""
    floats = struct.pack(">I3I", 0x0D03, 4, 3, 3) + IMAGES.astype(">f4").tobytes()
    return [written(lambda path: idx.write(path, IMAGES)), floats]


def idx_labels() -> list[bytes]:
    """Return labels in bytes, and QMNIST's, eight numbers each."""
    eight = struct.pack(">I2I", 0x0C02, 4, 8) + np.repeat(LABELS[:, None], 8, axis=1).astype(">i4").tobytes()
    return [written(lambda path: idx.write(path, LABELS)), eight]


def npy() -> list[bytes]:
    """Return arrays of images: bytes, floats in Fortran's order; labels as numbers, texts and one-hot."""
    arrays: list[Any] = [
        IMAGES,
        np.asfortranarray(IMAGES / 255),
        LABELS,
        np.array(["a", "b", "b", "a"]),
        np.eye(2)[LABELS],
    ]
    made = []
    for array in arrays:
        file = io.BytesIO()
        np.save(file, array)
        made.append(file.getvalue())
    return made


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def npz() -> list[bytes]:
    """Return archives of images and labels."""
    images, _, labels, texts, one_hot = npy()
    return [zipped({"images.npy": images, "labels.npy": each}) for each in (labels, texts, one_hot)]


def csv() -> list[bytes]:
    """Return tables of pixels, with a header and without; and of files."""
    rows = [f"{label},{','.join(map(str, image.ravel()))}" for label, image in zip(LABELS, IMAGES, strict=True)]
    header = ",".join(["label", *(f"pixel{i}" for i in range(9))])
    table = 'file_name,label,split,group,weight\na.png,0,train,x,1\n"b.png",1,test,y,0.5\n'
    return ["\n".join(each).encode() + b"\n" for each in ([header, *rows], rows)] + [table.encode()]


def metadata_lines() -> list[bytes]:
    """Return the lines of metadata.jsonl."""
    rows = [{"file_name": f"{name}.png", "label": "cat" if name < "d" else "dog", "weight": 1.5} for name in "abcdef"]
    return ["".join(json.dumps(row) + "\n" for row in rows).encode()]


def metadata_table() -> list[bytes]:
    """Return a metadata.csv."""
    rows = [f"{name}.png,{int(name < 'd')},{'test' if name in 'af' else 'train'},1" for name in "abcdef"]
    return ["\n".join(["file_name,label,split,weight", *rows, ""]).encode()]


def pictures() -> list[bytes]:
    """Return a picture of each kind, and of each mode that is treated in a way of its own."""
    grey = Image.fromarray(IMAGES[0])
    made = [(grey, kind) for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")]
    made += [(grey.convert(mode), "PNG") for mode in ("1", "RGB", "RGBA", "LA", "P", "I;16")]
    found = []
    for image, kind in made:
        file = io.BytesIO()
        image.save(file, kind)
        found.append(file.getvalue())
    return found


def parquet() -> list[bytes]:
    """Return tables of pictures, of lists, and of a column for each pixel."""
    pictures_of = [{"bytes": _png(image), "path": None} for image in IMAGES]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    said = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["a", "b"]}}}})}
    tables = [
        pa.table({"image": pa.array(pictures_of, kind), "label": LABELS}).replace_schema_metadata(said),
        pa.table({"image": IMAGES.reshape(4, -1).tolist(), "label": LABELS}),
        pa.table({"label": LABELS} | {f"p{i}": IMAGES.reshape(4, -1)[:, i] for i in range(9)}),
    ]
    return [
        written(partial(pq.write_table, table, compression=packed))
        for table in tables for packed in ("none", "zstd")
    ]  # fmt: skip


def picture_of(number: int) -> bytes:
    """Return a picture of its own for each number."""
    return _png(np.full((3, 3), number, np.uint8))


def _png(image: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def examples() -> list[bytes]:
    """Return messages of tf.train.Example: a picture, raw bytes with sizes, numbers."""
    return [
        _example("bytes_list", [_png(IMAGES[0])], 0),
        _example("bytes_list", [IMAGES[0].tobytes()], 0, height=3, width=3),
        _example("int64_list", IMAGES[0].ravel().tolist(), 0),
    ]


def _example(kind: str, image: list[Any], label: int, **sizes: int) -> bytes:
    example = tfrecord._message()()  # noqa: SLF001 - there is no other without TensorFlow
    feature = example.features.feature
    getattr(feature["image"], kind).value.extend(image)
    for name, value in ({"label": label} | sizes).items():
        feature[name].int64_list.value.append(value)
    return bytes(example.SerializeToString(deterministic=True))


def record(content: bytes) -> bytes:
    """Return a record of a TFRecord file, with checksums."""
    length = struct.pack("<Q", len(content))
    return length + masked(length) + content + masked(content)


def beside_others(content: bytes) -> bytes:
    """Return a file with a record of these bytes, and some of either class."""
    return record(content) + b"".join(record(_example("bytes_list", [picture_of(i)], i % 2)) for i in range(5))


def masked(content: bytes) -> bytes:
    """Return a checksum as TFRecord has it."""
    checksum = google_crc32c.value(content)
    return struct.pack("<I", ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecords() -> list[bytes]:
    """Return a file of records, plain and packed."""
    content = beside_others(examples()[0])
    return [content, gzip.compress(content, mtime=0)]


def tars() -> list[bytes]:
    """Return an archive in each of the formats, the pax one with a long name, and one with labels in JSON."""
    made = []
    for form, name in ((tarfile.USTAR_FORMAT, ""), (tarfile.GNU_FORMAT, "n" * 120), (tarfile.PAX_FORMAT, "é" * 60)):
        files = {f"{name}{i}.{kind}": part for i in range(6) for kind, part in _sample(i).items() if kind != "json"}
        made.append(tarred(files, form))
    said = {f"{i}.{kind}": part for i in range(6) for kind, part in _sample(i).items() if kind != "cls"}
    return [*made, tarred(said)]


def _sample(number: int) -> dict[str, bytes]:
    said = json.dumps({"label": number % 2, "split": "test" if number < 2 else "train", "weight": 2})
    return {"png": picture_of(number), "cls": b"%d" % (number % 2), "json": said.encode()}


def tarred(members: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """Return a tar archive."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def recorded(folder: Path) -> None:
    """Write the record of a run of two steps with two variables, of level hist, with a snapshot and a sheet."""
    variables = [
        {"name": f"dense/{role}", "shape": shape, "activation": "relu", "connected": True, "role": role}
        for role, shape in (("kernel", [2, 3]), ("bias", [3]))
    ]
    recorder = Recorder(folder, variables, "hist")
    steps = (1, 2)
    recorder.add("steps", steps, np.linspace(0.1, 1, 2 * len(recorder.columns), dtype=np.float32).reshape(2, -1))
    recorder.add("stats", steps, np.full((2, 2, len(STATISTICS)), 0.5, np.float32))
    recorder.add("hist", steps, np.ones((2, 2, BINS), np.int32))
    recorder.snapshot(2, [np.ones((2, 3), np.float32), np.ones(3, np.float32)])
    recorder.sheet(IMAGES, IMAGES)
    settings = {"steps_per_epoch": 2, "images_per_step": 32, "classes": 10, "clip_norm": 0.0, "frozen": []}
    metrics = {"train_loss": 0.5, "train_accuracy": None, "validation_loss": 0.5, "validation_accuracy": 0.9}
    recorder.finish(settings, [{"epoch": 1} | metrics])


def of_record(name: str) -> list[bytes]:
    """Return a file of such a record."""
    with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
        recorded(Path(folder))
        return [(Path(folder) / name).read_bytes()]
