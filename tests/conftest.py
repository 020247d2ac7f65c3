"""Which tests run in which environment, and the run that those of `make run` share."""

import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

# kfp and Airflow want what the steps, and each other, forbid; so the tests of each have an environment of their own.
NEEDS = {"kubeflow": "kfp", "airflow": "airflow"}
LOCAL = ("test_study.py", "test_local.py", "test_local_ends.py", "test_local_runs.py")
OTHERS = ("pages", "soak", "test_docs.py", "test_fifth_step.py", "test_tracking.py", "test_tracking_faults.py")
NEEDS |= dict.fromkeys((*OTHERS, *LOCAL), "tensorflow")
collect_ignore = [name for name, package in NEEDS.items() if find_spec(package) is None]


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder of a first run, and what it printed."""
    from tests.local import call  # noqa: PLC0415 - the other environments have no use for it

    folder = tmp_path_factory.mktemp("local") / "run"
    done = call(folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder, done.stdout


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    """Return a browser, the one of all tests: there can be only one at a time in a process."""
    from tests.browser import browser, chromium  # noqa: PLC0415 - the Kubeflow environment has none

    if not chromium():
        pytest.skip("there is no Chromium: as root, apt-get install chromium")
    with browser() as started:
        yield started


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the variables of MLflow, and no others of them."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)

    def set_(address: str, **variables: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        for name, value in variables.items():
            monkeypatch.setenv(f"MLFLOW_{name}", value)

    return set_
