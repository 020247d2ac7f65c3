"""What is asked of a store, and what is done to it."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What a request is about: its method, LIST for a listing, and the key in the bucket, or the listing's prefix."""

    method: str
    key: str

    @property
    def same(self) -> str:
        """The key as it is in each run."""
        return without_chance(self.key)


def without_chance(key: str) -> str:
    """Return a key without what is drawn by chance in it: the ends of the names of checkpoints."""
    return re.sub(r"-[0-9a-f]{8}/", "-*/", key)


@dataclass(frozen=True)
class Fault:
    """What is done to requests: to those of a method and key (empty: any), after `skip` of them, to `times` of them.

    With `onwards` every request after the first of these is struck, whatever it is about.
    """

    action: str  # a method of the proxy's handler (harm.py), without its underscore
    method: str = ""
    key: str = ""
    skip: int = 0
    times: int = 1
    onwards: bool = False
    status: int = 503
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    share: float = 0.5  # where in a body: a reset, a cut, a flipped byte

    def is_about(self, request: Request) -> bool:
        """Tell whether a request is one of those that it may strike."""
        return self.method in ("", request.method) and (not self.key or without_chance(self.key) == request.same)
