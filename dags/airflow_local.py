"""Run a whole Airflow on this machine's loopback, with the DAGs and an embedded S3 server: `make airflow`.

The DAGs' settings are those of the environment (docs/airflow-settings.md). Everything is kept in the folder, and the
next start goes on from there; Ctrl-C ends all that was started.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from components.contract.command import Parser, guard
from components.contract.errors import BadInput, StepError
from components.contract.processes import adopt_orphans, tied
from components.contract.store.embedded import serve
from dags.airflow_settings import PREFIX, Settings, dag_ids
from dags.definition import Workflow
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent
NAMES = ("api-server", "scheduler", "dag-processor", "triggerer")
HOST = "127.0.0.1"
READY_SECONDS = 180
STOP_SECONDS = 20
USER = "admin"


def main(workflow: Workflow) -> None:
    """Parse the command line, start everything, and wait for Ctrl-C."""
    guard("airflow", lambda: run(workflow, parse(sys.argv[1:])))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = Parser(prog="make airflow ARGS='…'", usage="%(prog)s", description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "run/airflow", help="where everything is kept")
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's pages and API (default: 8080)")
    parser.add_argument("--unpause", action="store_true", help="let the DAGs run on their schedule")
    return parser.parse_args(arguments)


def run(workflow: Workflow, options: argparse.Namespace) -> None:
    """Keep a whole Airflow up until this process is told to end."""
    settings = Settings.from_environment(workflow)
    if settings.runner == "kubernetes":
        raise BadInput(
            f"{PREFIX}RUNNER: pods cannot reach this machine's loopback; give Airflow a place in the cluster"
        )
    print("starting Airflow, which takes a minute", flush=True)
    with start(settings, options.folder.absolute(), options.port) as airflow:
        if options.unpause:
            for dag in dag_ids(workflow):
                airflow.call("PATCH", f"dags/{dag}", {"is_paused": False})
        print(f"Airflow is at {airflow.address}, user {USER}, password {airflow.password}")
        print(
            f"its logs are in {os.path.relpath(airflow.folder)}, the store at {airflow.environment['AWS_ENDPOINT_URL']}"
        )
        print("Ctrl-C ends it", flush=True)
        airflow.watch()


@contextlib.contextmanager
def start(settings: Settings, folder: Path, port: int) -> Iterator["Airflow"]:
    """Start the store and Airflow, yield it as soon as it is healthy, and end all of it in every case.

    Raises `BadInput` for a port that is taken or a folder in use; `StepError` if Airflow fails.
    """
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise BadInput(f"port {port} is in use; end what uses it, or give another --port")
    with serve(folder / "store", settings.store.split("/")[2]) as store:
        variables = os.environ | environment(folder, port) | store
        # Other clients than ours, such as that of Airflow's logs, take an empty name for one.
        variables = {name: value for name, value in variables.items() if value or name not in store}
        airflow = Airflow(folder, port, variables)
        try:
            airflow.start()
            airflow.call("POST", "pools", {"name": settings.gpu_pool, "slots": 1}, refused=409)
            yield airflow
        finally:
            airflow.stop()


def environment(folder: Path, port: int) -> dict[str, str]:
    """Return the environment of an Airflow that is kept in the folder and listens on the loopback alone."""
    path = os.environ.get("PYTHONPATH")
    settings = {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT),
        "AIRFLOW_HOME": str(folder),
        # SQLite has one writer at a time, and gives up after five seconds unless told otherwise.
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db?timeout=60",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "dags/plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://{HOST}:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://{HOST}:{port}",
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    }
    if os.environ.get(f"{PREFIX}RUNNER") == "docker" and f"{PREFIX}DOCKER_OPTIONS" not in os.environ:
        settings[f"{PREFIX}DOCKER_OPTIONS"] = "--network=host"  # the store is on this machine's loopback
    return settings


class Airflow:
    """Airflow's processes, their API, and how they end."""

    def __init__(self, folder: Path, port: int, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.address = f"http://{HOST}:{port}"
        self.password = _password(folder / "passwords.json")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._others = {process.pid for process in psutil.Process().children()}  # the store's
        self._token = ""

    def start(self) -> None:
        """Prepare the database, start everything, and wait until it is healthy."""
        adopt_orphans()  # a task whose worker is gone must still be found
        migrated = self.launch("db", "migrate").wait()
        if migrated:
            raise self._failed("db", migrated)
        for name in NAMES:
            self.launch(name, *(["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []))
        end = time.monotonic() + READY_SECONDS
        while not self._healthy():
            self._still_there()
            if time.monotonic() > end:
                raise StepError(f"Airflow is not up after {READY_SECONDS} s; its logs are in {self.folder}")
            time.sleep(0.5)

    def launch(self, name: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start `airflow NAME`; its output goes to a file of that name."""
        command = [sys.executable, "-m", "airflow", name, *arguments]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                tied(command, signal.SIGTERM), env=self.environment, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
            )  # fmt: skip
        self.processes[name] = process
        return process

    def watch(self) -> None:
        """Wait; raise `StepError` when one of the processes has ended."""
        while True:
            self._still_there()
            time.sleep(1)

    def call(self, method: str, path: str, body: Any = None, *, refused: int = 0) -> Any:
        """Call Airflow's API and return its answer; an answer of code `refused` is taken for a yes."""
        headers = {"Authorization": f"Bearer {self.token()}"}
        answer = httpx.request(method, f"{self.address}/api/v2/{path}", json=body, headers=headers, timeout=120)
        if answer.is_error and answer.status_code != refused:
            raise StepError(f"Airflow refuses {method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def token(self) -> str:
        """Return what the one user calls the API with."""
        if not self._token:
            given = {"username": USER, "password": self.password}
            self._token = httpx.post(f"{self.address}/auth/token", json=given).raise_for_status().json()["access_token"]
        return self._token

    def stop(self) -> None:
        """End every process that was started, and whatever those started; the API server last.

        Until then a task that is ended can say so, and is tried again at the next start.
        """
        server = {process.pid for name, process in self.processes.items() if name == "api-server"}
        end_all(self._others | server, STOP_SECONDS)
        end_all(self._others, STOP_SECONDS)
        for process in self.processes.values():
            process.wait()  # it has ended; this takes note of it

    def _healthy(self) -> bool:
        with contextlib.suppress(httpx.HTTPError, ValueError):
            parts = httpx.get(f"{self.address}/api/v2/monitor/health", timeout=5).raise_for_status().json()
            return all(part["status"] == "healthy" for part in parts.values())
        return False

    def _still_there(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None and name != "db":
                raise self._failed(name, process.returncode)

    def _failed(self, name: str, code: int) -> StepError:
        return StepError(f"airflow {name} ended with exit code {code}; its log is {self.folder / name}.log")


def end_all(spared: set[int], seconds: float) -> None:
    """End the descendants of this process but those spared and theirs: asked first, killed after some seconds."""
    asked: set[int] = set()
    end = time.monotonic() + seconds
    while True:
        kept = spared | {child.pid for pid in spared for child in _descendants(pid)}
        left = [process for process in _descendants(os.getpid()) if process.pid not in kept]
        if not left:
            return
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                if time.monotonic() > end:
                    process.kill()
                elif process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
        psutil.wait_procs(left, timeout=0.2)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _password(path: Path) -> str:
    """Return the password of the one user, made at the first start and for the user's eyes only."""
    if not path.is_file():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({USER: secrets.token_urlsafe(12)}, file)
    password: str = json.loads(path.read_text(encoding="utf-8"))[USER]
    return password


if __name__ == "__main__":
    main(WORKFLOW)
