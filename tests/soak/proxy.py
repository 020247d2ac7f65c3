"""A proxy on the loopback between a step and its store, which knows S3 well enough to do harm at a chosen place."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.soak.faults import Fault, Request
from tests.soak.harm import Server


@dataclass
class Proxy:
    """Forwards to the store at `upstream`, http://host:port, with at most one fault; a context."""

    upstream: str
    fault: Fault | None = None
    strike: Callable[[], None] = lambda: None  # called when the fault strikes first
    requests: list[Request] = field(default_factory=list)
    struck: list[Request] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)  # of the proxy itself
    stored: dict[str, float] = field(default_factory=dict)  # when a key was put, for listings that lag

    def __enter__(self) -> Self:
        self._lock, self._matched = threading.Lock(), 0
        self.stopping = threading.Event()
        self._server = Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The address to give to a client."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def reset(self, fault: Fault | None = None) -> None:
        """Begin anew, with another fault."""
        with self._lock:
            self.fault, self._matched, self.requests, self.struck, self.stored = fault, 0, [], [], {}

    def due(self, request: Request) -> Fault | None:
        """Note a request, and return the fault if it is one to strike."""
        with self._lock:
            self.requests.append(request)
            fault = self.fault
            if fault is None or not (fault.is_about(request) or (fault.onwards and self.struck)):
                return None
            index, self._matched = self._matched, self._matched + 1
            if index < fault.skip or (index >= fault.skip + fault.times and not fault.onwards):
                return None
            self.struck.append(request)
            return fault
