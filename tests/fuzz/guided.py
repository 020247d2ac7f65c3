"""Fuzz one parser: `python guided.py NAME FOLDER [libFuzzer's options]`, called by __main__.py."""

import contextlib
import os
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2]))

# What is counted is which lines of these are reached, and of the standard library's readers that are in Python.
OURS = ["components.artifacts", "components.contract", "components.ingest", "dags", "tarfile", "zipfile", "PIL"]

with atheris.instrument_imports(include=OURS):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run libFuzzer, which ends the process."""
    target = TARGETS[sys.argv.pop(1)]

    def once(content: bytes) -> None:
        with open(os.devnull, "w", encoding="utf-8") as nothing, contextlib.redirect_stdout(nothing):  # noqa: PTH123
            target(content)

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
