"""What tests of `make run` share: a small run on a few hundred real images, and what is at work in a folder."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from components.conftest import DIGITS

SMALL = (f"--source={DIGITS}", "--validation-size=64", "--model=convnet", "--batch-size=32", "--epochs=2")
RUN = (sys.executable, "-m", "dags.local")
# A store of the user's own, which must not be mistaken for the run's.
ELSEWHERE = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_SESSION_TOKEN": "elsewhere"}


def call(
    folder: Path, *arguments: str, before: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the workflow on the small data, after the words of `before`."""
    return subprocess.run(
        [*before, *RUN, f"--folder={folder}", *SMALL, *arguments], check=False, capture_output=True, text=True,
        env=os.environ | ELSEWHERE | environment,
    )  # fmt: skip


def servers_of(folder: Path) -> list[str]:
    """Return the processes whose command line names the folder: its server, if it runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if f"-dir={folder}" in line:
            found.append(path.parent.name)
    return found


def wait_for(process: subprocess.Popen[str], beginning: str) -> None:
    """Read what a process prints until a line begins so."""
    assert process.stdout
    while not process.stdout.readline().startswith(beginning):
        assert process.poll() is None
