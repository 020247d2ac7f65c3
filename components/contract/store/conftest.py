"""What tests of the store share: a small real server that gives the answers it is told to give."""

import contextlib
import http.server
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

Answer = tuple[Any, ...]  # status, body, and maybe headers
KINDS = {"Content-Type": "application/xml", "Connection": "close"}  # each connection is for one answer


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment say nothing of a store but keys; whoever is not there is not waited for."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0")


@contextlib.contextmanager
def answering(
    answers: Sequence[Answer] | Callable[[http.server.BaseHTTPRequestHandler], Answer],
    context: ssl.SSLContext | None = None,
) -> Iterator[tuple[int, list[str]]]:
    """Run a server that gives `answers` one after the other, the last one for ever.

    Yields its port, and what it was asked so far. An answer's body may be followed by headers; a status of 0 is a
    connection that is closed without an answer. A proxy that was asked for a tunnel says no more than the status: what
    follows is the tunnel's.
    """
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            code, body, *more = answers(self) if callable(answers) else answers[min(len(asked), len(answers)) - 1]
            if code:
                body = b"" if self.command == "CONNECT" else body
                self.send_response(code)
                headers = {"Content-Length": str(len(body))} | KINDS | dict(*more)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            self.close_connection = True

        do_PUT = do_POST = do_DELETE = do_CONNECT = do_GET  # noqa: N815 - as http.server calls them

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()


def problem(status: int, code: str) -> Answer:
    """Return an error as S3 says it."""
    return status, f"<Error><Code>{code}</Code><Message>later</Message></Error>".encode()
