"""A failure callback as a deployment may have one: it notes what failed."""

import os
from pathlib import Path
from typing import Any


def note(context: Any) -> None:
    """Append the task's name and its exception to the file that ALARMS names."""
    with Path(os.environ["ALARMS"]).open("a") as file:
        file.write(f"{context['ti'].task_id}: {context['exception']}\n")
