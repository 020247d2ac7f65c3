# mypy: allow-untyped-defs, allow-untyped-calls
"""TFRecord files that TensorFlow has written: the features that images may be in, and what is wrong with them."""

import struct
import zlib

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.forms import Fields, tfrecord
from components.testdata.forms import digits, picture, png, read, records

X, Y = digits()["train"]


def write(folder, image, label="label", name="train.tfrecord", compression="", more=None):
    """Write all digits, each with the features that `image` makes of it."""
    folder.mkdir(exist_ok=True)
    examples = [
        image(x) | {label: [int(y)]} | (more(i) if more else {}) for i, (x, y) in enumerate(zip(X, Y, strict=True))
    ]
    records(folder / name, *examples, compression=compression)


SIZE = {"height": [28], "width": [28]}


@pytest.mark.parametrize(
    ("image", "label", "dtype"),
    [
        (lambda x: {"image": [png(x)]}, "label", "uint8"),
        (lambda x: {"image/encoded": [picture(x, "BMP")], "image/format": [b"bmp"]}, "image/class/label", "uint8"),
        (lambda x: {"image_raw": [x.tobytes()], **SIZE, "depth": [1]}, "label", "uint8"),
        (lambda x: {"image_raw": [x.tobytes()]}, "label", "uint8"),
        (lambda x: {"image": x.ravel().tolist()}, "label", "uint8"),
        (lambda x: {"image": [float(v) for v in x.ravel()], **SIZE}, "label", "float32"),
    ],
)
def test_features_of_many_kinds(image, label, dtype, tmp_path):
    write(tmp_path / "source", image, label)
    found = read(tmp_path / "source", tmp_path)[0]["train"]
    assert np.array_equal(np.array(found.images).reshape(64, 28, 28), X)
    assert found.images[0].dtype == dtype
    assert found.labels == Y.tolist()
    assert found.origins[63] == "train.tfrecord 63"


@pytest.mark.parametrize(
    ("compression", "name"), [("GZIP", "a.tfrecord.gz"), ("ZLIB", "a.tfrecord"), ("GZIP", "a.tfrecords")]
)
def test_compressed_files(compression, name, tmp_path):
    write(tmp_path / "source", lambda x: {"image": [png(x)]}, name=name, compression=compression)
    assert np.array_equal(read(tmp_path / "source", tmp_path)[0][""].images, X)


def test_a_record_whose_length_looks_like_zlib_is_no_zlib(tmp_path):
    """0x78 is the first byte of both."""
    example = {"image": [bytes(81)], "label": [1]}
    (tmp_path / "source").mkdir()
    for size in range(81, 400):
        records(tmp_path / "source" / "a.tfrecord", example)
        if (tmp_path / "source" / "a.tfrecord").read_bytes()[0] == 0x78:
            break
        example["image"] = [bytes(size)]
    assert (tmp_path / "source" / "a.tfrecord").read_bytes()[:2] == b"\x78\0"
    with pytest.raises(BadInput, match="pixels, which is no square number"):
        read(tmp_path / "source", tmp_path)


def test_splits_groups_weights_and_texts(tmp_path):
    def more(i):
        return {
            "split": [b"test" if i % 2 else b"train"],
            "writer": [i // 8],
            "weight": [i / 2],
            "text": [b"digit %d" % Y[i]],
        }

    write(tmp_path / "source", lambda x: {"picture": [png(x)]}, more=more, name="a.tfrecord")
    found = read(tmp_path / "source", tmp_path, Fields(label="text"))[0]
    assert found["test"].labels == [f"digit {y}" for y in Y[1::2]]
    assert found["train"].groups == [str(i // 8) for i in range(0, 64, 2)]
    assert found["train"].weights == [float(i) for i in range(32)]


def test_the_checksum_is_that_of_the_format():
    """RFC 3720, B.4: the CRC32C of 32 zeros is 8a9136aa."""
    assert tfrecord._masked(bytes(32)) == ((0x8A9136AA >> 15 | 0x8A9136AA << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(content):
    head = struct.pack("<Q", len(content))
    return head + struct.pack("<I", tfrecord._masked(head)) + content + struct.pack("<I", tfrecord._masked(content))


def second(content):
    """Return where the second record begins."""
    return 16 + int.from_bytes(content[:8], "little")


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda c: c[: second(c) + 100],
            "is truncated: it ends within the record that begins at byte {second}, after 100",
        ),
        (
            lambda c: c[: second(c) + 5],
            "is truncated: it ends within the record that begins at byte {second}, after 5 bytes",
        ),
        (lambda c: flip(c, second(c) + 50), "is damaged: the record at byte {second} has another checksum"),
        (
            lambda c: flip(c, second(c) + 2),
            "is damaged: the length of the record at byte {second} has another checksum",
        ),
        (lambda c: zlib.compress(c)[:-60], "is damaged where it is compressed, after "),
        (lambda _: b"", "is empty: it has no records"),
        (
            lambda _: b"<html><body>not found",
            "is no TFRecord file: it is a web page or a message of a server, not data",
        ),
        (
            lambda _: b"nothing of the kind",
            "starts with 6e6f7468696e67206f662074, expected a length of 8 bytes and its",
        ),
        (lambda _: record(b"\xff\xff\xff"), "a.tfrecord 0: the record is no tf.train.Example"),
        (lambda c: c + record(b""), "a.tfrecord 64 has no "),
    ],
)
def test_files_that_are_not_whole(spoil, message, tmp_path):
    write(tmp_path / "source", lambda x: {"image": [png(x)]}, name="a.tfrecord")
    path = tmp_path / "source" / "a.tfrecord"
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path, Fields(image="image"))
    assert message.format(second=second(whole)) in str(error.value)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"image": [png(X[0])]}, "a.tfrecord 0: no feature is the label; there are image; name it with `label_field`"),
        ({"label": [1]}, "a.tfrecord 0: no feature is the image; there are label; name it with `image_field`"),
        ({"image": [png(X[0])], "label": [1, 2]}, "a.tfrecord 0: the feature label has 2 values, expected one"),
        ({"image": [b"a", b"b"], "label": [1]}, "a.tfrecord 0: the image has 2 values of bytes, expected one"),
        (
            {"image": [X[0].tobytes()], "height": [28], "width": [27], "label": [1]},
            "a.tfrecord 0: the image has 784 bytes, expected 28×27, as its features say; give a byte for each pixel",
        ),
        ({"image": [png(X[0])[:-40]], "label": [1]}, "a.tfrecord 0 is a damaged picture"),
        ({"image": [bytes(783)], "label": [1]}, "a.tfrecord 0: an image has 783 pixels, which is no square number"),
        ({"image": [png(X[0])], "label": [1.5]}, "a.tfrecord 0: the label is 1.5, expected a whole number or a text"),
        (
            {"image": [png(X[0])], "label": [b"\xff\xfe"]},
            "a.tfrecord 0: the label is the bytes fffe, which are no UTF-8 text",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(example, message, tmp_path):
    (tmp_path / "source").mkdir()
    records(tmp_path / "source" / "a.tfrecord", example)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)
