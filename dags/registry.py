"""The registry of `make run`: `python -m components.artifacts.registry`, with the store of this machine up for it.

python -m dags.registry list|show|promote|rollback|verify
"""

import os
import sys

from components.artifacts.registry import __main__ as command
from components.artifacts.registry.shelf import VARIABLE
from components.contract.command import guard
from components.contract.store.embedded import serve
from dags.local_steps import BUCKET, ROOT


def main() -> None:
    """Do what the command line says; a registry that the environment names is taken instead of this machine's."""
    if os.environ.get(VARIABLE) or any(argument.startswith("--registry") for argument in sys.argv):
        command.main()
        return
    with serve(ROOT / "run" / "store", BUCKET) as settings:
        os.environ.update(settings)
        os.environ[VARIABLE] = f"s3://{BUCKET}/registry"
        command.main()


if __name__ == "__main__":
    guard("registry", main)
