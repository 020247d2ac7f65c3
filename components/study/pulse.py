"""Signs of life: who works on a study says so every few seconds, in a small object of its own in the store.

Clocks of machines differ, so none is compared: who looks sees whether the object has changed since, by its own clock.
"""

import contextlib
import secrets
import threading
import time
from types import TracebackType
from typing import Self

from components.contract.artifact import canonical_json
from components.contract.errors import StepError
from components.contract.store import transfers
from components.contract.store.client import Store, split
from components.contract.store.transfers import Key

BEATS = 6  # in the time after which one is given up


class Pulse:
    """The signs of life at a place in the store: one's own, while the block lasts, and those of others."""

    def __init__(self, store: Store, place: str, worker: str, patience: float) -> None:
        """Begin; who has given no sign for `patience` seconds is taken for dead."""
        self._store, self._place, self._worker, self._patience = store, f"{place}/alive", worker, patience
        self._seen: dict[str, tuple[str, float]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._beat()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()
        with contextlib.suppress(StepError):  # it is seen soon enough
            self._store.remove(f"{self._place}/{self._worker}")

    def lives(self, worker: str) -> bool:
        """Tell whether a worker has given a sign of life lately."""
        now = time.monotonic()
        names = {name.split("/")[-2]: tag for name, tag in self._store.digests(f"{self._place}/{worker}/").items()}
        if (tag := names.get(worker)) is None:  # it has ended, and said so
            return False
        before, since = self._seen.get(worker, ("", now))
        self._seen[worker] = (tag, since if tag == before else now)
        return now - self._seen[worker][1] < self._patience

    def _beat(self) -> None:
        bucket, prefix = split(f"{self._place}/{self._worker}")
        text = canonical_json({"token": secrets.token_hex(8)})
        transfers.put(self._store.connection, text, Key(bucket, f"{prefix}beat.json"), {})

    def _go_on(self) -> None:
        while not self._stopped.wait(self._patience / BEATS):
            with contextlib.suppress(StepError):  # who works says what is wrong with the store
                self._beat()
