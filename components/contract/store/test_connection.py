# mypy: allow-untyped-defs, allow-untyped-calls
import contextlib
import http.server
import ssl
import threading

import pytest
import trustme

from components.contract import location
from components.contract.errors import BadInput, StoreRefused, StoreUnavailable
from components.contract.store.client import Store


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


@contextlib.contextmanager
def answering(answers, context=None):
    """Run a server that gives `answers`, (status, XML) each, one after the other; yield it, with what it was asked."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            code, body = answers[min(len(asked), len(answers)) - 1]
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/xml")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever).start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()


BUSY = (503, b"<Error><Code>SlowDown</Code><Message>later</Message></Error>")
EMPTY = (200, b"<ListBucketResult><Name>tests</Name><IsTruncated>false</IsTruncated></ListBucketResult>")


def test_a_busy_store_is_asked_again(s3, monkeypatch):
    with answering([BUSY, BUSY, EMPTY]) as (port, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        assert Store.from_environment().names(s3) == []
    assert len(asked) == 3


def test_a_store_that_stays_busy_is_given_up(s3, monkeypatch):
    with answering([BUSY]) as (port, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0.5")
        with pytest.raises(StoreUnavailable, match=r"SlowDown: later \(waited \d s\)"):
            Store.from_environment().names(s3)
    assert len(asked) > 2


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
