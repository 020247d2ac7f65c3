"""What posts a notice when a run of a DAG has ended: a callback, which Airflow's DAG processor calls."""

import logging
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from airflow.sdk import Context
from airflow.sdk.configuration import conf
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from dags.airflow_process import FAILURE
from dags.definition import Workflow
from dags.notice import FAILED, FINISHED, URL, Notice, changed, judged, post


def callbacks(workflow: Workflow) -> dict[str, Any]:
    """Return the callbacks of a DAG: none where there is no address to post to."""
    if not os.environ.get(URL):
        return {}
    return {"on_success_callback": _teller(workflow, FINISHED), "on_failure_callback": _teller(workflow, FAILED)}


def _teller(workflow: Workflow, state: str) -> Callable[[Context], None]:
    def tell(context: Context) -> None:
        if warning := post(_notice(workflow, state, context)):
            logging.getLogger(__name__).warning(warning)

    return tell


def _notice(workflow: Workflow, state: str, context: Context) -> Notice:
    """Return the notice, from what the tasks of the run have handed over."""
    dag, run, gate = context["dag"].dag_id, context["run_id"], workflow.gate
    states = RuntimeTaskInstance.get_task_states(dag_id=dag, run_ids=[run]).get(run, {})

    def said(task: str, key: str) -> Any:
        return XCom.get_one(key=key, dag_id=dag, task_id=task, run_id=run) or {}

    # What a task said before it was cleared does not count, nor what a try said before the next one went well.
    judge = gate.component.name
    figures = said(judge, gate.output) if states.get(judge) == "success" else {}
    sentences = [gate.says(figures)] if figures else []
    sentences += [said(task, FAILURE).get("sentence", "") for task, ended in states.items() if ended == "failed"]
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    return Notice(
        workflow.name,
        run,
        "airflow",
        state,
        "; ".join(filter(None, sentences))
        or (state if state == FINISHED else f"{state}; the log of its task says why"),
        parameters=changed(workflow, dict(context.get("params", {}))),
        link=base and f"{base}/dags/{quote(dag, safe='')}/runs/{quote(run, safe='')}",
        **judged(workflow, figures),
    )
