# mypy: allow-untyped-defs, allow-untyped-calls
"""Where the files come from, over real HTTP on the loopback."""

import gzip
import hashlib
import http.server
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from components.conftest import DIGITS, SMALL, arrays_of, make
from components.contract import artifact
from components.contract.errors import BadInput, StoreUnavailable
from components.ingest import downloads
from components.ingest.component import COMPONENT
from components.ingest.conftest import Mirror
from components.ingest.forms import idx
from components.ingest.known import KNOWN
from components.ingest.known.declaration import Download, File
from components.ingest.known.mnist import FILES

NOBODY = "http://127.0.0.1:9"


def content(file):
    return gzip.decompress((DIGITS / f"{file}.gz").read_bytes())


UNPACKED = tuple(
    File(name, f"sha256:{hashlib.sha256(content(name)).hexdigest()}", ".gz", unpacked=True) for name in FILES
)


def small(*mirrors, files=UNPACKED):
    """Return the small data set of the tests as a download."""
    return Download("mnist", mirrors, files)


def known(monkeypatch, *mirrors, class_names=tuple("0123456789")):
    """Make `mnist` the small data set of the tests."""
    found = replace(KNOWN["mnist"], downloads=(small(*mirrors),), class_names=class_names)
    monkeypatch.setitem(KNOWN, "mnist", found)


def test_a_known_data_set_is_downloaded_once_past_a_mirror_that_is_away(monkeypatch, tmp_path, ingested, capsys):
    values = SMALL | {"source": "mnist", "cache": str(tmp_path / "cache")}
    with Mirror(tmp_path) as empty, Mirror(DIGITS) as mirror:
        known(monkeypatch, NOBODY, empty.address, mirror.address)
        made = make(COMPONENT, values, {}, tmp_path / "one")
        make(COMPONENT, values, {}, tmp_path / "two")
        assert len(mirror.asked) == 4
    tried = [line for line in capsys.readouterr().out.splitlines() if line.startswith("downloading")]
    assert tried == [f"downloading mnist from {each}" for each in (NOBODY, empty.address, mirror.address)]
    assert arrays_of(made) == arrays_of(ingested)


def test_a_download_that_breaks_off_is_no_download(monkeypatch, tmp_path):
    short = tmp_path / "short"
    shutil.copytree(DIGITS, short)
    with Mirror(short) as mirror, Mirror(DIGITS) as whole:
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile", _copy_half_from(short))
        paths = downloads.obtain(small(mirror.address, whole.address), tmp_path / "cache")
        assert len(whole.asked) == 4
    assert len(idx.numbers(paths[FILES[0]], "images")) == 512


def _copy_half_from(folder):
    """Return a server's way to send a file that breaks off in the middle, if the file is in that folder."""
    whole = http.server.SimpleHTTPRequestHandler.copyfile

    def copy(handler, source, output):
        if Path(source.name).parent == folder:
            output.write(source.read()[:20])
        else:
            whole(handler, source, output)

    return copy


def test_without_room_no_other_source_is_tried(monkeypatch, tmp_path):
    with Mirror(DIGITS) as mirror, Mirror(DIGITS) as other:
        monkeypatch.setattr(idx, "unpacked", _full)
        with pytest.raises(OSError, match="No space left on device"):
            downloads.obtain(small(mirror.address, other.address), tmp_path / "cache")
        assert other.asked == []
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def _full(*_):
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"more")


def test_a_damaged_cache_is_fetched_anew(tmp_path):
    with Mirror(DIGITS) as mirror:
        downloads.obtain(small(mirror.address), tmp_path)
        (tmp_path / "mnist" / FILES[0]).write_bytes(b"damaged")
        paths = downloads.obtain(small(mirror.address), tmp_path)
    assert len(idx.numbers(paths[FILES[0]], "images")) == 512


def test_a_mirror_with_other_content_is_an_error_that_says_what_came(tmp_path):
    other = [replace(file, digest="sha256:" + "0" * 64) for file in UNPACKED]
    with Mirror(DIGITS) as mirror, pytest.raises(BadInput) as error:
        downloads.obtain(small(mirror.address, files=other), tmp_path)
    assert str(error.value).startswith(
        f"train-images-idx3-ubyte from {mirror.address} is not the known one: expected sha256 {'0' * 64}, got "
    )
    assert list((tmp_path / "mnist").iterdir()) == []


def test_after_a_mirror_with_other_content_the_next_is_asked(tmp_path):
    portal = tmp_path / "portal"
    shutil.copytree(DIGITS, portal)
    (portal / f"{FILES[1]}.gz").write_text("<html>Please log in")
    with Mirror(portal) as mirror, Mirror(DIGITS) as right:
        paths = downloads.obtain(small(mirror.address, right.address), tmp_path / "cache")
        with pytest.raises(StoreUnavailable) as error:
            downloads.obtain(small(mirror.address, NOBODY), tmp_path / "other")
    assert paths[FILES[1]].read_bytes() == content(FILES[1])
    assert f"{FILES[1]} from {mirror.address} is not the known one: expected sha256 " in str(error.value)
    assert f"{NOBODY}: " in str(error.value)


def test_without_any_mirror_the_addresses_tried_are_named(tmp_path):
    with pytest.raises(StoreUnavailable) as error:
        downloads.obtain(small(NOBODY, "http://127.0.0.1:10"), tmp_path)
    assert f"{NOBODY}: " in str(error.value)
    assert "http://127.0.0.1:10: " in str(error.value)
    assert "set HTTPS_PROXY, or TAPELINE_MIRROR to a copy within reach" in str(error.value)
    assert "give your own files: --source FOLDER or s3://bucket/prefix" in str(error.value)


def test_digests_may_be_those_of_the_packed_files_and_of_the_other_kind(tmp_path):
    digests = {file: hashlib.md5((DIGITS / f"{file}.gz").read_bytes()).hexdigest() for file in FILES}  # noqa: S324
    files = [File(name, f"md5:{digest}", ".gz") for name, digest in digests.items()]
    with Mirror(DIGITS) as mirror:
        paths = downloads.obtain(small(mirror.address, files=files), tmp_path)
    assert paths[FILES[3]].name == "t10k-labels-idx1-ubyte.gz"
    assert len(idx.numbers(paths[FILES[3]], "labels")) == 256


def test_an_unknown_source_lists_the_known_ones(tmp_path):
    with pytest.raises(BadInput) as error:
        make(COMPONENT, {"source": "minst"}, {}, tmp_path)
    assert str(error.value).startswith(
        "source: 'minst' is neither a folder nor a file nor an s3:// prefix nor a known data set (did you mean "
        "mnist?); known are mnist, fashion-mnist, kmnist, "
    )


def test_a_known_data_set_has_no_form(tmp_path):
    with pytest.raises(BadInput, match="label_field: digit, but mnist is a known data set, which needs none"):
        make(COMPONENT, {"source": "mnist", "label_field": "digit"}, {}, tmp_path)


def test_more_classes_than_a_known_data_set_has_names_for(tmp_path, monkeypatch):
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address, class_names=("zero", "one"))
        values = SMALL | {"source": "mnist", "cache": str(tmp_path), "classes": 11}
        made = make(COMPONENT, values, {}, tmp_path / "made")
    names = ["zero", "one", *map(str, range(2, 11))]
    assert artifact.read(made / "dataset").metadata["class_names"] == names
    assert "class 10 has no training image" in (made / "report" / "report.html").read_text()
