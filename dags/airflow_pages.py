"""The reports of a run, through Airflow's own address: the store need not be reachable from a browser.

Who may see a task may see its report. What is shown is what the manifest says, and it may do nothing but be looked at.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

from components.contract.declaration import Component, Output
from components.contract.errors import StepError
from dags.airflow_places import belongs
from dags.airflow_settings import dag_ids
from dags.definition import Workflow

HEADERS = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-cache",
}


def reports_of(component: Component) -> Iterator[Output]:
    """Yield the outputs of a component that are pages."""
    return (item for item in component.outputs if item.kind == "HTML")


def address_of(workflow: Workflow, run: tuple[str, str], component: Component, output: Output) -> str:
    """Return the address of a report, as seen from Airflow's first page; `run` is DAG and run id."""
    return "/".join(quote(part, safe="") for part in (workflow.name, *run, component.name, output.name))


class Report(BaseOperatorLink):
    """The link on a task to a report of it; none where the step did not come to write it."""

    def __init__(self, workflow: Workflow, component: Component, output: Output) -> None:
        self.workflow, self.component, self.output = workflow, component, output

    @property
    def name(self) -> str:
        """Return what the button says."""
        return self.output.name.replace("_", " ").capitalize()

    @property
    def xcom_key(self) -> str:
        """Return the key under which Airflow keeps the address."""
        return f"_link_{self.output.name}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - the interface of a link
        """Return the address; called in the worker when the task has ended."""
        if not XCom.get_value(ti_key=ti_key, key=self.output.name):
            return ""
        return address_of(self.workflow, (ti_key.dag_id, ti_key.run_id), self.component, self.output)


def pages(workflow: Workflow) -> Any:
    """Return the application that Airflow's API server is to mount."""
    from airflow.api_fastapi.app import get_auth_manager  # noqa: PLC0415 - no other process has or needs these
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity  # noqa: PLC0415
    from airflow.api_fastapi.common.db.common import SessionDep  # noqa: PLC0415
    from airflow.api_fastapi.core_api.security import requires_access_dag  # noqa: PLC0415
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from airflow.models.xcom import XComModel  # noqa: PLC0415
    from fastapi import Depends, FastAPI, HTTPException, Request  # noqa: PLC0415
    from fastapi.exception_handlers import http_exception_handler  # noqa: PLC0415
    from fastapi.responses import HTMLResponse, RedirectResponse, Response  # noqa: PLC0415

    from components.contract.store.client import Store  # noqa: PLC0415

    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    declared = {
        (task.name, item.name): (task.component, item) for task in workflow.tasks for item in reports_of(task.component)
    }
    may_see = Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))

    @application.exception_handler(401)
    async def log_in(request: Request, error: HTTPException) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return await http_exception_handler(request, error)
        return RedirectResponse(get_auth_manager().get_url_login(next_url=request.url.path))

    @application.get("/{dag_id}/{run_id}/{step}/{output}", dependencies=[may_see])
    def report(dag_id: str, run_id: str, step: str, output: str, session: SessionDep) -> HTMLResponse:
        runs = session.query(DagRun.id).filter(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        if (step, output) not in declared or dag_id not in dag_ids(workflow) or not runs.first():
            raise HTTPException(404, "there is no such report")
        _, item = declared[step, output]
        where = {"dag_ids": dag_id, "run_id": run_id, "task_ids": step, "key": output}
        handed = session.scalars(XComModel.get_many(**where)).first()
        place = XComModel.deserialize_value(handed)["uri"] if handed else ""
        if not belongs(place, (dag_id, run_id), step):
            raise HTTPException(404, f"{step} has not written this report, or the run no longer says where")
        try:
            store = Store.from_environment()
            if not store.manifest(place):
                raise HTTPException(404, f"this report is no longer there: {place}")
            with tempfile.TemporaryDirectory() as folder:
                store.fetch(place, Path(folder))
                return HTMLResponse((Path(folder) / item.file).read_bytes(), headers=HEADERS)
        except StepError as error:
            raise HTTPException(502, str(error)) from error

    return application
