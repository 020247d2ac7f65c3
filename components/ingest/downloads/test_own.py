# mypy: allow-untyped-defs, allow-untyped-calls
"""A mirror of one's own: a folder, an address, or a prefix in the store, with nothing else within reach."""

import shutil
import sys

import pytest

from components.conftest import DIGITS
from components.contract.errors import BadInput, StoreUnavailable
from components.contract.store.client import Store
from components.ingest import downloads
from components.ingest.conftest import Mirror
from components.ingest.downloads.test_downloads import NOBODY, content, known, small
from components.ingest.known import __main__ as command
from components.ingest.known.mnist import FILES


@pytest.fixture
def copy(tmp_path):
    """Return a mirror of one's own, the cache of a machine that has a network."""
    with Mirror(DIGITS) as mirror:
        downloads.obtain(small(mirror.address), tmp_path / "copy")
    return tmp_path / "copy"


def offline(tmp_path, monkeypatch, where):
    """Return the content of the files that come from a mirror of one's own, when nobody else is there."""
    monkeypatch.setenv("TAPELINE_MIRROR", str(where))
    paths = downloads.obtain(small(NOBODY), tmp_path / "cache")
    return {name: path.read_bytes() for name, path in paths.items()}


def upload(folder, address):
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    for path in folder.iterdir():
        Store.from_environment().client.put_object(Bucket=bucket, Key=f"{prefix}/{path.name}", Body=path.read_bytes())


ALL = {name: content(name) for name in FILES}


def test_a_folder(copy, tmp_path, monkeypatch, capsys):
    assert offline(tmp_path, monkeypatch, copy) == ALL
    assert capsys.readouterr().out.splitlines()[-1] == f"downloading mnist from {copy}/mnist"


def test_an_address(copy, tmp_path, monkeypatch):
    with Mirror(copy) as mirror:
        assert offline(tmp_path, monkeypatch, f"{mirror.address}/") == ALL
    assert mirror.asked == [f"/mnist/{name}" for name in FILES]


def test_a_prefix_in_the_store(copy, tmp_path, monkeypatch, s3):
    upload(copy / "mnist", f"{s3}/mnist")
    assert offline(tmp_path, monkeypatch, s3) == ALL


def test_files_may_be_packed_there_as_they_are_on_other_mirrors(tmp_path, monkeypatch):
    shutil.copytree(DIGITS, tmp_path / "copy" / "mnist")
    assert offline(tmp_path / "folder", monkeypatch, tmp_path / "copy") == ALL
    with Mirror(tmp_path / "copy") as mirror:
        assert offline(tmp_path / "address", monkeypatch, mirror.address) == ALL


def test_files_may_be_packed_in_the_store(tmp_path, monkeypatch, s3):
    upload(DIGITS, f"{s3}/mnist")
    assert offline(tmp_path, monkeypatch, s3) == ALL


def test_it_is_asked_before_all_others_and_named_if_it_fails(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPELINE_MIRROR", str(tmp_path / "usb"))
    with pytest.raises(StoreUnavailable) as error:
        downloads.obtain(small(NOBODY), tmp_path)
    lines = str(error.value).splitlines()
    assert lines[1] == f"  {tmp_path}/usb/mnist: there is no {tmp_path}/usb/mnist/{FILES[0]}.gz"
    assert lines[2].startswith(f"  {NOBODY}: ")


def test_one_with_other_content_is_named_and_the_next_is_asked(copy, tmp_path, monkeypatch):
    (copy / "mnist" / FILES[2]).write_bytes(b"damaged")
    monkeypatch.setenv("TAPELINE_MIRROR", str(copy))
    with pytest.raises(StoreUnavailable, match=f"{FILES[2]} from {copy}/mnist is not the known one: expected sha256 "):
        downloads.obtain(small(NOBODY), tmp_path / "cache")
    with Mirror(DIGITS) as mirror:
        paths = downloads.obtain(small(mirror.address), tmp_path / "cache")
    assert paths[FILES[2]].read_bytes() == ALL[FILES[2]]


def test_a_store_that_refuses_is_named_and_the_next_is_asked(tmp_path, monkeypatch, s3):
    del s3
    monkeypatch.setenv("TAPELINE_MIRROR", "s3://no-such-bucket/mirror")
    with pytest.raises(StoreUnavailable, match=r"s3://no-such-bucket/mirror/mnist: .*no such bucket"):
        downloads.obtain(small(NOBODY), tmp_path)


def test_what_it_cannot_be(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPELINE_MIRROR", "ftp://me:secret@host/files")
    with pytest.raises(BadInput) as error:
        downloads.obtain(small(NOBODY), tmp_path)
    assert str(error.value) == (
        "TAPELINE_MIRROR: ftp://host/files is neither an http(s):// address nor a folder nor an s3:// prefix"
    )


def test_the_command_fills_one(tmp_path, monkeypatch, capsys):
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address)
        monkeypatch.setattr(sys, "argv", ["known", "mirror", str(tmp_path / "usb"), "mnist"])
        command.main()
    file = tmp_path / "usb" / "mnist" / FILES[0]
    assert f"mnist: {FILES[0]} is verified, at {file}\n" in capsys.readouterr().out
    assert offline(tmp_path, monkeypatch, tmp_path / "usb") == ALL


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("emnist", 2, "there is no data set emnist (emnist has 6 splits: emnist-byclass, "),
        ("mnist", 4, f"error: mnist could not be downloaded; tried\n  {NOBODY}: "),
    ],
)
def test_the_command_says_what_is_wrong(name, code, said, tmp_path, monkeypatch, capsys):
    known(monkeypatch, NOBODY)
    monkeypatch.setattr(sys, "argv", ["known", "mirror", str(tmp_path), name])
    with pytest.raises(SystemExit) as error:
        command.main()
    assert error.value.code == code
    assert said in capsys.readouterr().err
