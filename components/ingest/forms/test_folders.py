# mypy: allow-untyped-defs, allow-untyped-calls
"""Folders of pictures: how they may lie, what kinds of pictures there may be, and what is wrong with them."""

import io
import json
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from components.contract.errors import BadInput
from components.testdata.forms import digits, picture, png, read

X, Y = digits()["train"]


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def tree(pattern):
    """Return files of all digits, named after a pattern with {y} and {i}."""
    return {pattern.format(y=y, i=i): png(x) for i, (x, y) in enumerate(zip(X, Y, strict=True))}


@pytest.mark.parametrize(
    ("patterns", "splits"),
    [
        (["{y}/{i:02}.png"], [""]),
        (["archive/mnist/training/{y}/{i:02}.png", "archive/mnist/testing/{y}/{i:02}.png"], ["train", "test"]),
        (["train/{y}/{i:02}.png", "val/{y}/{i:02}.PNG", "mnist_test/{y}/{i:02}.png"], ["train", "validation", "test"]),
    ],
)
def test_trees(patterns, splits, tmp_path):
    for pattern in patterns:
        put(tmp_path / "source", tree(pattern))
    found = read(tmp_path / "source", tmp_path)[0]
    assert list(found) == splits
    for pattern, split in zip(patterns, found.values(), strict=True):
        assert split.origins == sorted(tree(pattern))
        order = [int(name[-6:-4]) for name in split.origins]
        assert np.array_equal(split.images, X[order])
        assert split.labels == [str(y) for y in Y[order]]


def test_a_class_may_be_called_as_a_split(tmp_path):
    put(tmp_path / "source", {f"train/{name}/1.png": png(X[0]) for name in ("bus", "train", "test")})
    assert read(tmp_path / "source", tmp_path)[0]["train"].labels == ["bus", "test", "train"]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_says_what_pictures_are(kind, tmp_path, capsys):
    put(tmp_path / "source", tree("train/{i:02}.png") | {"train/more.png": png(X[0])})
    rows = [
        {"file_name": f"{i:02}.png", "label": int(y), "writer": f"w{i // 4}", "weight": i / 2} for i, y in enumerate(Y)
    ]
    lines = [json.dumps(row) for row in rows]
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    put(tmp_path / "source", {f"train/metadata.{kind}": "\n".join(lines)})
    found, chosen = read(tmp_path / "source", tmp_path)
    assert chosen.what == f"65 PNG files with train/metadata.{kind}"
    assert np.array_equal(found["train"].images, X)
    assert found["train"].labels == Y.tolist()
    assert found["train"].groups == [f"w{i // 4}" for i in range(64)]
    assert found["train"].weights == [i / 2 for i in range(64)]
    assert f"1 images that train/metadata.{kind} does not name were left out: train/more.png" in capsys.readouterr().out


def test_what_is_no_picture_is_left_out_and_counted(tmp_path, capsys):
    clutter = {"7/.DS_Store": "", "7/Thumbs.db": "", "__MACOSX/7/._a.png": "", "readme.txt": "", "7/notes.md": ""}
    put(tmp_path / "source", tree("{y}/{i}.png") | clutter)
    assert len(read(tmp_path / "source", tmp_path)[0][""].images) == 64
    said = capsys.readouterr().out
    assert "folders: 3 hidden files were left out: 7/.DS_Store, 7/Thumbs.db, __MACOSX/7/._a.png" in said
    assert "folders: 2 files that are no pictures were left out: 7/notes.md, readme.txt" in said


GREY = X[0]
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)


def made(mode, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(COLOUR).convert(mode).save(file, kind, **options)
    return file.getvalue()


def palette(colours):
    image = Image.frombytes("P", (28, 28), (GREY % 4).tobytes())
    image.putpalette([value for colour in colours for value in colour])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def see_through(grey):
    """Return a picture whose left half is transparent, in grey or in colour."""
    alpha = np.full((28, 28), 255, np.uint8)
    alpha[:, :14] = 0
    layers = [GREY, alpha] if grey else [*np.moveaxis(COLOUR, -1, 0), alpha]
    return png(np.stack(layers, axis=-1))


def half_white(image):
    laid = image.copy()
    laid[:, :14] = 255
    return laid


def turned():
    """Return a picture that a camera held on its side has marked so: stored lying, to be shown upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(GREY[:, :20]).save(file, "PNG", exif=exif)
    return file.getvalue()


FOUR = [(0, 0, 0), (90, 90, 90), (180, 180, 180), (255, 255, 255)]
RED = [(255, 0, 0), *FOUR[1:]]


@pytest.mark.parametrize(
    ("name", "content", "pixels"),
    [
        ("grey.png", png(GREY), GREY),
        ("grey.bmp", picture(GREY, "BMP"), GREY),
        ("grey.gif", picture(GREY, "GIF"), GREY),
        ("grey.tif", picture(GREY, "TIFF"), GREY),
        ("grey.webp", picture(np.stack([GREY] * 3, -1), "WEBP", lossless=True), np.stack([GREY] * 3, -1)),
        ("grey.pgm", picture(GREY, "PPM"), GREY),
        ("deep.png", png(GREY.astype(np.uint16) * 257), GREY.astype(np.uint16) * 257),
        ("deep.tiff", picture(GREY.astype(np.uint16) * 257, "TIFF"), GREY.astype(np.uint16) * 257),
        ("float.tiff", picture(GREY.astype(np.float32), "TIFF"), GREY.astype(np.float32)),
        ("colour.png", png(COLOUR), COLOUR),
        ("black.png", png(GREY > 99), np.where(GREY > 99, 255, 0).astype(np.uint8)),
        ("palette.png", palette(FOUR), np.array(FOUR, np.uint8)[GREY % 4][..., 0]),
        ("red.png", palette(RED), np.array(RED, np.uint8)[GREY % 4]),
        ("half.png", see_through(grey=True), half_white(GREY)),
        ("half.png", see_through(grey=False), half_white(COLOUR)),
        ("turned.png", turned(), np.rot90(GREY[:, :20], -1)),
    ],
)
def test_every_kind_of_picture(name, content, pixels, tmp_path):
    put(tmp_path / "source", {f"7/{name}": content, f"8/{name}": content})
    image = read(tmp_path / "source", tmp_path)[0][""].images[0]
    assert image.dtype == pixels.dtype
    assert np.array_equal(image, pixels)


def test_photographs_are_near_to_what_was_taken(tmp_path):
    smooth = np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8) * 4
    put(tmp_path / "source", {"7/a.jpg": picture(smooth, "JPEG"), "8/b.jpeg": made("CMYK", "JPEG")})
    found = read(tmp_path / "source", tmp_path)[0][""]
    assert np.abs(found.images[0].astype(int) - smooth).max() < 8
    assert [image.shape for image in found.images] == [(28, 28), (28, 28, 3)]


def test_transparency_is_said(tmp_path, capsys):
    put(tmp_path / "source", {"7/a.png": see_through(grey=True), "8/a.png": png(np.dstack([COLOUR, GREY * 0 + 255]))})
    read(tmp_path / "source", tmp_path)
    assert "transparent parts of 1 pictures were laid on white" in capsys.readouterr().out


def huge():
    """Return a picture of a few bytes that would fill 100 MB."""
    return one_chunk(struct.pack(">2I5B", 10_000, 10_000, 8, 0, 0, 0, 0), b"")


def deep_colour():
    """Return a PNG of 16 bits in colour, which Pillow does not write."""
    return one_chunk(struct.pack(">2I5B", 2, 1, 16, 2, 0, 0, 0), b"\0" + bytes(12))


def one_chunk(header, pixels):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def animated():
    file = io.BytesIO()
    frames = [Image.fromarray(image) for image in X[:3]]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


GOOD = {"7/a.png": png(X[0]), "8/b.png": png(X[1])}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"7/c.png": png(X[0])[:-60]}, "7/c.png is a damaged picture: "),
        ({"7/c.png": png(X[0])[:90] + b"xxxx" + png(X[0])[94:]}, "7/c.png is a damaged picture: "),
        (
            {"7/c.png": b""},
            "7/c.png is no picture that can be read (PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM): it is empty",
        ),
        (
            {"7/c.jpg": b"<html>"},
            "7/c.jpg is no picture that can be read (PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM): it is a web",
        ),
        ({"7/c.jpg": b"GARBAGE!"}, "WEBP, PPM): it starts with 4741524241474521"),
        ({"7/c.png": b"version https://git-lfs.github.com/spec/v1"}, "it is a pointer of Git LFS, not the file itself"),
        ({"7/c.png": huge()}, "7/c.png has 10000×10000 pixels, more than 50,000,000; make it smaller"),
        (
            {"7/c.png": deep_colour()},
            "7/c.png has colours of 16 bits, of which only 8 would be read; save it with 8 bits",
        ),
        (
            {"7/c.gif": animated()},
            "7/c.gif has 3 pages or frames, expected one picture; save each as a file of its own",
        ),
        (
            {"c.png": png(X[0])},
            "c.png is in no folder of a class, but 2 others are; move it there, or remove it (1 such in all)",
        ),
        (
            {"7/more/c.png": png(X[0])},
            "7/a.png and 7/more/c.png are at different depths, so which folders are the classes?",
        ),
        (
            {"metadata.csv": "file_name,label\n7/a.png,7\n7/x.png,7\n"},
            "metadata.csv line 3: there is no file 7/x.png in ",
        ),
        (
            {"metadata.csv": "file_name,label\n7/a.png\n"},
            "metadata.csv line 2: it has not the 2 values that the first line",
        ),
        (
            {"metadata.csv": "file_name,text\n7/a.png,7\n"},
            "metadata.csv has no column for the label: it has file_name, text;",
        ),
        ({"metadata.csv": "file_name,label\n"}, "metadata.csv names no pictures"),
        (
            {"metadata.jsonl": '{"file_name": "7/a.png", "label": null}'},
            "7/a.png: the label is missing; give it one, or take",
        ),
        ({"metadata.jsonl": "{file_name"}, "metadata.jsonl line 1 is no JSON: "),
        ({"metadata.jsonl": "[1]"}, 'metadata.jsonl line 1: expected an object, as {"file_name": …, "label": …}'),
        (
            {"metadata.jsonl": '{"file_name": "7/a.png", "label": 7}\n{"file_name": "8/b.png", "label": "eight"}'},
            "8/b.png: the label is 'eight', but that of 7/a.png is 7: text or number?",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence(files, message, tmp_path):
    put(tmp_path / "source", GOOD | files)
    with pytest.raises(BadInput) as error:
        read(tmp_path / "source", tmp_path)
    assert message in str(error.value)
