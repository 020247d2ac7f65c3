"""Take the picture of a run's graph in Airflow: `make pictures` (needs chromium).

Starts an Airflow of its own, in which the DAG runs on a few hundred images as soon as it may.
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
        run = eventually("run", lambda: ended(airflow.call("GET", "dags/tapeline/dagRuns")["dag_runs"]))
        look(f"{airflow.address}/dags/tapeline/runs/{run}", ROOT / "docs/airflow.png")


def ended(runs: list[dict[str, Any]]) -> str:
    """Return the id of the run that has ended; empty as long as there is none."""
    return next((run["dag_run_id"] for run in runs if run["state"] in ("success", "failed")), "")


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
