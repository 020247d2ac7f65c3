"""Take the picture of a run's graph in Airflow: `make pictures` (needs chromium).

Starts an Airflow of its own, runs the DAG on a few hundred images, and has headless Chromium look, by its protocol
https://chromedevtools.github.io/devtools-protocol/.
"""

import base64
import itertools
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from dags.airflow_local import ROOT, start
from dags.airflow_settings import Settings
from dags.workflow import WORKFLOW
from tests.waiting import eventually

PORT = 8080
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
        look(f"{airflow.address}/dags/tapeline/runs/{run}", Path(scratch) / "chromium", ROOT / "docs/airflow.png")


def all_ended(runs: list[dict[str, Any]]) -> bool:
    """Tell whether there are runs and none is at work."""
    return bool(runs) and all(run["state"] in ("success", "failed") for run in runs)


def look(address: str, profile: Path, picture: Path) -> None:
    """Take the picture of the graph at that address."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={profile}", "--remote-debugging-port=0", "--window-size=1280,800"]
    with subprocess.Popen(["chromium", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as browser:
        try:
            port_file = profile / "DevToolsActivePort"
            port, place = eventually("browser", lambda: port_file.is_file() and port_file.read_text()).split()
            with connect(f"ws://127.0.0.1:{port}{place}", max_size=None) as connection:
                take(Page(connection, address), address, picture)
        finally:
            browser.terminate()


class Page:
    """A page of the browser."""

    def __init__(self, connection: ClientConnection, address: str) -> None:
        self.connection = connection
        self.numbers = itertools.count()
        self.session: dict[str, str] = {}
        target = self.ask("Target.createTarget", url=address)["targetId"]
        self.session = {"sessionId": self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}

    def ask(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol and return its result."""
        number = next(self.numbers)
        self.connection.send(json.dumps({"id": number, "method": method, "params": parameters} | self.session))
        while (answer := json.loads(self.connection.recv(60))).get("id") != number:
            pass
        return answer["result"]

    def run(self, script: str) -> Any:
        """Return the value of a script."""
        return self.ask("Runtime.evaluate", expression=script)["result"].get("value")


def take(page: Page, address: str, picture: Path) -> None:
    """Take the picture of the graph, which is not what Airflow shows first."""
    eventually("page", lambda: page.run("location.host && document.readyState == 'complete'"))
    page.run("localStorage.setItem('default_dag_view', '\"graph\"')")
    page.ask("Page.navigate", url=address)
    eventually("graph", lambda: page.run("document.querySelectorAll('.react-flow__node').length >= 5"))
    time.sleep(3)  # until it has settled
    picture.write_bytes(base64.b64decode(page.ask("Page.captureScreenshot")["data"]))


if __name__ == "__main__":
    main()
