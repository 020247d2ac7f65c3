"""An Airflow of the tests' own: it is told where it is before anything of it is imported."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dags.airflow_local import environment
from dags.airflow_settings import PREFIX

HOME = Path(tempfile.mkdtemp(prefix="tapeline-airflow-"))
for _name in [name for name in os.environ if name.startswith((PREFIX, "AIRFLOW_", "AWS_"))]:
    del os.environ[_name]
os.environ |= environment(HOME, 8080)

from tests.airflow.whole import refused, runs, scheduled  # noqa: E402, F401 - fixtures, which import Airflow


@pytest.fixture(scope="session")
def migrated() -> Path:
    """Return the folder of an Airflow whose database is ready."""
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(command, check=True, capture_output=True)
    return HOME


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put last what needs a whole Airflow, so that it is up for as short as can be; at its end it is disturbed."""
    items.sort(key=lambda item: [name in getattr(item, "fixturenames", ()) for name in ("long", "runs")])


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)
