"""An Airflow of the tests' own: it is told where it is before anything of it is imported."""

import os
import shutil
import tempfile
from pathlib import Path

from dags.airflow_local import environment
from dags.airflow_settings import PREFIX

HOME = Path(tempfile.mkdtemp(prefix="tapeline-airflow-"))
for _name in [name for name in os.environ if name.startswith((PREFIX, "AIRFLOW_", "AWS_"))]:
    del os.environ[_name]
os.environ |= environment(HOME, 8080)


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)
