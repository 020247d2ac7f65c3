"""What the proxy does to a request and its answer."""

import contextlib
import hashlib
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

from tests.soak.faults import Fault, Request

if TYPE_CHECKING:
    from tests.soak.proxy import Proxy

XML = "http://s3.amazonaws.com/doc/2006-03-01/"
Headers = list[tuple[str, str]]


class Server(ThreadingHTTPServer):
    """Has a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the base class has it
        """Note what is not the client's doing."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError | ValueError):  # the client may go at any moment
            self.proxy.errors.append(error)


@dataclass
class _Answer:
    status: int
    headers: Headers
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def _any(self) -> None:
        fault = self.server.proxy.due(request := self._about())
        if fault is None:
            self._send(self._forward(request, self._body()))
            return
        if fault.action != "call" and self.server.proxy.struck[0] is request:
            self.server.proxy.strike()
        getattr(self, f"_{fault.action}")(fault, request)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _any  # noqa: N815 - as the base class calls them

    def _about(self) -> Request:
        address = urlsplit(self.path)
        _, _, key = unquote(address.path).lstrip("/").partition("/")
        query = parse_qs(address.query, keep_blank_values=True)
        if self.command == "GET" and not key:
            return Request("LIST", query.get("prefix", [""])[0])
        return Request(self.command, key)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _forward(self, request: Request, body: bytes) -> _Answer:
        # As it came, the host's name too, which is part of the signature.
        connection = HTTPConnection(self.server.proxy.upstream.removeprefix("http://"), timeout=60)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("connection", "expect", "transfer-encoding", "content-length"):
                    connection.putheader(name, value)
            if body or self.command in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = _Answer(response.status, response.getheaders(), response.read())
        if self.command == "PUT" and answer.status == 200:
            self.server.proxy.stored[request.key] = time.monotonic()
        return answer

    def _head(self, answer: _Answer, length: int | None = None) -> bytes:
        kept = [
            (name, value) for name, value in answer.headers
            if name.lower() not in ("transfer-encoding", "connection")
            and (name.lower() != "content-length" or self.command == "HEAD")
        ]  # fmt: skip
        if self.command != "HEAD" and answer.status not in (204, 304):
            kept.append(("Content-Length", str(len(answer.body) if length is None else length)))
        lines = [f"HTTP/1.1 {answer.status} {self.responses.get(answer.status, ('',))[0]}"]
        return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in kept), "", ""]).encode("latin-1")

    def _send(self, answer: _Answer) -> None:
        self.wfile.write(self._head(answer) + answer.body)

    def _abort(self) -> None:
        """Reset the connection: closed with a linger of no seconds, the kernel sends RST."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())

    # The actions.

    def _latency(self, fault: Fault, request: Request) -> None:
        body = self._body()
        self.server.proxy.stopping.wait(fault.seconds)
        self._send(self._forward(request, body))

    def _reset(self, _fault: Fault, _request: Request) -> None:
        self._abort()

    def _reset_in_request(self, fault: Fault, _request: Request) -> None:
        self.rfile.read(int(int(self.headers.get("Content-Length", 0)) * fault.share))
        self._abort()

    def _reset_before_response(self, _fault: Fault, request: Request) -> None:
        self._forward(request, self._body())  # a PUT is stored
        self._abort()

    def _reset_in_response(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        whole, head = self._head(answer) + answer.body, len(self._head(answer))
        self.wfile.write(whole[: head + int(len(answer.body) * fault.share) if answer.body else head // 2])
        time.sleep(0.02)  # so that the client has seen the half of it
        self._abort()

    def _truncated(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        self.close_connection = True
        self.wfile.write(self._head(answer) + answer.body[: int(len(answer.body) * fault.share)])

    def _shortened(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        answer.body = answer.body[: int(len(answer.body) * fault.share)]
        self._send(answer)

    def _flipped(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        answer.body = flip(answer.body, fault.share)
        self._send(answer)

    def _flipped_request(self, fault: Fault, request: Request) -> None:
        self._send(self._forward(request, flip(self._body(), fault.share)))

    def _drip(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        self.wfile.write(self._head(answer))
        piece = max(1, len(answer.body) // 20)
        for start in range(0, len(answer.body), piece):
            self.server.proxy.stopping.wait(fault.seconds / 20)
            self.wfile.write(answer.body[start : start + piece])

    def _answer(self, fault: Fault, _request: Request) -> None:
        self._body()
        self._send(_Answer(fault.status, list(fault.headers), b"" if self.command == "HEAD" else fault.body.encode()))

    def _swallow(self, _fault: Fault, _request: Request) -> None:
        """Say that it is stored, as a store would, and store nothing."""
        tag = hashlib.md5(self._body(), usedforsecurity=False).hexdigest()
        self._send(_Answer(200, [("ETag", f'"{tag}"')], b""))

    def _lag(self, fault: Fault, request: Request) -> None:
        answer = self._forward(request, self._body())
        if answer.status == 200:
            stored, now = self.server.proxy.stored, time.monotonic()
            answer.body = without(answer.body, {key for key, at in stored.items() if now - at < fault.seconds})
        self._send(answer)

    def _hang(self, _fault: Fault, _request: Request) -> None:
        self._body()
        self.server.proxy.stopping.wait()
        self._abort()

    def _call(self, fault: Fault, request: Request) -> None:
        body = self._body()
        if not fault.share:  # before it reaches the store, or after
            self.server.proxy.strike()
        answer = self._forward(request, body)
        if fault.share:
            self.server.proxy.strike()
        self._send(answer)


def flip(body: bytes, share: float) -> bytes:
    """Return the bytes with one bit of one of them changed."""
    at = min(int(len(body) * share), len(body) - 1)
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body


def without(listing: bytes, keys: set[str]) -> bytes:
    """Return an S3 listing (XML) without these keys."""
    ET.register_namespace("", XML)
    root = ET.fromstring(listing)  # noqa: S314 - from the store that this machine runs
    for name in ("Contents", "CommonPrefixes"):
        for item in list(_named(root, name)):
            key = unquote(next(iter(_named(item, "Key" if name == "Contents" else "Prefix"))).text or "")
            if key in keys or (name == "CommonPrefixes" and any(each.startswith(key) for each in keys)):
                root.remove(item)
    return b'<?xml version="1.0" encoding="UTF-8"?>' + ET.tostring(root)


def _named(root: ET.Element, name: str) -> Iterator[ET.Element]:
    return (each for each in root if each.tag.rpartition("}")[2] == name)
