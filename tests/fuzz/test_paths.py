# mypy: allow-untyped-defs, allow-untyped-calls
"""Folders and stores that lead elsewhere: links, pipes, devices, and names that are none."""

import os
import signal

import numpy as np
import pytest

from components.artifacts import dataset as datasets
from components.conftest import make
from components.contract import artifact, outside
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.ingest import schema
from components.ingest.component import COMPONENT as INGEST
from components.ingest.forms import Fields, choose
from components.ingest.place import Place
from tests.fuzz import documents, seeds
from tests.fuzz.targets import fit

FILE = {"sha256": "0" * 64, "bytes": 1}


@pytest.fixture(autouse=True)
def _in_time():
    """End a test that waits for a pipe, or reads a device for ever."""

    def give_up(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


KINDS = {
    "a pipe": os.mkfifo,
    "a folder": os.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("manifest.json", artifact.verify),
        ("schema.json", lambda folder: schema.obtain(str(folder / "schema.json"))),
        ("test-origins.txt", lambda folder: datasets.origins(folder, "test")),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, kind, name, read):
    KINDS[kind](tmp_path / name)
    with pytest.raises(BadInput, match=rf"{name} is {kind}, expected a file"):
        read(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_manifest_lists_is_to_be_a_file(tmp_path, kind):
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "manifest.json").write_bytes(documents.manifests()[0])
    artifact.verify(tmp_path)
    (tmp_path / "data").unlink()
    KINDS[kind](tmp_path / "data")
    with pytest.raises(BadInput, match="data is missing, but the manifest lists it"):
        artifact.verify(tmp_path)


def test_what_a_manifest_does_not_list_is_refused(tmp_path):
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "manifest.json").write_bytes(documents.manifests()[0])
    (tmp_path / ".DS_Store").touch()
    artifact.verify(tmp_path)
    (tmp_path / "more").touch()
    with pytest.raises(BadInput, match="more is in the artifact, but its manifest does not list it; take it out"):
        artifact.verify(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ["../x"], ["/x"], ["a/../../x"], ["a//b"], ["./a"], ["a/"], [""], ["a\0b"], ["a\nb"], ["\ud800"], ["x" * 300],
        ["manifest.json"], ["a", "a/b"], ["a/b/c", "a/b"],
    ],
)  # fmt: skip
def test_a_name_in_a_manifest_is_that_of_one_file_below(names):
    manifest = artifact.Manifest.parse(documents.manifests()[0], "here").model_dump()
    text = artifact.canonical_json(manifest | {"files": dict.fromkeys(names, FILE)})
    with pytest.raises(BadInput) as error:
        artifact.Manifest.parse(text, "here")
    fit(str(error.value))


def pictures(folder, *names):
    for number, name in enumerate(names):
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seeds.picture_of(number))


def read(source, scratch):
    place = Place(str(source), scratch)
    return list(choose(place, "auto").read(place, Fields()))


def test_pipes_devices_and_links_to_nowhere_in_a_source_are_no_files_of_it(tmp_path):
    pictures(tmp_path / "source", "0/a.png", "1/a.png")
    folder = tmp_path / "source" / "0"
    os.mkfifo(folder / "pipe.png")
    for name, target in (("device", "/dev/zero"), ("nowhere", "nothing"), ("loop", "loop.png"), ("above", "..")):
        (folder / f"{name}.png").symlink_to(target)
    (batch,) = read(tmp_path / "source", tmp_path)
    assert batch.origins == ["0/a.png", "1/a.png"]


def test_a_link_in_a_source_is_followed_as_caches_have_them(tmp_path):
    """The cache of the Hugging Face Hub has links to files in a folder beside."""
    pictures(tmp_path / "blobs", "x", "y")
    for label, name in enumerate("xy"):
        (tmp_path / "source" / str(label)).mkdir(parents=True)
        (tmp_path / "source" / str(label) / "a.png").symlink_to(tmp_path / "blobs" / name)
    (batch,) = read(tmp_path / "source", tmp_path)
    assert batch.labels == ["0", "1"]


@pytest.mark.parametrize("kind", ["a pipe", "a device"])
def test_a_source_that_is_no_file_is_refused(tmp_path, kind):
    KINDS[kind](tmp_path / "source")
    with pytest.raises(BadInput, match=r"source: .* cannot be read: Not a directory"):
        read(tmp_path / "source", tmp_path)


def test_a_folder_that_is_deeper_than_a_path_is_long_is_refused(tmp_path, monkeypatch):
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path / "source")
    for _ in range(20):
        os.mkdir("d" * 250)  # noqa: PTH102 - as the whole path is too long for any call
        os.chdir("d" * 250)
    with pytest.raises(BadInput, match=r"source: .* cannot be read: File name too long"):
        read(tmp_path / "source", tmp_path)


def test_names_that_are_no_text_or_would_be_two_lines_come_out_as_one_line_each(tmp_path):
    """Of the whole step: origins are lines of a file, digests are keys of the manifest, which is read again."""
    names = [
        b"0/line\nend.png", b"0/\x1b[2J.png", b"0/caf\xe9.png",
        b"1/cafe\xcc\x81.png", b"1/caf\xc3\xa9.png", b"1/A.png", b"1/a.png", b"1/\xe2\x80\xae.png",
    ]  # fmt: skip
    pictures(tmp_path / "source", *names)
    made = make(INGEST, {"source": str(tmp_path / "source")}, {}, tmp_path / "made") / "dataset"
    manifest = artifact.verify(made)
    assert len(manifest.metadata["source_sha256"]) == len(names)
    origins = [origin for split in datasets.SPLITS for origin in datasets.origins(made, split)]
    assert {"0/line\\nend.png", "0/\\x1b[2J.png", "0/caf\\udce9.png", "1/\\u202e.png"} < set(origins)
    assert len(origins) == len(names)


@pytest.mark.parametrize("label", [b"two\nlines", b"caf\xe9", b"\x1b[2J", b"x" * 201])
def test_a_class_is_called_by_what_can_be_shown(tmp_path, label):
    pictures(tmp_path / "source", b"0/a.png", label + b"/a.png")
    with pytest.raises(BadInput, match="expected a whole number or a text that a class may be called by") as error:
        read(tmp_path / "source", tmp_path)
    fit(str(error.value))


@pytest.mark.parametrize("key", ["/etc/tapeline-x.csv", "../../x.csv", "a/../../../x.csv", "x.csv", "x.csv/y.csv"])
def test_a_key_of_a_store_leads_out_of_no_folder(tmp_path, monkeypatch, key):
    """What no store that is sound would list: its server is another's."""
    written = []

    def fetch(_, address, path, *_more):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(seeds.csv()[0])
        written.append((address, path))

    monkeypatch.setattr(Store, "names", lambda *_: [key, "x.csv", "x.csv/y.csv"])
    monkeypatch.setattr(Store, "read", fetch)
    monkeypatch.setattr(Store, "from_environment", classmethod(lambda _: object.__new__(Store)))
    place = Place("s3://bucket/prefix", tmp_path / "scratch")
    with place.files(place.names) as paths:
        assert all(path.resolve().is_relative_to(tmp_path / "scratch") for path in paths)
        assert all(path.is_file() for path in paths)
        assert len(set(paths)) == len(place.names) == 3
    assert [address for address, _ in sorted(written)] == sorted(f"s3://bucket/prefix/{name}" for name in place.names)
    assert not any(path.exists() for path in paths)


def test_memory_that_a_library_takes_is_limited_for_a_while():
    with outside.no_more_memory_than(2**25):
        assert len(np.ones(2**20, np.uint8)) == 2**20
        with pytest.raises(MemoryError):
            np.ones(2**27, np.uint8)
    assert len(np.ones(2**27, np.uint8)) == 2**27
