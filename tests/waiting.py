"""Wait until something comes true."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(what: str, function: Callable[[], T], seconds: float = 240) -> T:
    """Return the first true answer of `function`; after so many seconds fail, saying that there is no `what`."""
    end = time.monotonic() + seconds
    while not (answer := function()):
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s there is still no {what}")
        time.sleep(0.2)
    return answer
