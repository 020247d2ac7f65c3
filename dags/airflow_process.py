"""A step as a process that ends with its Airflow task.

A container is such a process as well, since `docker run` passes signals on and the exit code back. So it ends with its
task, also when Airflow is killed, which Airflow's DockerOperator, a client of the daemon, cannot promise.
"""

import contextlib
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout

from components.contract.errors import BadInput, Blocked, StepError, StoreRefused
from components.contract.processes import tie_this_process, tied

T = TypeVar("T", bound=BaseException)

ROOT = Path(__file__).parent.parent
FINAL = (BadInput.exit_code, Blocked.exit_code, StoreRefused.exit_code)  # the same call would end in the same way
_HINTS = dict.fromkeys(FINAL, ": the same call would end in the same way")
KILLED = (-9, 137)
_HINTS |= dict.fromkeys(KILLED, ": it was killed, as when memory is short")
_HINTS |= dict.fromkeys((-15, 143), ": it was ended from outside")
NOT_STARTED = 125  # by Docker
FAILURE = "failure"  # the XCom with sentence and exit code of a task's failure
GRACE_SECONDS = 4  # Airflow kills a task after 5


class Step(BaseOperator):
    """Runs a step as a process, and ends with it."""

    template_fields: Sequence[str] = ("arguments", "variables")

    def __init__(
        self,
        *,
        command: Sequence[str],
        arguments: Sequence[str],
        on_blocked: Callable[[Context], None],
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.command = command
        self.variables = variables or {}
        self.arguments = arguments
        self.on_blocked = on_blocked
        self._process: subprocess.Popen[str] | None = None

    @property
    def called_with(self) -> Sequence[str]:
        """Return the arguments of the step."""
        return self.arguments

    def execute(self, context: Context) -> None:
        """Run the step; its lines are the task's log. Raises for every exit code but 0."""
        tie_this_process(signal.SIGTERM)  # if Airflow is killed, this task must not go on alone
        self._process = subprocess.Popen(
            tied([*self.command, *self.arguments], signal.SIGTERM), cwd=ROOT, text=True, errors="replace",
            env={**self.variables, **os.environ},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # signals reach the step through on_kill alone
        )  # fmt: skip
        assert self._process.stdout
        lines: deque[str] = deque(maxlen=100)
        with self._process:
            try:
                for line in self._process.stdout:
                    lines.append(line.rstrip())
                    self.log.info("%s", lines[-1])
            except AirflowTaskTimeout:
                self.on_kill()
                raise told(context["ti"], AirflowTaskTimeout(late(self, lines))) from None
        if (code := self._process.returncode) == Blocked.exit_code:
            self.on_blocked(context)
        if code:
            raise failure(context["ti"], self.task_id, code, list(lines))

    def on_kill(self) -> None:
        """End the step. What it has not published by now is not there."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
            self._process.kill()


def failure(ti: Any, name: str, code: int, lines: Sequence[str], why: str = "") -> AirflowException:
    """Return what to raise for an exit code and the last lines of a step; bad input is not tried again.

    It says what the step said, and `why` it ended where something else than the step knows, as that is all that an
    alert or a filter for errors gets to see.
    """
    said = "" if code in KILLED else sentence(name, lines, code)
    ended = f"exit code {code}{_HINTS.get(code, '')}{f' ({why})' if why else ''}"
    kind = AirflowFailException if code in FINAL else AirflowException
    last = f"; its last line: {lines[-1]}" if lines and lines[-1] else ""
    return told(ti, kind(f"{said} ({ended})" if said else f"{name} ended with {ended}{last}"), code)


def late(task: BaseOperator, lines: Sequence[str]) -> str:
    """Return a sentence about a step that takes longer than it may."""
    assert task.execution_timeout
    last = f"; its last line: {lines[-1]}" if lines else ""
    return f"{task.task_id}: it was ended after {task.execution_timeout.total_seconds():.0f} s, its time limit{last}"


def sentence(name: str, lines: Sequence[str], code: int) -> str:
    """Return what a step, or the command that starts it, said of its failure; empty if it said nothing."""
    begins = [index for index, line in enumerate(lines) if line.startswith((f"{name}: ", "docker: ", "setpriv: "))]
    if begins:
        return "\n".join(takewhile(lambda line: line and not line.startswith("Traceback"), lines[begins[-1] :]))
    if code in (StepError.exit_code, NOT_STARTED):  # the last line of a traceback, or what Docker does not understand
        return next(
            (line for line in reversed(lines) if line and not line.startswith(("See '", "Run '", "Usage: "))), ""
        )
    return ""


def told(ti: Any, error: T, code: int = 0) -> T:
    """Return the error, and leave its sentence where the run's note finds it."""
    ti.xcom_push(FAILURE, {"sentence": str(error), "exit_code": code})
    return error
