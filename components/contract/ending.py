"""How a step is ended by a signal: at once, or, where it asks for that, when it is ready to be.

Python calls a handler between two of its own instructions, so never within a call of compiled code. But compiled code
may have called Python: what a handler raises there may be dropped, or come out as another error, so it is kept.
"""

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from components.contract.errors import Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
AGAIN_SECONDS = 0.01  # after which a signal comes again that was lost
_raised: list[Terminated] = []  # at most one


def listen() -> None:
    """Have the signals that end a process raise `Terminated`; SIGHUP only where it is not ignored, as by nohup."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    sys.unraisablehook = _not_lost


def raised() -> Terminated | None:
    """Return what a signal has raised in this process, whatever became of it."""
    return _raised[0] if _raised else None


class Asked:
    """Whether the process was asked to end, and by which signal."""

    def __init__(self) -> None:
        self.number: signal.Signals | None = None

    def note(self, number: int, frame: object) -> None:
        """Keep the first signal in mind; end at once if it comes again.

        Another one may be the first in other words: Ctrl-C reaches a step and who started it, who sends SIGTERM then.
        """
        if number == self.number:
            _terminate(number, frame)
        self.number = self.number or signal.Signals(number)

    def note_from_elsewhere(self, number: int) -> None:
        """Keep in mind that another process of the step was asked to end."""
        self.number = self.number or signal.Signals(number)

    def end(self) -> None:
        """Raise `Terminated` if the process was asked to end."""
        if self.number:
            _terminate(self.number, None)


@contextmanager
def held() -> Iterator[Asked]:
    """Hold the signals back that end a process: they are noted, and whoever asked for this looks, and ends it."""
    asked = Asked()
    main = threading.current_thread() is threading.main_thread()  # no other one is ever interrupted
    ours = [number for number in SIGNALS if main and signal.getsignal(number) is _terminate]
    for number in ours:
        signal.signal(number, asked.note)
    try:
        yield asked
    finally:
        for number in ours:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _terminate)
    asked.end()


@contextmanager
def temporary_folder(prefix: str = "tapeline-", parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder that is gone afterwards, also if a signal comes as it is being made or removed."""
    with held():
        made = tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True)
    try:
        yield Path(made.name)
    finally:
        with held():
            made.cleanup()


def _not_lost(lost: "sys.UnraisableHookArgs") -> None:
    """Have a signal come again that came in a destructor or a callback, from where no exception gets out."""
    if not isinstance(lost.exc_value, Terminated):
        sys.__unraisablehook__(lost)
        return
    number = lost.exc_value.number
    signal.signal(number, _terminate)
    threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), number)).start()


def _terminate(number: int, _frame: object) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: cleaning up is not to be interrupted
    _raised[:] = [Terminated(number)]
    raise _raised[0]
