"""The ways in which a step ends badly, each with its exit code.

An orchestrator reads the code: only that of `StoreUnavailable` and `PeerLost` is worth another try.
"""

import errno
import getpass
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from components.contract.terminal import line


class StepError(Exception):
    """The work of the step failed, for a reason that the message tells, in a line or, where there are several, in some.

    What others wrote and is quoted in it cannot make more of them.
    """

    exit_code = 1

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(map(line, lines)))


class BadInput(StepError):
    """A parameter or an input is not what was asked for; the same call will fail again."""

    exit_code = 2


class Blocked(StepError):
    """The work is done, but what came of it must not be built upon; only the named outputs are published."""

    exit_code = 5

    def __init__(self, message: str, outputs: Sequence[str]) -> None:
        super().__init__(message)
        self.outputs = outputs


class StoreRefused(StepError):
    """The object store answered no: wrong secret, no such bucket, no such key; `code` is S3's word for it, if any."""

    exit_code = 3

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(StepError):
    """The object store did not answer, or answered that it cannot now, as long as it was waited for."""

    exit_code = 4


class PeerLost(StepError):
    """Another process that does the step together with this one is not there, or not any more."""

    exit_code = 4


class Terminated(BaseException):
    """SIGTERM, SIGINT or SIGHUP arrived. Not an `Exception`, so that no handler swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__("interrupted" if signal_number == signal.SIGINT else "terminated")
        self.number, self.exit_code = signal_number, 128 + signal_number


def is_disk_full(error: BaseException) -> bool:
    """Tell whether there was no room to write, whoever says so: libraries in C++ or Rust have errors of their own."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(error)


_NO_MEMORY = (
    "Cannot allocate memory",
    "failed to map segment",
    "can't start new thread",
    "without setting an exception",
)


def is_memory_full(error: BaseException | None) -> bool:
    """Tell whether there was no memory, in the words of Python, of the system, or of a library that was to be loaded.

    Python itself may have none left even to say so ("returned NULL without setting an exception").
    """
    while error is not None:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        if isinstance(error, ImportError | RuntimeError | SystemError) and any(
            text in str(error) for text in _NO_MEMORY
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def of_the_machine(error: Exception) -> str:
    """Return what the machine lacks, in a sentence with what to do; nothing where the error is another one."""
    name, number = getattr(error, "filename", None), getattr(error, "errno", None)
    if is_disk_full(error):
        return f"{_what(error)}; make room there (df -h says where there is some), and call again"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{_what(error)}{_owner(name)}; choose a place that you may write to, or have it made yours"
    if is_memory_full(error):
        return "there is not enough memory; give it more (ulimit -v, or the limit of its container), and call again"
    if number == errno.EMFILE:
        return f"{_what(error)}; allow more of them (ulimit -n 4096), and call again"
    return ""


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]


def _owner(name: object) -> str:
    """Return whose the nearest place of that name is, if it is another one's."""
    path = Path(str(name)).absolute() if name else None
    while path and path != path.parent:
        try:
            if path.stat().st_uid == os.geteuid():
                return ""
            return f" ({path} belongs to {path.owner()}, and this is {getpass.getuser()})"
        except (OSError, KeyError):  # it is not there, or nobody has this number
            path = path.parent
    return ""
