# mypy: allow-untyped-defs, allow-untyped-calls
import concurrent.futures
import contextlib
import secrets
import subprocess
import sys
import threading

import pytest

from components.contract import artifact, location
from components.contract.errors import BadInput, StoreRefused
from components.contract.store import buckets
from components.contract.store.client import Store, split
from components.contract.test_artifact import seal


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_text("hello")
    (made / "sub" / "empty").touch()
    (made / "large.bin").write_bytes(bytes(range(256)) * 140_000)  # 35.8 MB: three parts
    seal(made)
    return made


def modified(store):
    """Return when each object in the tests' bucket was written."""
    pages = store.client.get_paginator("list_objects_v2").paginate(Bucket="tests")
    return {found["Key"]: found["LastModified"] for page in pages for found in page.get("Contents", ())}


def test_what_goes_up_comes_down(s3, folder, tmp_path):
    location.publish(folder, s3)
    got = location.fetch(s3, tmp_path / "got")
    assert artifact.digest(got) == artifact.digest(folder)
    assert artifact.verify(got).files.keys() == {"a.txt", "large.bin", "sub/empty"}


def test_a_changed_object_has_another_digest(s3, folder):
    location.publish(folder, s3)
    store, key = Store.from_environment(), f"{s3.removeprefix('s3://tests/')}/sub/empty"
    before = store.digests(s3)
    assert store.digests(s3) == before
    store.client.put_object(Bucket="tests", Key=key, Body=b"more")
    after = store.digests(s3)
    assert {name for name in after if after[name] != before[name]} == {key}
    assert store.digests(f"{s3}/sub/empty") == {key: after[key]}


def test_publishing_the_same_again_writes_nothing(s3, folder):
    location.publish(folder, s3)
    store = Store.from_environment()
    before = modified(store)
    location.publish(folder, s3)
    assert before == modified(store)


def test_publishing_again_brings_back_a_lost_file(s3, folder, tmp_path):
    location.publish(folder, s3)
    store = Store.from_environment()
    store.client.delete_object(Bucket="tests", Key=s3.removeprefix("s3://tests/") + "/a.txt")
    location.publish(folder, s3)
    assert location.fetch(s3, tmp_path / "got")


def test_other_content_never_replaces_what_is_there(s3, folder, tmp_path):
    location.publish(folder, s3)
    (folder / "a.txt").write_text("other")
    seal(folder)
    with pytest.raises(BadInput, match="holds another artifact already"):
        location.publish(folder, s3)
    assert (location.fetch(s3, tmp_path / "got") / "a.txt").read_text() == "hello"


def test_a_publisher_that_is_killed_leaves_nothing_that_looks_finished(s3, folder, tmp_path):
    # It dies before the manifest goes up: with all files there, the worst moment.
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from components.contract import location\n"
        "from components.contract.store import client as store\n"
        "store.Store._create = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "location.publish(Path(sys.argv[1]), sys.argv[2])\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(folder), s3], check=False)
    assert died.returncode == -9
    assert Store.from_environment().names(s3) == ["a.txt", "large.bin", "sub/empty"]
    with pytest.raises(BadInput, match="never made, or not finished"):
        location.fetch(s3, tmp_path / "got")
    location.publish(folder, s3)
    assert location.fetch(s3, tmp_path / "got")


def test_a_file_changed_in_the_store_is_named(s3, folder, tmp_path):
    location.publish(folder, s3)
    key = s3.removeprefix("s3://tests/") + "/a.txt"
    Store.from_environment().client.put_object(Bucket="tests", Key=key, Body=b"hellO")
    with pytest.raises(BadInput, match=f"{s3}/a.txt was changed or damaged"):
        location.fetch(s3, tmp_path / "got")


def test_a_file_missing_in_the_store_is_named(s3, folder, tmp_path):
    location.publish(folder, s3)
    Store.from_environment().client.delete_object(Bucket="tests", Key=s3.removeprefix("s3://tests/") + "/sub/empty")
    with pytest.raises(BadInput, match=f"{s3}/sub/empty is missing"):
        location.fetch(s3, tmp_path / "got")


def test_children_are_the_finished_ones_and_can_be_removed(s3, folder):
    for name in ("step-2", "step-1"):
        location.publish(folder, f"{s3}/{name}")
    Store.from_environment().client.put_object(Bucket="tests", Key=f"{s3[11:]}/step-3/a.txt", Body=b"")
    assert location.children(s3) == ["step-1", "step-2"]
    location.remove(f"{s3}/step-1")
    assert location.children(s3) == ["step-2"]


@pytest.mark.usefixtures("s3")
def test_a_missing_bucket(folder):
    with pytest.raises(StoreRefused, match="there is no such bucket"):
        location.publish(folder, "s3://nowhere/x")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "gs://bucket/x"])
def test_a_location_that_is_none(uri, tmp_path):
    with pytest.raises(BadInput, match=r"is n(ot|either)"):
        location.fetch(uri, tmp_path)


def test_a_local_artifact_is_replaced_whole_and_a_strangers_folder_never(tmp_path):
    target = tmp_path / "target"
    for text in ("one", "two"):
        with location.staging(str(target)) as staged:
            (staged / "a.txt").write_text(text)
            seal(staged)
            location.publish(staged, str(target))
        assert (location.fetch(str(target), tmp_path) / "a.txt").read_text() == text
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "thesis.tex").touch()
    with location.staging(str(stranger)) as staged:
        seal(staged)
        with pytest.raises(BadInput, match="something that is not an artifact"):
            location.publish(staged, str(stranger))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stranger", "target"]


def test_many_small_files(s3, tmp_path):
    made = tmp_path / "many"
    made.mkdir()
    for number in range(500):
        (made / f"{number:03}.txt").write_text(str(number))
    seal(made)
    location.publish(made, s3)
    got = location.fetch(s3, tmp_path / "got")
    assert artifact.digest(got) == artifact.digest(made)
    assert len(Store.from_environment().names(s3)) == 501


def test_a_file_of_many_parts_arrives_whole_without_being_held_in_memory(s3, tmp_path):
    made = tmp_path / "large"
    made.mkdir()
    with (made / "large.bin").open("wb") as file:
        for number in range(300):  # 300 MiB: 19 parts, each other
            file.write(number.to_bytes(4, "big") * 2**18)
    seal(made)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from components.contract import location\n"
        "location.publish(Path(sys.argv[1]), sys.argv[2])\n"
        "location.fetch(sys.argv[2], Path(sys.argv[3]))\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(made), s3, str(tmp_path / "got")], check=True, capture_output=True, text=True
    )
    assert artifact.digest(tmp_path / "got") == artifact.digest(made)
    assert int(done.stdout) < 250_000  # kB


def test_of_two_writers_of_the_same_place_one_wins_whole(s3, tmp_path):
    folders = []
    for name in ("one", "two"):
        made = tmp_path / name
        made.mkdir()
        for number in range(20):
            (made / f"{number}.txt").write_text(name)
        seal(made)
        folders.append(made)
    start = threading.Barrier(2)

    def write(made):
        start.wait()
        with contextlib.suppress(BadInput):  # the other was first
            location.publish(made, s3)

    writers = [threading.Thread(target=write, args=(made,)) for made in folders]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    got = location.fetch(s3, tmp_path / "got")
    assert artifact.digest(got) in [artifact.digest(made) for made in folders]


def test_many_writers_of_the_same_content_agree(s3, folder, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(location.publish, folder, s3) for _ in range(4)]:
            future.result()
    assert artifact.digest(location.fetch(s3, tmp_path / "got")) == artifact.digest(folder)


def test_buckets_are_made_once_and_can_be_tried(s3):
    assert s3
    store, name = Store.from_environment(), f"made-{secrets.token_hex(4)}"
    assert (buckets.make(store, name), buckets.make(store, name)) == ("made", "is there already")
    assert buckets.check(store, name).startswith("1 MiB put, got and removed in ")
    assert store.names(f"s3://{name}/") == []
    with pytest.raises(StoreRefused, match="there is no such bucket"):
        buckets.check(store, "nowhere")


def test_a_bucket_that_one_may_not_make_is_said(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrongwrong")
    bucket = split(s3)[0]
    with pytest.raises(StoreRefused, match=rf"cannot make the bucket {bucket} at .*: the secret key is wrong"):
        buckets.make(Store.from_environment(), bucket)
