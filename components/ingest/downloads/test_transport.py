# mypy: allow-untyped-defs, allow-untyped-calls
"""Proxies and passwords, with a real proxy and a real server that ask for them."""

import base64
import http.server
import urllib.request

import pytest
from urllib3.exceptions import ProtocolError, SSLError

from components.conftest import DIGITS
from components.contract import waiting
from components.contract.errors import StoreUnavailable
from components.ingest import downloads
from components.ingest.conftest import Mirror
from components.ingest.downloads import transport
from components.ingest.downloads.test_downloads import NOBODY, content, small
from components.ingest.known.mnist import FILES

SECRET = "s3cr:t@"  # noqa: S105 - of the servers of these tests; in an address it is s3cr%3At%40


class Proxy(http.server.SimpleHTTPRequestHandler):
    """Forwards what it is asked for by a whole address, if it is told the password."""

    def do_GET(self):
        given = base64.b64encode(f"me:{SECRET}".encode()).decode()
        if self.headers["Proxy-Authorization"] != f"Basic {given}":
            self.send_error(407)
            return
        # The name is one that only the proxy can resolve.
        request = urllib.request.Request(self.path.replace("http://inside.invalid", self.directory))  # noqa: S310
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            body = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_CONNECT = do_GET  # noqa: N815 - as http.server calls it


class Guarded(http.server.SimpleHTTPRequestHandler):
    """Asks for the password."""

    def do_GET(self):
        given = base64.b64encode(f"me:{SECRET}".encode()).decode()
        if self.headers["Authorization"] == f"Basic {given}":
            super().do_GET()
        else:
            self.send_error(401)


def through(proxy, password="s3cr%3At%40"):  # noqa: S107 - of a server of this test
    return proxy.address.replace("http://", f"http://me:{password}@")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_with_a_password_is_asked(name, tmp_path, monkeypatch, capsys):
    with Mirror(DIGITS) as mirror, Mirror(mirror.address, Proxy) as proxy:
        monkeypatch.setenv(name, through(proxy))
        paths = downloads.obtain(small("http://inside.invalid"), tmp_path)
    assert paths[FILES[1]].read_bytes() == content(FILES[1])
    assert proxy.asked == [f"http://inside.invalid/{file}.gz" for file in FILES]
    assert "s3cr" not in capsys.readouterr().out


def test_a_proxy_is_passed_by_for_those_that_need_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", NOBODY)
    monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
    with Mirror(DIGITS) as mirror:
        downloads.obtain(small(mirror.address), tmp_path)
    assert len(mirror.asked) == 4


@pytest.mark.parametrize(
    ("mirror", "proxy", "said"),
    [
        ("http://inside.invalid", "http://me:s3cret@127.0.0.1:9", "the proxy http://127.0.0.1:9: "),
        ("https://inside.invalid", "me:s3cret@127.0.0.1:9", "the proxy http://127.0.0.1:9: "),
        (
            "http://inside.invalid", "socks5://me:s3cret@127.0.0.1:9",
            "the proxy socks5://127.0.0.1:9 is none that is asked over HTTP; give one as http://host:port",
        ),
    ],
)  # fmt: skip
def test_a_proxy_that_fails_is_named_without_its_password(mirror, proxy, said, tmp_path, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(StoreUnavailable) as error:
        downloads.obtain(small(mirror), tmp_path)
    assert f"{mirror}: {said}" in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(("mirror", "said"), [
    ("http://inside.invalid", f"HTTP status 407 for {FILES[0]}.gz"),
    ("https://inside.invalid", "Tunnel connection failed: 407 Proxy Authentication Required"),
])  # fmt: skip
def test_a_proxy_that_refuses_says_so(mirror, said, tmp_path, monkeypatch):
    with Mirror(DIGITS, Proxy) as proxy:
        monkeypatch.setenv("ALL_PROXY", through(proxy, "wr0ng"))
        with pytest.raises(StoreUnavailable) as error:
            downloads.obtain(small(mirror), tmp_path)
    assert said in str(error.value)
    assert "wr0ng" not in str(error.value)


def test_a_mirror_of_ones_own_may_ask_for_a_password(tmp_path, monkeypatch, capsys):
    (tmp_path / "mnist").symlink_to(DIGITS)
    with Mirror(tmp_path, Guarded) as mirror:
        monkeypatch.setenv("TAPELINE_MIRROR", through(mirror))
        downloads.obtain(small(), tmp_path / "cache")
        monkeypatch.setenv("TAPELINE_MIRROR", through(mirror, "wr0ng"))
        with pytest.raises(StoreUnavailable) as error:
            downloads.obtain(small(), tmp_path / "other")
    said = capsys.readouterr().out + str(error.value)
    assert f"{mirror.address}/mnist: HTTP status 401 for {FILES[0]}" in said
    assert "s3cr" not in said
    assert "wr0ng" not in said


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (transport.Refused("busy", 503, 2.0), True), (transport.Refused("busy", 429), True),
        (transport.NotThere("gone", 404), False), (transport.Refused("secret", 401), False),
        (OSError("no npm"), False), (SSLError("wrong certificate"), False), (ProtocolError("broke off"), True),
    ],
)  # fmt: skip
def test_which_failures_may_pass(error, may):
    assert (transport.passing(error) is not None) is may


def test_a_mirror_that_is_busy_at_first_is_waited_for(tmp_path, monkeypatch, capsys):
    class Busy(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            if len(mirror.asked) < 2:
                self.send_error(503)
            else:
                super().do_GET()

    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "20")
    monkeypatch.setattr(waiting, "_told", float("-inf"))
    with Mirror(DIGITS, Busy) as mirror:
        paths = downloads.obtain(small(mirror.address), tmp_path)
    assert paths[FILES[0]].read_bytes() == content(FILES[0])
    assert (
        f"waiting (for 20 s at most): cannot download mnist: HTTP status 503 for {FILES[0]}.gz"
        in capsys.readouterr().err
    )


def test_the_parts_of_an_address():
    assert transport.without_user("https://a%40b:c@host:8443/x?y=1") == ("https://host:8443/x?y=1", "a@b:c")
    assert transport.without_user("https://host/x") == ("https://host/x", None)
