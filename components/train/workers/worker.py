"""A worker of a training, and what one that starts workers has to know of them."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from components.contract import rendezvous
from components.contract.errors import BadInput, Blocked, StepError, StoreRefused
from components.contract.processes import tied
from components.train.component import COMPONENT

FINAL = (StepError.exit_code, BadInput.exit_code, StoreRefused.exit_code, Blocked.exit_code)
NOT_FOR_WORKERS = ("MLFLOW_TRACKING_URI",)  # who starts them notes the run


@dataclass(frozen=True)
class Ended:
    """How a worker ended."""

    who: str
    code: int  # negative for a signal
    sentence: str = ""  # its last one
    how: str = ""  # in place of the code, for one that did not come to end

    @property
    def may_pass(self) -> bool:
        """Whether another try may end better."""
        return self.code not in FINAL

    def __str__(self) -> str:
        how = f"was ended by {signal.Signals(-self.code).name}" if self.code < 0 else f"ended with code {self.code}"
        return f"{self.who} {self.how or how}{f': {self.sentence}' if self.sentence else ''}"


class Launcher(Protocol):
    """Where the workers 1, 2, … are."""

    host: str  # where they find the chief

    def start(self, place: str) -> None:
        """Have them run, and come to the chief at `place`, host:port; none of an earlier try is left."""

    def ended(self) -> list[Ended]:
        """Return those that have ended badly."""

    def stop(self) -> None:
        """End those that are still there, and leave nothing behind."""


@dataclass
class Process:
    """A worker that is a process of this machine."""

    who: str
    process: subprocess.Popen[str]
    prefix: str = ""
    said: list[str] = field(default_factory=list)  # its last sentences, for who started it to say
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._pass_on, daemon=True)
        self.reader.start()

    @classmethod
    def begin(cls, number: int, count: int, arguments: list[str], place: str, scratch: Path) -> "Process":
        """Start the command of the step as worker `number`; the chief's output is this process's."""
        env = {name: value for name, value in os.environ.items() if name not in NOT_FOR_WORKERS}
        env |= {rendezvous.PLACE: place, rendezvous.NUMBER: str(number), "TMPDIR": str(scratch)}
        process = subprocess.Popen(
            tied([sys.executable, "-m", f"components.{COMPONENT.name}", *arguments], signal.SIGTERM),
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if number else None, stderr=subprocess.PIPE,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        who = f"worker {number} of {count}" if number else "the chief"
        return cls(who, process, f"worker {number}: " if number else "")

    def _pass_on(self) -> None:
        """Show what it says, but its last sentence, which is for this process to say."""
        out = threading.Thread(target=self._show, args=(self.process.stdout, sys.stdout), daemon=True)
        out.start()
        for line in self.process.stderr or ():
            if line.startswith(f"{COMPONENT.name}: "):
                self.said.append(line.removeprefix(f"{COMPONENT.name}: ").strip())
            else:
                print(f"{self.prefix}{line}", end="", file=sys.stderr, flush=True)
        out.join()

    def _show(self, source: TextIO | None, target: TextIO) -> None:
        for line in source or ():
            print(f"{self.prefix}{line}", end="", file=target, flush=True)

    def ended(self) -> Ended | None:
        """Return how it ended; None while it is there."""
        code = self.process.poll()
        if code is None:
            return None
        self.reader.join(5)
        return Ended(self.who, code, "; ".join(self.said))

    def stop(self, seconds: float) -> None:
        """End it, at once after so many seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
