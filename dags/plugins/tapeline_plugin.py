"""What tapeline adds to Airflow's own pages, for Airflow's plugins folder: the reports of a run, and its note."""  # noqa: INP001

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from dags import airflow_notes
from dags.airflow_pages import pages
from dags.workflow import WORKFLOW


class TapelinePlugin(AirflowPlugin):
    """Reports for the API server, notes for the scheduler."""

    name = WORKFLOW.name
    listeners = [airflow_notes]  # noqa: RUF012 - the interface of a plugin

    @cached_property
    def fastapi_apps(self) -> list[Any]:
        """Return the reports; only the API server asks for them."""
        return [{"app": pages(WORKFLOW), "url_prefix": f"/{WORKFLOW.name}", "name": WORKFLOW.name}]
