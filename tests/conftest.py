"""Which tests run in which environment, and the run that those of `make run` share."""

from importlib.util import find_spec
from pathlib import Path

import pytest

# kfp and Airflow want what the steps, and each other, forbid; so the tests of each have an environment of their own.
NEEDS = {"kubeflow": "kfp", "airflow": "airflow"}
LOCAL = ("test_local.py", "test_local_ends.py", "test_local_runs.py")
NEEDS |= dict.fromkeys(("pages", "test_docs.py", "test_fifth_step.py", *LOCAL), "tensorflow")
collect_ignore = [name for name, package in NEEDS.items() if find_spec(package) is None]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a first run, and what it printed."""
    from tests.local import call  # noqa: PLC0415 - the other environments have no use for it

    folder = tmp_path_factory.mktemp("local") / "run"
    done = call(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout
