"""Take the picture of a run's graph in Airflow: `make pictures` (needs chromium).

Starts an Airflow of its own, and runs the DAG on a few hundred images.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dags.airflow_local import ROOT, start
from dags.airflow_settings import Settings
from dags.workflow import WORKFLOW
from tests.browser import browser
from tests.waiting import eventually

PORT = 18080
VALUES = {
    "source": str(ROOT / "components/testdata"), "validation_size": 64, "model": "convnet", "batch_size": 32,
    "min_accuracy": 0.2,
}  # fmt: skip


def main() -> None:
    """Run the DAG and take the picture."""
    os.environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS"] = "True"  # nobody has to log in
    os.environ["TAPELINE_AIRFLOW_PARAMETERS"] = json.dumps(VALUES)
    settings = Settings.from_environment(WORKFLOW)
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch,
        start(settings, Path(scratch), PORT) as airflow,
    ):
        airflow.call("PATCH", "dags/tapeline", {"is_paused": False})
        path = "dags/tapeline/dagRuns"
        eventually("end of the runs", lambda: all_ended(airflow.call("GET", path)["dag_runs"]))
        run = airflow.call("POST", path, {"logical_date": None, "conf": {}})["dag_run_id"]
        eventually("end of the run", lambda: all_ended([airflow.call("GET", f"{path}/{run}")]))
        look(f"{airflow.address}/dags/tapeline/runs/{run}", ROOT / "docs/airflow.png")


def all_ended(runs: list[dict[str, Any]]) -> bool:
    """Tell whether there are runs and none is at work."""
    return bool(runs) and all(run["state"] in ("success", "failed") for run in runs)


def look(address: str, picture: Path) -> None:
    """Take the picture of a run with its graph, which is not what Airflow shows first."""
    with browser() as started:
        page = started.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.evaluate("localStorage.setItem('default_dag_view', '\"graph\"')")
        page.goto(address)
        page.locator(".react-flow__node").nth(4).wait_for()
        page.wait_for_timeout(3000)  # until it has settled
        page.screenshot(path=picture)


if __name__ == "__main__":
    main()
