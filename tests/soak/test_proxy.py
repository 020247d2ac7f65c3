# mypy: allow-untyped-defs, allow-untyped-calls
"""What the proxy does is what it says, seen by a client that tries nothing twice, and straight at the store."""

import time

import pytest
from botocore import exceptions as boto

from components.contract.store.connection import Connection
from components.contract.store.failures import ERRORS
from tests.soak.faults import Fault, Request
from tests.soak.ground import BUCKET
from tests.soak.proxy import Proxy

BODY = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def clients(settings):
    """Return a proxy, a client through it, and one straight to the store."""
    with Proxy(settings["AWS_ENDPOINT_URL"]) as proxy:
        through = Connection(settings | {"AWS_ENDPOINT_URL": proxy.endpoint}, seconds=1).client
        yield proxy, through, Connection(settings).client
    assert proxy.errors == []


@pytest.fixture
def proxied(clients):
    """Return these with nothing in the proxy's way, and one of two objects in the store."""
    proxy, _, straight = clients
    straight.put_object(Bucket=BUCKET, Key="key", Body=BODY)
    straight.delete_object(Bucket=BUCKET, Key="other")
    proxy.reset()
    return clients


def there(client, key="other"):
    return [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET, Prefix=key).get("Contents", ())] == [key]


def get(client, key="key"):
    return client.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def put(client):
    client.put_object(Bucket=BUCKET, Key="other", Body=BODY)


def test_without_a_fault_nothing_is_changed_and_all_is_noted(proxied):
    proxy, client, _ = proxied
    put(client)
    assert get(client, "other") == BODY
    assert there(client)
    assert client.head_object(Bucket=BUCKET, Key="other")["ContentLength"] == len(BODY)
    client.delete_object(Bucket=BUCKET, Key="other")
    assert proxy.requests == [Request(method, "other") for method in ("PUT", "GET", "LIST", "HEAD", "DELETE")]
    assert proxy.struck == []


@pytest.mark.parametrize(
    ("action", "stored"),
    [("reset", False), ("reset_in_request", False), ("reset_before_response", True), ("reset_in_response", True)],
)
def test_a_connection_that_is_reset(proxied, action, stored):
    proxy, client, straight = proxied
    proxy.reset(Fault(action, "PUT"))
    with pytest.raises(boto.HTTPClientError):
        put(client)
    assert there(straight) is stored
    put(client)  # the second is let through
    assert proxy.struck == [Request("PUT", "other")]


def test_bodies_that_are_cut_off(proxied):
    proxy, client, _ = proxied
    for action in ("truncated", "reset_in_response"):
        proxy.reset(Fault(action, "GET", times=9))
        with pytest.raises(ERRORS):
            get(client)
    proxy.reset(Fault("shortened", "GET", times=9, share=0.25))
    assert get(client) == BODY[: len(BODY) // 4]


def test_one_bit_is_flipped_on_the_way_down_and_on_the_way_up(proxied):
    proxy, client, straight = proxied
    proxy.reset(Fault("flipped", "GET", share=0.5))
    assert [a ^ b for a, b in zip(get(client), BODY, strict=True) if a != b] == [1]
    proxy.reset(Fault("flipped_request", "PUT", times=9, share=0.999))
    put(client)  # this store does not look at the digest that is signed
    assert [a ^ b for a, b in zip(get(straight, "other"), BODY, strict=True) if a != b] == [1]


def test_an_answer_of_its_own(proxied):
    proxy, client, straight = proxied
    xml = "<Error><Code>SlowDown</Code><Message>x</Message></Error>"
    proxy.reset(Fault("answer", "PUT", status=503, body=xml, headers=(("Retry-After", "7"),)))
    with pytest.raises(boto.ClientError, match="SlowDown") as caught:
        put(client)
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    assert not there(straight)


def test_said_to_be_stored_and_is_not(proxied):
    proxy, client, straight = proxied
    proxy.reset(Fault("swallow", "PUT"))
    assert client.put_object(Bucket=BUCKET, Key="other", Body=b"x")["ETag"] == '"9dd4e461268c8034f5c8564e155c67a6"'
    assert not there(straight)


def test_a_listing_that_lags_has_what_is_new_later(proxied):
    proxy, client, _ = proxied
    proxy.reset(Fault("lag", "LIST", times=99, seconds=0.5))
    put(client)
    assert not there(client)
    assert there(client, "key")  # which is old
    while not there(client):
        time.sleep(0.05)


def test_slow_ones_arrive_whole(proxied):
    proxy, client, _ = proxied
    for action in ("drip", "latency"):
        proxy.reset(Fault(action, "GET", seconds=0.2))
        assert get(client) == BODY
        assert proxy.struck == [Request("GET", "key")]


def test_one_that_hangs_ends_with_the_proxy(proxied):
    proxy, client, _ = proxied
    proxy.reset(Fault("hang", "GET"))
    with pytest.raises(boto.ReadTimeoutError):
        get(client)


def test_which_requests_are_struck(proxied):
    proxy, client, _ = proxied
    proxy.reset(Fault("answer", "GET", "key", skip=1, times=2, status=503))
    ends = []
    for _ in range(4):
        try:
            get(client)
            ends.append("ok")
        except boto.ClientError:
            ends.append("struck")
    assert ends == ["ok", "struck", "struck", "ok"]
    put(client)
    proxy.reset(Fault("answer", "GET", onwards=True, status=403))
    put(client)
    for call in (get, put):  # from the first of its kind on, each
        with pytest.raises(boto.ClientError, match="403"):
            call(client)


def test_a_strike_is_called_once_before_the_store_or_after_it(proxied):
    proxy, client, straight = proxied
    seen = []
    proxy.strike = lambda: seen.append(there(straight))
    for share in (0, 1):
        straight.delete_object(Bucket=BUCKET, Key="other")
        proxy.reset(Fault("call", "PUT", share=share))
        put(client)
    proxy.strike = lambda: None
    assert seen == [False, True]
