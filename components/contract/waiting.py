"""Wait for what may come back: a store that starts or has too much to do, a mirror that is away.

It is waited for inside the step, here and nowhere else, since not every orchestrator tries a step again by its exit
code (Kubeflow never does). TAPELINE_WAIT_SECONDS says how long, from the first failure of a call on.
"""

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import urllib3

from components.contract.errors import BadInput, StoreUnavailable
from components.contract.terminal import duration

T = TypeVar("T")

VARIABLE = "TAPELINE_WAIT_SECONDS"
DEFAULT_SECONDS = 300.0
LONGEST_PAUSE = 20.0  # seconds between two tries, unless the other side asks for more
EVERY_SECONDS = 60.0  # from one line that says so to the next


@dataclass(frozen=True)
class MayPass:
    """Why a call failed, in a few words, and after how many seconds the other side wants to be asked again."""

    reason: str
    after: float = 0.0


def limit() -> float:
    """Return for how many seconds a call is repeated in all; 0 is never. Raises `BadInput` for what is no number."""
    given = os.environ.get(VARIABLE) or str(DEFAULT_SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise BadInput(f"{VARIABLE}: {given!r} is not a number of seconds; give 0 or more, such as {DEFAULT_SECONDS:g}")
    return seconds


def may_pass(status: int) -> bool:
    """Tell whether an answer with that HTTP status may be another one soon: the server is ill, or has too much to do.

    Not so 501 and 505: what it does not know today, it will not know in five minutes.
    """
    return (status >= 500 and status not in (501, 505)) or status in (408, 429)


def asked(retry_after: str | None) -> float:
    """Return after how many seconds a server wants to be asked again, as its header Retry-After says; 0 by default."""
    try:
        return max(0.0, urllib3.Retry().parse_retry_after(retry_after)) if retry_after else 0.0
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return 0.0


def patiently(what: str, function: Callable[[], T], passing: Callable[[Exception], MayPass | None]) -> T:
    """Return what `function` does, called again while its failure is one that may pass, as `passing` says.

    Any other failure is raised as it is. Where it does not pass in time, raises `StoreUnavailable`, whose sentence is
    "cannot", `what`, the last reason, and how long was waited; or the failure, if it is a `StoreUnavailable` itself.
    """
    began, tries = None, 0
    while True:
        try:
            return function()
        except Exception as error:
            failure = passing(error)
            if failure is None:
                raise
            now, most = time.monotonic(), limit()
            began = now if began is None else began
            waited = now - began
            if waited >= most:
                after = f"waited {duration(waited)}" if tries else "not waited for"
                if isinstance(error, StoreUnavailable):
                    error.add_note(after)
                    raise
                raise StoreUnavailable(f"cannot {what}: {failure.reason} ({after})") from error
        _tell(what, failure.reason, waited, most)
        pause = random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.2 * 2**tries)  # noqa: S311 - so that not all ask at once
        time.sleep(min(max(pause, failure.after), most - waited))
        tries += 1


_telling = threading.Lock()
_told = float("-inf")  # when the last line was, for all threads: they wait for the same store


def _tell(what: str, reason: str, waited: float, most: float) -> None:
    """Say that and why it is waited, when it begins and once a minute, so that nobody takes it for hanging."""
    global _told  # noqa: PLW0603
    with _telling:
        now = time.monotonic()
        if now - _told < (EVERY_SECONDS if waited else 5):
            return
        _told = now
    since = f"since {duration(waited)}, " if waited else ""
    print(f"waiting ({since}for {duration(most)} at most): cannot {what}: {reason}", file=sys.stderr, flush=True)
