# mypy: allow-untyped-defs, allow-untyped-calls
import gzip
import ssl
import time

import pytest
import trustme

from components.contract import location
from components.contract.errors import BadInput, StoreRefused, StoreUnavailable
from components.contract.store import transfers
from components.contract.store.client import Store
from components.contract.store.conftest import answering, problem
from components.contract.store.transfers import PART, Key


def test_a_wrong_secret_is_said_once_and_not_shown(s3, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrongwrong")
    with pytest.raises(StoreRefused, match="the secret key is wrong; check AWS_SECRET_ACCESS_KEY") as error:
        Store.from_environment().names(s3)
    assert "wrongwrong" not in str(error.value)


def test_an_unknown_access_key(s3, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(StoreRefused, match="does not know this access key; check AWS_ACCESS_KEY_ID"):
        Store.from_environment().names(s3)


def test_a_missing_key(s3, tmp_path):
    with pytest.raises(StoreRefused, match="there is no such object"):
        Store.from_environment().read(f"{s3}/nothing", tmp_path / "x")


def test_no_credentials(s3, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(BadInput, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        location.children(s3)


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://host", "http://", "http://host/path"])
def test_an_endpoint_that_is_none(s3, monkeypatch, endpoint):
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(BadInput, match="is not of the form"):
        location.children(s3)


def test_nobody_at_the_endpoint(s3, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0.3")
    with pytest.raises(StoreUnavailable, match=r"at http://127\.0\.0\.1:9: .*refused \(waited \d s\)"):
        Store.from_environment().names(s3)


EMPTY = (200, b"<ListBucketResult><Name>tests</Name><IsTruncated>false</IsTruncated></ListBucketResult>")
KEY = Key("tests", "key")
STORED = (200, b"", {"ETag": '"0123"'})


def at(monkeypatch, port, seconds="9"):
    """Have the store be at that port, and waited for so long."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", seconds)
    return Store.from_environment()


MAY_PASS = [
    problem(503, "SlowDownRead"), problem(503, "SlowDownWrite"), problem(503, "ServerBusy"), problem(503, "SlowDown"),
    problem(503, "XMinioServerNotInitialized"), problem(503, "XMinioIAMNotInitialized"), problem(500, "InternalError"),
    problem(429, "TooManyRequests"), problem(408, "RequestTimeout"), problem(507, "XMinioStorageFull"),
    problem(400, "RequestTimeout"), problem(409, "OperationAborted"), problem(400, "XAmzContentSHA256Mismatch"),
    (502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"}), (503, b""), (504, b"no xml"),
    (503, b"<Error><Code>SlowDown</Code>", {"Retry-After": "0"}),
    (200, EMPTY[1][:40], {"Content-Length": str(len(EMPTY[1]))}), (200, b"", {"Content-Length": "9"}),
    (0, b""),
]  # fmt: skip
FINAL = [
    (problem(403, "AccessDenied"), "these credentials may not do this"),
    (problem(400, "InvalidRequest"), "InvalidRequest: later"),
    (problem(501, "NotImplemented"), "NotImplemented: later"),
    (problem(403, "ExpiredToken"), "the session token has expired"),
    ((403, b"<html>Blocked by the proxy</html>", {"Content-Type": "text/html"}), "HTTP status 403$"),
    ((200, b"<!DOCTYPE html><html><br>Log in</html>"), r"the answer is not that of an S3 store \(it is a page"),
    ((200, b"<html><body>Log in</body></html>"), r"the answer is not that of an S3 store \(it is a page"),
    ((200, b"{}"), r"the answer is not that of an S3 store \(it is a page"),
    ((200, b""), r"the answer is not that of an S3 store \(it is no list of objects\)"),
]


@pytest.mark.usefixtures("keys")
def test_what_may_pass_is_asked_again(monkeypatch):
    given = [each for answer in MAY_PASS for each in (answer, EMPTY)]
    with answering(given) as (port, asked):
        store = at(monkeypatch, port)
        for number, answer in enumerate(MAY_PASS, 1):
            assert (answer, store.names("s3://tests/x"), len(asked)) == (answer, [], 2 * number)


@pytest.mark.usefixtures("keys")
def test_what_does_not_pass_is_said_as_soon_as_the_store_has_said_it_twice(monkeypatch):
    with answering([answer for answer, _ in FINAL for _ in range(2)]) as (port, asked):
        store = at(monkeypatch, port)
        for number, (_, said) in enumerate(FINAL, 1):
            with pytest.raises(StoreRefused, match=f"^cannot list s3://tests/x/ at http://127.0.0.1:{port}: {said}"):
                store.names("s3://tests/x")
            assert len(asked) == 2 * number


@pytest.mark.usefixtures("keys")
def test_a_store_that_stays_busy_is_given_up(monkeypatch):
    with answering([problem(503, "SlowDownRead")]) as (port, asked):
        with pytest.raises(StoreUnavailable, match=r"SlowDownRead: later \(waited \d s\)"):
            at(monkeypatch, port, "0.5").names("s3://tests/x")
        assert len(asked) > 2


@pytest.mark.usefixtures("keys")
def test_a_busy_store_is_asked_again_no_sooner_than_it_says(monkeypatch):
    times = []

    def answer(_):
        times.append(time.monotonic())
        return EMPTY if len(times) > 1 else (*problem(503, "XMinioServerNotInitialized"), {"Retry-After": "1"})

    with answering(answer) as (port, _):
        assert at(monkeypatch, port).names("s3://tests/x") == []
    assert times[1] - times[0] >= 1


@pytest.mark.usefixtures("keys")
def test_what_arrives_in_part_is_fetched_again(monkeypatch, tmp_path):
    whole = (200, bytes(range(256)) * 2000, {"ETag": '"0123"'})
    short = (200, whole[1][:100_000], whole[2] | {"Content-Length": str(len(whole[1]))})
    with answering([short, whole]) as (port, asked):
        at(monkeypatch, port).read("s3://tests/x/file", tmp_path / "file")
    assert (len(asked), (tmp_path / "file").read_bytes()) == (2, whole[1])


@pytest.mark.usefixtures("keys")
def test_what_says_that_it_is_packed_and_is_not(monkeypatch, tmp_path):
    with (
        answering([(200, b"text", {"ETag": '"0123"', "Content-Encoding": "gzip"})]) as (port, _),
        pytest.raises(StoreRefused, match=r"not that of an S3 store \(its header says gzip, and its body is none\)"),
    ):
        at(monkeypatch, port).read("s3://tests/x/file", tmp_path / "file")


@pytest.mark.usefixtures("keys")
def test_what_a_proxy_packed_on_the_way_is_unpacked(monkeypatch, tmp_path):
    packed = gzip.compress(b"text" * 1000)
    with answering([(200, packed, {"ETag": '"0123"', "Content-Encoding": "gzip"})]) as (port, _):
        at(monkeypatch, port).read("s3://tests/x/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"text" * 1000


@pytest.mark.parametrize("answer", [(200, b""), (200, b"<html><br>Log in</html>"), (200, b"<html>Log in</html>")])
@pytest.mark.parametrize("size", [10, 2**24])
@pytest.mark.usefixtures("keys")
def test_an_answer_that_no_s3_store_gives_to_a_put_is_no_publication(monkeypatch, tmp_path, answer, size):
    (tmp_path / "file").write_bytes(bytes(size))
    begun = (200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    with answering(lambda asked: begun if asked.path.endswith("?uploads") else answer) as (port, _):
        store = at(monkeypatch, port)
        with pytest.raises(StoreRefused, match=r"cannot write .*: the answer is not that of an S3 store"):
            transfers.upload(store.connection, tmp_path / "file", KEY, {})


@pytest.mark.usefixtures("keys")
def test_each_part_of_a_large_file_is_tried_again_by_itself(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(bytes(PART) + b"more")
    begun = (200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    done = (200, b"<CompleteMultipartUploadResult><ETag>0123-2</ETag></CompleteMultipartUploadResult>")
    failed = (200, b"<Error><Code>InternalError</Code></Error>")  # as S3 says it when it has begun to answer
    busy = problem(503, "SlowDownWrite")
    with answering([begun, busy, STORED, busy, STORED, failed, done]) as (port, asked):
        transfers.upload(at(monkeypatch, port).connection, tmp_path / "file", KEY, {})
    assert [each.partition("?")[2] for each in asked] == [
        "uploads", *["uploadId=1&partNumber=1"] * 2, *["uploadId=1&partNumber=2"] * 2, *["uploadId=1"] * 2,
    ]  # fmt: skip


@pytest.mark.usefixtures("keys")
def test_what_is_left_of_a_large_file_that_failed_is_taken_away(monkeypatch, tmp_path):
    (tmp_path / "file").write_bytes(bytes(PART))
    begun = (200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
    with answering([begun, problem(403, "AccessDenied")]) as (port, asked):  # also to the one who takes it away
        store = at(monkeypatch, port)
        with pytest.raises(StoreRefused, match="these credentials may not do this"):
            transfers.upload(store.connection, tmp_path / "file", KEY, {})
    assert asked[-1] == "DELETE /tests/key?uploadId=1"


@pytest.mark.parametrize(
    ("answers", "made"),
    [
        ([STORED], True),
        ([problem(501, "NotImplemented"), STORED], True),  # a store that knows no conditional writes
        ([problem(412, "PreconditionFailed")], False),
        ([problem(409, "ConditionalRequestConflict"), STORED], True),
    ],
)
@pytest.mark.usefixtures("keys")
def test_where_there_is_something_nothing_is_put(monkeypatch, answers, made):
    with answering(answers) as (port, asked):
        tag = transfers.put(at(monkeypatch, port).connection, b"body", KEY, {"IfNoneMatch": "*"})
    assert (tag is not None) is made
    assert len(asked) == len(answers)


def test_a_private_authority_is_trusted_only_when_it_is_named(s3, monkeypatch, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with answering([EMPTY], context) as (port, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{port}")
        with pytest.raises(StoreRefused, match="certificate verify failed"):
            Store.from_environment().names(s3)
        assert asked == []
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert Store.from_environment().names(s3) == []


def test_a_bundle_that_is_not_there(s3, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nowhere.pem")
    with pytest.raises(BadInput, match=r"AWS_CA_BUNDLE: there is no file /nowhere\.pem"):
        location.children(s3)
