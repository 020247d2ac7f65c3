"""What tests of downloads share: a mirror on the loopback, and an environment that says nothing of the network."""

import http.server
import os
import threading
from pathlib import Path
from typing import Any, Self

import pytest


class Mirror(http.server.ThreadingHTTPServer):
    """Serves a folder on the loopback, and remembers what it was asked for."""

    def __init__(self, folder: Path | str, handler: type[http.server.SimpleHTTPRequestHandler] | None = None) -> None:
        asked: list[str] = []
        self.asked = asked

        class Handler(handler or http.server.SimpleHTTPRequestHandler):  # type: ignore[misc]
            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return super().__enter__()

    def server_close(self) -> None:
        """Stop serving, too."""
        self.shutdown()
        super().server_close()


@pytest.fixture(autouse=True)
def _network_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine's own environment says of proxies and mirrors; nobody is waited for."""
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0")
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("TAPELINE_MIRROR", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
