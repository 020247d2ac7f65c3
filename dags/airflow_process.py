"""A step as a process that ends with its Airflow task.

A container is such a process as well, since `docker run` passes signals on and the exit code back. So it ends with its
task, also when Airflow is killed, which Airflow's DockerOperator, a client of the daemon, cannot promise.
"""

import contextlib
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from components.contract.errors import BadInput, Blocked, StoreRefused
from components.contract.processes import tie_this_process, tied

ROOT = Path(__file__).parent.parent
FINAL = (BadInput.exit_code, Blocked.exit_code, StoreRefused.exit_code)  # the same call would end in the same way
GRACE_SECONDS = 4  # Airflow kills a task after 5


class Step(BaseOperator):
    """Runs a step as a process, and ends with it."""

    template_fields: Sequence[str] = ("arguments",)

    def __init__(self, *, command: Sequence[str], arguments: Sequence[str], **options: Any) -> None:
        super().__init__(**options)
        self.command = command
        self.arguments = arguments
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Context) -> None:  # noqa: ARG002 - the operator's interface
        """Run the step; its lines are the task's log. Raises for every exit code but 0."""
        tie_this_process(signal.SIGTERM)  # if Airflow is killed, this task must not go on alone
        self._process = subprocess.Popen(
            tied([*self.command, *self.arguments], signal.SIGTERM), cwd=ROOT, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,  # signals reach the step through on_kill alone
        )  # fmt: skip
        assert self._process.stdout
        with self._process:
            for line in self._process.stdout:
                self.log.info("%s", line.rstrip("\n"))
        if code := self._process.returncode:
            raise failure(self.task_id, code)

    def on_kill(self) -> None:
        """End the step. What it has not published by now is not there."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_SECONDS)
            self._process.kill()


def failure(name: str, code: int) -> AirflowException:
    """Return what to raise for an exit code: bad input is not tried again."""
    if code in FINAL:
        return AirflowFailException(f"{name} ended with exit code {code}: the same call would end in the same way")
    return AirflowException(f"{name} ended with exit code {code}; its last lines say why")
