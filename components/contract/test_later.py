# mypy: allow-untyped-defs, allow-untyped-calls
"""Files that are fetched, or verified, when they are used: once, whole, within the room that there is."""

import threading
from pathlib import Path

import pytest

from components.contract import artifact, later, location
from components.contract.errors import BadInput
from components.contract.store import transfers
from components.contract.store.client import Store
from components.contract.test_artifact import seal

NAMES = ["big-0", "big-1", "big-2"]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    for number, name in enumerate(["small", *NAMES]):
        (made / name).write_bytes(bytes([number]) * 1000)
    seal(made)
    return made


@pytest.fixture
def got(monkeypatch):
    """Return the names of the objects that are downloaded."""
    names: list[str] = []
    download = transfers.download

    def noted(connection, key, *more):
        names.append(key.name.rpartition("/")[2])
        return download(connection, key, *more)

    monkeypatch.setattr(transfers, "download", noted)
    return names


@pytest.fixture
def fetched(s3, folder, tmp_path, got):
    """Return a folder in which the three large files are not there yet."""
    location.publish(folder, s3)
    made = location.fetch(s3, tmp_path / "fetched", ["big-*"])
    assert {path.name for path in made.iterdir()} == {"small", "manifest.json"}
    assert got == ["small"]
    yield made
    later.forget(made)


def there(folder):
    return {path.name for path in folder.glob("big-*")}


def test_a_file_is_fetched_once_when_it_is_used(fetched, folder, got):
    assert artifact.digest(fetched) == artifact.digest(folder)
    assert later.exists(fetched / "big-1")
    assert not later.exists(fetched / "big-3")
    for _ in range(2):
        assert later.use(fetched / "big-1", Path.read_bytes) == b"\2" * 1000
        assert later.use(fetched / "small", Path.read_bytes) == b"\0" * 1000
    assert (got, there(fetched)) == (["small", "big-1"], {"big-1"})


def test_no_more_is_kept_than_there_is_room_for(s3, folder, tmp_path, got, monkeypatch):
    location.publish(folder, s3)
    monkeypatch.setenv(later.VARIABLE, "2500")
    made = location.fetch(s3, tmp_path / "fetched", ["big-*"])
    for name in ("big-0", "big-1", "big-0", "big-2", "big-0", "big-1"):
        later.use(made / name, Path.read_bytes)
        assert sum(path.stat().st_size for path in made.glob("big-*")) <= 2500
    assert got == ["small", "big-0", "big-1", "big-2", "big-1"]  # big-1 had to go, as big-0 was used after it
    assert there(made) == {"big-0", "big-1"}
    later.forget(made)
    monkeypatch.setenv(later.VARIABLE, "1")
    made = location.fetch(s3, tmp_path / "another", ["big-*"])
    for name in NAMES:
        later.use(made / name, Path.read_bytes)
        assert there(made) == {name}
    later.forget(made)
    for wrong in ("-1", "8GB", "1e9", "9" * 19):
        monkeypatch.setenv(later.VARIABLE, wrong)
        with pytest.raises(BadInput, match=f"TAPELINE_CACHE_BYTES: '{wrong}' is no number of bytes"):
            location.fetch(s3, tmp_path / wrong, ["big-*"])


def test_what_is_damaged_or_missing_in_the_store_is_named(fetched, s3, got):
    store, prefix = Store.from_environment(), s3.removeprefix("s3://tests/")
    store.client.put_object(Bucket="tests", Key=f"{prefix}/big-0", Body=b"\1" * 999 + b"\2")
    store.client.delete_object(Bucket="tests", Key=f"{prefix}/big-1")
    for _ in range(2):
        with pytest.raises(BadInput, match="big-0 was changed or damaged"):
            later.use(fetched / "big-0", Path.read_bytes)
    with pytest.raises(BadInput, match="big-1 is missing, but the manifest lists it"):
        later.use(fetched / "big-1", Path.read_bytes)
    assert got == ["small", *["big-0"] * 6, "big-1"]
    assert later.use(fetched / "big-2", Path.read_bytes) == b"\3" * 1000


def test_what_is_on_this_machine_is_verified_when_it_is_used_and_stays(folder, monkeypatch):
    monkeypatch.setenv(later.VARIABLE, "1")
    (folder / "big-0").write_bytes(b"\1" * 999 + b"\2")
    assert location.fetch(str(folder), folder / "unused", ["big-*"]) == folder
    seen = []
    sha256 = artifact.sha256
    monkeypatch.setattr(artifact, "sha256", lambda path: seen.append(path.name) or sha256(path))  # type: ignore[func-returns-value]
    with pytest.raises(BadInput, match="big-0 was changed or damaged"):
        later.use(folder / "big-0", Path.read_bytes)
    for _ in range(2):
        assert later.use(folder / "big-1", Path.read_bytes) == b"\2" * 1000
    assert (seen, there(folder)) == (["big-0", "big-1"], set(NAMES))
    later.forget(folder)
    assert later.use(folder / "big-0", len_of) == 1000
    (folder / "small").write_bytes(b"other")
    with pytest.raises(BadInput, match="small was changed or damaged"):
        location.fetch(str(folder), folder / "unused", ["big-*"])
    (folder / "big-2").unlink()
    with pytest.raises(BadInput, match="big-2 is missing, but the manifest lists it"):
        location.fetch(str(folder), folder / "unused", ["*"])


def len_of(path):
    return path.stat().st_size


def test_what_nobody_waits_for_is_not_fetched_to_its_end(fetched, monkeypatch):
    """The folder is about to be removed: nothing may be written there any more."""
    began, chunks = threading.Event(), transfers.chunks_of

    def slow(answer):
        for chunk in chunks(answer):
            began.set()
            later._put_off[fetched]._stopped.wait(20)
            yield chunk

    monkeypatch.setattr(transfers, "chunks_of", slow)
    failed = []

    def use():
        try:
            later.use(fetched / "big-0", Path.read_bytes)
        except transfers.Stopped as error:
            failed.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    assert began.wait(20)
    put_off = later._put_off[fetched]
    later.forget(fetched)
    thread.join(20)
    assert len(failed) == 1
    assert not put_off._lock.locked()
    assert there(fetched) <= {"big-0"}
