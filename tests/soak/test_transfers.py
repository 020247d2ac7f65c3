# mypy: allow-untyped-defs, allow-untyped-calls
"""What passes between a publisher or a reader and the store may be damaged or lost; what comes of it may not."""

import threading

import pytest

from components.contract import artifact
from components.contract.errors import BadInput
from components.contract.store import transfers
from components.contract.store.client import Store
from tests.soak.conftest import sealed
from tests.soak.faults import Fault
from tests.soak.ground import BUCKET
from tests.soak.proxy import Proxy


@pytest.fixture(scope="module")
def started(settings):
    """Return a proxy, a store that is reached through it, and the same straight."""
    with Proxy(settings["AWS_ENDPOINT_URL"]) as proxy:
        through = Store.from_environment(settings | {"AWS_ENDPOINT_URL": proxy.endpoint})
        yield proxy, through, Store.from_environment(settings)
    assert proxy.errors == []


@pytest.fixture
def proxy(started):
    started[0].reset()
    started[0].strike = lambda: None
    return started[0]


@pytest.fixture
def store(started):
    return started[1]


@pytest.fixture
def straight(started):
    return started[2]


def whole(straight, uri, folder, target):
    straight.fetch(uri, target)
    return artifact.digest(target) == artifact.digest(folder)


@pytest.mark.parametrize("name", ["a", "c", "manifest.json"])
@pytest.mark.parametrize("action", ["flipped_request", "swallow", "reset_before_response"])
def test_what_is_published_is_whole(store, straight, proxy, tmp_path, uri, action, name):
    folder = sealed(tmp_path / "made", "sound")
    proxy.reset(Fault(action, "PUT", f"{uri.removeprefix(f's3://{BUCKET}/')}/{name}"))
    store.publish(folder, uri)
    assert len(proxy.struck) == 1
    assert whole(straight, uri, folder, tmp_path / "got")


@pytest.mark.parametrize("name", ["b", "manifest.json"])
def test_what_is_damaged_on_its_way_is_fetched_again_and_what_is_damaged_is_named(
    store, straight, proxy, tmp_path, uri, name
):
    folder, key = sealed(tmp_path / "made", "sound"), f"{uri.removeprefix(f's3://{BUCKET}/')}/{name}"
    straight.publish(folder, uri)
    proxy.reset(Fault("flipped", "GET", key, times=2, share=0.4))
    store.fetch(uri, tmp_path / "got")
    assert artifact.digest(tmp_path / "got") == artifact.digest(folder)
    proxy.reset(Fault("flipped", "GET", key, times=99, share=0.4))
    with pytest.raises(BadInput, match=f"{name} was changed or damaged"):
        store.fetch(uri, tmp_path / "again")


def test_a_no_in_which_a_bit_is_wrong_is_asked_for_again(store, proxy, uri):
    for share in range(0, 100, 5):  # anywhere in the answer that there is none
        proxy.reset(Fault("flipped", "GET", share=share / 100))
        assert store.manifest(uri) is None
        proxy.reset(Fault("shortened", "GET", share=share / 100))
        assert store.manifest(uri) is None


@pytest.mark.parametrize("name", ["a", "manifest.json"])  # between these, both may give way
def test_a_publisher_that_meets_another_gives_way(store, straight, proxy, tmp_path, uri, name):
    ours, theirs = sealed(tmp_path / "ours", "ours"), sealed(tmp_path / "theirs", "theirs")
    proxy.reset(Fault("call", "PUT", f"{uri.removeprefix(f's3://{BUCKET}/')}/{name}", share=0))
    proxy.strike = lambda: straight.publish(theirs, uri)  # all of it, just before this file of ours
    with pytest.raises(BadInput, match=r"another (run, of other content,|artifact already)"):
        store.publish(ours, uri)
    assert whole(straight, uri, theirs, tmp_path / "got")


def test_what_an_unlike_publisher_left_unfinished_is_replaced(store, straight, tmp_path, uri):
    ours, theirs = sealed(tmp_path / "ours", "ours"), sealed(tmp_path / "theirs", "theirs")
    for name in "ab":
        straight.client.put_object(
            Bucket=BUCKET, Key=f"{uri.removeprefix(f's3://{BUCKET}/')}/{name}", Body=(theirs / name).read_bytes()
        )
    store.publish(ours, uri)
    assert whole(straight, uri, ours, tmp_path / "got")


def test_a_file_that_is_replaced_behind_the_manifest_is_put_again(store, straight, proxy, tmp_path, uri):
    ours, key = sealed(tmp_path / "ours", "ours"), uri.removeprefix(f"s3://{BUCKET}/")
    proxy.reset(Fault("call", "PUT", f"{key}/manifest.json", share=1))
    proxy.strike = lambda: straight.client.put_object(Bucket=BUCKET, Key=f"{key}/a", Body=b"late")
    store.publish(ours, uri)
    assert whole(straight, uri, ours, tmp_path / "got")


def test_a_failure_stops_the_other_transfers_before_it_is_raised():
    begun, ended = threading.Barrier(2), []

    def function(item, stopped):
        begun.wait()
        if item == "fails":
            raise BadInput("x")
        ended.append(stopped.wait(30))

    with pytest.raises(BadInput):
        transfers.in_parallel(function, ["fails", "goes on"])
    assert ended == [True]
