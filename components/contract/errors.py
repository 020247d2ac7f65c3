"""The ways in which a step ends badly, each with its exit code.

An orchestrator reads the code: only `StoreUnavailable` is worth another try.
"""

from collections.abc import Sequence


class StepError(Exception):
    """The work of the step failed, for a reason that the message tells."""

    exit_code = 1


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
    """The object store answered no: wrong secret, no such bucket, no such key."""

    exit_code = 3


class StoreUnavailable(StepError):
    """The object store did not answer, or answered that it cannot now, after every retry."""

    exit_code = 4


class Terminated(BaseException):
    """SIGTERM or SIGINT arrived. Not an `Exception`, so that no handler swallows it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number
