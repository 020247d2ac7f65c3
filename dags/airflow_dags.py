"""The workflow as Airflow DAGs, made from the same declarations as everything else.

`tapeline` learns on a schedule, on request, or when an asset or a backfill says so; `tapeline_reevaluate` follows each
model that was blessed; `tapeline_study` finds the best values. What a deployment may set is in airflow_settings.py.
"""

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, CronTriggerTimetable, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from croniter import croniter  # type: ignore[import-untyped]

from components.contract.errors import BadInput
from dags import definition
from dags.airflow_notice import callbacks
from dags.airflow_places import input_of, judged_by, place_of
from dags.airflow_process import ROOT, told
from dags.airflow_settings import PREFIX, Settings, dag_ids, function_of
from dags.airflow_steps import step
from dags.airflow_study import study
from dags.definition import Task, Workflow, bounds_of
from dags.workflow import WORKFLOW

PLACES = "places"  # in the asset of what was blessed: where everything is that it takes to judge it again
CRON_FIELDS = 5
CRON_PRESETS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *", "@yearly": "0 0 1 1 *",
}  # fmt: skip


def learn(workflow: Workflow, settings: Settings) -> None:
    """Make the DAG that runs the whole workflow and blesses what the gate lets through."""
    gate = workflow.gate
    blessed = asset_of(workflow, settings, gate.blesses)
    # What a step made is an asset as soon as the step has ended.
    assets = {asset.place: asset_of(workflow, settings, asset) for asset in workflow.assets}

    @task(task_display_name=f"Bless the {gate.blesses.name}", outlets=[blessed])
    def bless(*, ti: Any, outlet_events: Any) -> None:
        judged = judged_by(ti, gate.component.name, gate.output)
        if (verdict := judged[gate.verdict]) != gate.blessed:
            raise AirflowSkipException(f"the {gate.blesses.name} is {verdict}; see the report of {gate.component.name}")
        there = {name_of(place): place_of(ti, place[0].name, place[1]) for place in given_to(workflow.judging)}
        outlet_events[blessed].extra = {**judged, PLACES: there}

    @dag(
        dag_id=dag_ids(workflow)[0],
        dag_display_name=workflow.title,
        description=workflow.help,
        doc_md=f"{workflow.help}\n\n"
        "Each run puts its artifacts in a folder of the store that is named after it, each try of a step in one of its "
        "own, so a run may be cleared, or deleted and triggered again under its id. A step that fails is tried "
        "again, unless its input is bad; one that keeps checkpoints goes on from the last of them. "
        f"The {gate.blesses.name} becomes the asset `{blessed.name}` if it is {gate.blessed}, "
        f"which needs a threshold, such as `{gate.threshold}`.",
        schedule=schedule_of(settings),
        **options(workflow, settings, workflow.tasks),
    )
    def whole() -> None:
        made: dict[str, Any] = {}
        for each in workflow.tasks:
            inputs = {to: input_of(place) for to, place in each.inputs.items()}
            places = dict(each.inputs) | {item.name: (each.component, item.name) for item in each.component.outputs}
            mine = {to: assets[place] for to, place in places.items() if place in assets}
            made[each.name] = step(workflow, each, settings, inputs, mine)
            for source, _ in each.inputs.values():
                made[source.name] >> made[each.name]
        blessing = made[gate.component.name] >> bless()
        for each in workflow.tasks:
            if each.if_blessed:  # what is skipped skips what follows
                blessing >> made[each.name]

    whole()


def judge_again(workflow: Workflow, settings: Settings) -> None:
    """Make the DAG that judges once more what was blessed last: all from that to the gate."""
    gate, tasks = workflow.gate, workflow.judging
    blessed = asset_of(workflow, settings, gate.blesses)

    @task(task_display_name=f"Find the blessed {gate.blesses.name}", inlets=[blessed])
    def find(*, ti: Any, inlet_events: Any) -> dict[str, str]:
        events = inlet_events[blessed]
        there: dict[str, str] = events[-1].extra.get(PLACES, {}) if len(events) else {}
        if not there:
            none = f"no {gate.blesses.name} has been blessed yet: run {workflow.name} with a threshold"
            raise told(ti, AirflowFailException(f"{none}, say {gate.threshold}"))
        return there

    @task(task_display_name="Confirm the verdict")
    def confirm(*, ti: Any) -> None:
        judge = gate.component.name
        if (verdict := ti.xcom_pull(task_ids=judge, key=gate.output)[gate.verdict]) == gate.rejected:
            raise told(ti, AirflowFailException(f"the {gate.blesses.name} is {verdict}; see the report of {judge}"))

    @dag(
        dag_id=dag_ids(workflow)[1],
        dag_display_name=f"Judge a blessed {gate.blesses.name} again",
        description=f"Judge the {gate.blesses.name} that was blessed last once more",
        doc_md=f"Judge a {gate.blesses.name} again as soon as it is blessed, and on request: from the store, with "
        "thresholds of its own.\n\n"
        f"It fails if the {gate.blesses.name} is {gate.rejected}, so that nobody goes on using it unaware.",
        schedule=[blessed],
        **options(workflow, settings, tasks),
    )
    def alone() -> None:
        found, made, outside = find(), {}, given_to(tasks)
        for each in tasks:
            inputs = {
                to: f"{{{{ ti.xcom_pull(task_ids='find')['{name_of(place)}'] }}}}"
                if place in outside
                else input_of(place)
                for to, place in each.inputs.items()
            }
            made[each.name] = step(workflow, each, settings, inputs)
            for source, _ in each.inputs.values():
                made.get(source.name, found) >> made[each.name]
        made[gate.component.name] >> confirm()

    alone()


def given_to(tasks: Sequence[Task]) -> list[definition.Place]:
    """Return what these tasks read that none of them makes."""
    made = {each.name for each in tasks}
    places = [place for each in tasks for place in each.inputs.values() if place[0].name not in made]
    return [place for index, place in enumerate(places) if place not in places[:index]]


def name_of(place: definition.Place) -> str:
    """Return a name for the output of a step."""
    component, output = place
    return f"{component.name}.{output}"


def asset_of(workflow: Workflow, settings: Settings, asset: definition.Asset) -> Asset:
    """Return an asset of the workflow as one of Airflow's."""
    return Asset(name=f"{workflow.name}_{asset.name}", uri=f"{settings.store}/{asset.name}", group=workflow.name)


def schedule_of(settings: Settings) -> str | None:
    """Return when the workflow runs by itself; raise `BadInput` unless Airflow can read it, and finds a time."""
    cron = settings.schedule
    if not cron:
        return None
    # Airflow would take a sixth field for seconds, and R for a time that is another one at each look.
    usual = len(cron.split(" ")) == CRON_FIELDS and not re.search(r"\b[RrHh]\b", cron)
    sound = usual or cron in CRON_PRESETS
    try:
        CronTriggerTimetable(cron, timezone="UTC").validate()
        croniter(CRON_PRESETS.get(cron, cron), datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except Exception:  # noqa: BLE001 - whatever Airflow or croniter raise
        sound = False
    if not sound:
        wanted = f"a cron expression of {CRON_FIELDS} fields, such as 0 3 * * *, or one of {', '.join(CRON_PRESETS)}"
        raise BadInput(f"{PREFIX}SCHEDULE: {cron!r}: {wanted}, is needed")
    return cron


def check_python(settings: Settings) -> None:
    """Raise `BadInput` if steps are to be processes, and there is no Python to run them."""
    path = ROOT / settings.python
    if settings.runner == "process" and not (path.is_file() and os.access(path, os.X_OK)):
        raise BadInput(
            f"{PREFIX}PYTHON: {settings.python!r}: there is no program {path}; the path of a Python is needed that has "
            f"the steps' packages, from {ROOT} on or absolute"
        )


def options(workflow: Workflow, settings: Settings, tasks: Iterable[Task]) -> dict[str, Any]:
    """Return what both DAGs have in common."""
    return {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "params": form(workflow, settings, tasks),
        "tags": ["mnist", workflow.name],
        "user_defined_macros": {"place_of": place_of},
        **callbacks(workflow),
        "default_args": {
            "owner": workflow.name,
            "retries": settings.retries,
            "retry_delay": timedelta(seconds=settings.retry_seconds),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(minutes=5),  # of what is not a step
            "on_failure_callback": function_of(settings.on_failure) if settings.on_failure else None,
        },
    }


def form(workflow: Workflow, settings: Settings, tasks: Iterable[Task]) -> dict[str, Param]:
    """Return the form: every parameter of the tasks, with its bounds, in a section for each task."""
    made: dict[str, Param] = {}
    checked = workflow.parameters_of(settings.parameters)
    for each in tasks:
        for name, schema in each.component.parameters.model_json_schema()["properties"].items():
            if name != each.checkpoints and name not in made:
                bounds = {key: value for key, value in schema.items() if key not in ("default", "operational", "title")}
                # Airflow's form keeps to some bounds and says none, and its answer to a wrong value is "Bad Request".
                said = bounds_of(schema)
                bounds["description_md"] = bounds.pop("description") + (f" ({said})" if said else "")
                value = getattr(checked[each.name], name)
                # An empty text counts as not filled in, and the form cannot be sent, unless there may be nothing.
                if "" in (value, schema["default"]):
                    bounds["type"] = ["null", bounds["type"]]
                made[name] = Param(value, section=each.component.title, **bounds)
    return made


_SETTINGS = Settings.from_environment(WORKFLOW)
check_python(_SETTINGS)
learn(WORKFLOW, _SETTINGS)
judge_again(WORKFLOW, _SETTINGS)
study(WORKFLOW, _SETTINGS, options(WORKFLOW, _SETTINGS, []))
