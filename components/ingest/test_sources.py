# mypy: allow-untyped-defs, allow-untyped-calls
"""Where the files come from, over real HTTP on the loopback."""

import gzip
import hashlib
import http.server
import shutil
import threading
from pathlib import Path

import pytest

from components.conftest import DIGITS, SMALL, make
from components.contract import artifact
from components.contract.errors import BadInput, StoreUnavailable
from components.ingest import idx, sources
from components.ingest.component import COMPONENT
from components.ingest.sources import FILES, DataSet


class Mirror(http.server.ThreadingHTTPServer):
    """Serves a folder on the loopback, and remembers what it was asked for."""

    def __init__(self, folder):
        asked = self.asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_):
                asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever).start()
        return super().__enter__()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)


def known(monkeypatch, *mirrors, **changes):
    fields = {
        "mirrors": mirrors,
        "digests": {
            file: hashlib.sha256(gzip.decompress((DIGITS / f"{file}.gz").read_bytes())).hexdigest() for file in FILES
        },
        "suffix": "",
        "algorithm": "sha256",
        "class_names": tuple("0123456789"),
    }
    monkeypatch.setitem(sources.DATA_SETS, "mnist", DataSet(**(fields | changes)))


def test_a_known_data_set_is_downloaded_once_past_a_mirror_that_is_away(monkeypatch, tmp_path, ingested, capsys):
    values = SMALL | {"source": "mnist", "cache": str(tmp_path / "cache")}
    with Mirror(tmp_path) as empty, Mirror(DIGITS) as mirror:
        known(monkeypatch, "http://127.0.0.1:9", empty.address, mirror.address)
        made = make(COMPONENT, values, {}, tmp_path / "one")
        make(COMPONENT, values, {}, tmp_path / "two")
        assert len(mirror.asked) == 4
    tried = [line for line in capsys.readouterr().out.splitlines() if line.startswith("downloading")]
    assert tried == [f"downloading mnist from {each}" for each in ("http://127.0.0.1:9", empty.address, mirror.address)]
    assert artifact.verify(made / "dataset").files == artifact.verify(ingested / "dataset").files


def test_a_download_that_breaks_off_is_no_download(monkeypatch, tmp_path):
    short = tmp_path / "short"
    shutil.copytree(DIGITS, short)
    with Mirror(short) as mirror, Mirror(DIGITS) as whole:
        monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "copyfile", _copy_half_from(short))
        known(monkeypatch, mirror.address, whole.address)
        paths = sources.obtain("mnist", tmp_path / "cache", tmp_path)
        assert len(whole.asked) == 4
    assert len(idx.read(paths[FILES[0]], idx.IMAGES)) == 512


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
        known(monkeypatch, mirror.address, other.address)
        monkeypatch.setattr(idx, "decoded", _full)
        with pytest.raises(OSError, match="No space left on device"):
            sources.obtain("mnist", tmp_path / "cache", tmp_path)
        assert other.asked == []
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def _full(_):
    with Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"more")


def test_a_damaged_cache_is_fetched_anew(monkeypatch, tmp_path):
    cache = tmp_path / "cache"
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address)
        sources.obtain("mnist", cache, tmp_path)
        (cache / "mnist" / FILES[0]).write_bytes(b"damaged")
        paths = sources.obtain("mnist", cache, tmp_path)
    assert len(idx.read(paths[FILES[0]], idx.IMAGES)) == 512


def test_a_mirror_with_other_content_is_an_error_that_says_what_came(monkeypatch, tmp_path):
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address, digests=dict.fromkeys(FILES, "0" * 64))
        with pytest.raises(BadInput) as error:
            sources.obtain("mnist", tmp_path / "cache", tmp_path)
    assert str(error.value).startswith(
        f"train-images-idx3-ubyte from {mirror.address} is not the known one: expected sha256 {'0' * 64}, got "
    )
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_without_any_mirror_the_addresses_tried_are_named(monkeypatch, tmp_path):
    known(monkeypatch, "http://127.0.0.1:9", "http://127.0.0.1:10")
    with pytest.raises(StoreUnavailable) as error:
        sources.obtain("mnist", tmp_path / "cache", tmp_path)
    assert "http://127.0.0.1:9: " in str(error.value)
    assert "http://127.0.0.1:10: " in str(error.value)
    assert "give your own four IDX files" in str(error.value)


def test_the_packed_digests_of_other_data_sets_are_checked_on_the_packed_files(monkeypatch, tmp_path):
    digests = {file: hashlib.md5((DIGITS / f"{file}.gz").read_bytes()).hexdigest() for file in FILES}  # noqa: S324
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address, digests=digests, suffix=".gz", algorithm="md5")
        paths = sources.obtain("mnist", tmp_path / "cache", tmp_path)
    assert paths[FILES[3]].name == "t10k-labels-idx1-ubyte.gz"
    assert len(idx.read(paths[FILES[3]], idx.LABELS)) == 256


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(BadInput, match="neither one of mnist, fashion-mnist, kmnist nor a folder nor an s3:// prefix"):
        sources.obtain("minst", DIGITS, DIGITS)


def test_more_classes_than_a_known_data_set_has_names_for(tmp_path, monkeypatch):
    with Mirror(DIGITS) as mirror:
        known(monkeypatch, mirror.address, class_names=("zero", "one"))
        values = SMALL | {"source": "mnist", "cache": str(tmp_path), "classes": 11}
        made = make(COMPONENT, values, {}, tmp_path / "made")
    names = ["zero", "one", *map(str, range(2, 11))]
    assert artifact.read(made / "dataset").metadata["class_names"] == names
    assert "class 10 has no training image" in (made / "report" / "report.html").read_text()
