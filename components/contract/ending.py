"""How a step is ended by a signal: at once, or, where it asks for that, when it is ready to be.

Python calls a handler between two of its own instructions, so never within a call of compiled code.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from components.contract.errors import Terminated

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def listen() -> None:
    """Have the signals that end a process raise `Terminated`; SIGHUP only where it is not ignored, as by nohup."""
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)


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
    ours = [number for number in SIGNALS if signal.getsignal(number) is _terminate]
    for number in ours:
        signal.signal(number, asked.note)
    try:
        yield asked
    finally:
        for number in ours:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, _terminate)
    asked.end()


def _terminate(number: int, _frame: object) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # once is enough: cleaning up is not to be interrupted
    raise Terminated(number)
