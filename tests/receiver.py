"""A receiver of notices, on the loopback: it keeps what is posted, and answers as a test wants."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What came: (path, headers, document) each."""

    address: str = ""
    came: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def of(self, run: str) -> list[Any]:
        """Return the documents about a run."""
        return [document for _, _, document in self.came if document["run"] == run]


@contextmanager
def receiver(status: int = 204, location: str = "") -> Iterator[Receiver]:
    """Yield a receiver that answers everything with a status, and leads elsewhere if a location is given."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.came.append((self.path, dict(self.headers), document))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kept.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
