"""The note of a run, which Airflow shows first: how good the model is or what failed, with what, and the reports.

These functions are called by the scheduler, the only process that knows of a run's end and may write to the database.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from airflow.listeners import hookimpl

from dags.airflow_pages import address_of, reports_of
from dags.airflow_process import FAILURE
from dags.airflow_settings import Settings, dag_ids
from dags.definition import Workflow
from dags.notice import changed
from dags.workflow import WORKFLOW

LONGEST = 1000  # what the database keeps of a note


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:  # noqa: ARG001 - the listener's interface
    """Write the note of a run that succeeded."""
    write_note(WORKFLOW, dag_run, "")


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:  # noqa: ARG001
    """Write the note of a run that failed."""
    write_note(WORKFLOW, dag_run, "failed; the log of the failed task says why")


def write_note(workflow: Workflow, dag_run: Any, otherwise: str) -> None:
    """Give a run of the workflow its note, unless a person has written one; `otherwise` if no task said anything."""
    from airflow.models.taskinstance import TaskInstance  # noqa: PLC0415
    from airflow.models.xcom import XComModel  # noqa: PLC0415 - plugins are loaded before the database is ready
    from sqlalchemy import select  # noqa: PLC0415
    from sqlalchemy.orm import object_session  # noqa: PLC0415

    session, there = object_session(dag_run), dag_run.dag_run_note
    if dag_run.dag_id not in dag_ids(workflow) or not session or (there and there.user_id):
        return
    mine = {"dag_id": dag_run.dag_id, "run_id": dag_run.run_id}
    tasks = select(TaskInstance.task_id, TaskInstance.state).filter_by(**mine)
    states = dict(session.execute(tasks).all())
    rows = session.scalars(select(XComModel).filter_by(**mine).order_by(XComModel.timestamp)).all()
    # What a task said before the run was cleared does not count if it did not run again; and a try that was ended from
    # outside may have left its sentence, though the next one went well.
    rows = [
        row for row in rows if states.get(row.task_id) in (("failed",) if row.key == FAILURE else ("success", "failed"))
    ]
    told = {(row.task_id, row.key): XComModel.deserialize_value(row) for row in rows}
    given = Settings.from_environment(workflow).parameters | (dag_run.conf or {})
    text = note(workflow, (dag_run.dag_id, dag_run.run_id), given, told, otherwise)
    if there:
        there.content = text
    else:
        dag_run.note = text


def note(
    workflow: Workflow,
    run: tuple[str, str],
    given: Mapping[str, Any],
    told: Mapping[tuple[str, str], Any],
    otherwise: str = "",
) -> str:
    """Return the note, in Markdown: what the tasks `told` ({(task, key): value}), with what, and the reports.

    `run` is DAG and run id, and `given` the parameters' values.
    """
    gate = workflow.gate
    figures = told.get((gate.component.name, gate.output))
    said = [gate.says(figures)] if figures else []
    said += [value["sentence"] for (_, key), value in told.items() if key == FAILURE]
    text = _plain("; ".join(said) or otherwise, LONGEST // 2)
    for link in _links(workflow, run, told):
        if len(text) + len(link) + 3 <= LONGEST:
            text += f" · {link}"
    other = ", ".join(f"{name} {value}" for name, value in changed(workflow, given).items())
    if other and len(text) < LONGEST * 0.9:
        text += f" · {_plain(f'with {other}', LONGEST - len(text) - 3)}"
    return text


def _links(workflow: Workflow, run: tuple[str, str], told: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    """Yield a link to each report that is there."""
    for task in workflow.tasks:
        for item in reports_of(task.component):
            if (task.name, item.name) in told:
                yield f"[{task.component.title}]({address_of(workflow, run, task.component, item)})"


def _plain(text: str, longest: int) -> str:
    """Return a text as one line of Markdown that means nothing but itself, of so many characters at most."""
    line = re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", re.sub(r"\s*\n\s*", "; ", text))
    return line if len(line) <= longest else line[: longest - 1].rstrip("\\") + "…"
