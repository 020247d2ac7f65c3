"""The workflow as Airflow DAGs, made from the same declarations as everything else.

`tapeline` learns on a schedule, on request, or when an asset or a backfill says so; `tapeline_reevaluate` follows each
model that was blessed. What a deployment may set is in airflow_settings.py.
"""

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from dags.airflow_settings import Settings
from dags.airflow_steps import output_of, step
from dags.workflow import WORKFLOW, Task

SETTINGS = Settings.from_environment()
STEPS = {each.component.name: each for each in WORKFLOW}
DATASET, GRADIENTS, MODEL = (
    Asset(name=f"tapeline_{name}", uri=f"{SETTINGS.store}/{name}", group="tapeline")
    for name in ("dataset", "gradients", "model")
)
# What a step made is an asset as soon as the step has ended; the model only once it is blessed.
ASSETS = {("ingest", "dataset"): DATASET, ("train", "gradients"): GRADIENTS}


def parameters(*steps: Task) -> dict[str, Param]:
    """Return the form: every parameter of the steps, with its bounds, in a section for each step."""
    values = json.loads(SETTINGS.parameters)
    form: dict[str, Param] = {}
    for each in steps:
        for name, schema in each.component.parameters.model_json_schema()["properties"].items():
            if name != each.checkpoints and name not in form:
                bounds = {key: value for key, value in schema.items() if key not in ("default", "operational", "title")}
                bounds["description_md"] = bounds.pop("description")
                form[name] = Param(values.get(name, schema["default"]), section=each.component.title, **bounds)
    return form


def options(*steps: Task) -> dict[str, Any]:
    """Return what both DAGs have in common."""
    module, _, function = SETTINGS.on_failure.partition(":")
    return {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
        "params": parameters(*steps),
        "tags": ["mnist", "tapeline"],
        "default_args": {
            "owner": "tapeline",
            "retries": SETTINGS.retries,
            "retry_delay": timedelta(seconds=SETTINGS.retry_seconds),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(minutes=5),  # of what is not a step
            "on_failure_callback": getattr(import_module(module), function) if module else None,
        },
    }


@dag(
    dag_display_name="Learn with GradientTape",
    description="Learn a data set with tf.GradientTape, keep the gradients, judge the model",
    schedule=SETTINGS.schedule or None,
    **options(*WORKFLOW),
)
def tapeline() -> None:
    """Learn a data set with `tf.GradientTape`, keep the gradients, and judge the model on the test set.

    Each run puts its artifacts in a folder of the store that is named after it. A step that fails is tried again,
    unless its input is bad; train then goes on from its last checkpoint. The model becomes the asset `tapeline_model`
    if it is blessed, which needs a threshold, such as `min_accuracy`.
    """

    @task(task_display_name="Bless the model", outlets=[MODEL])
    def bless(*, ti: Any, dag_run: Any, outlet_events: Any) -> None:
        judged = ti.xcom_pull(task_ids="evaluate", key="metrics")
        if judged["verdict"] != "blessed":
            raise AirflowSkipException(f"the model is {judged['verdict']}; see the report of evaluate")
        inputs = STEPS["evaluate"].inputs.items()
        run = (dag_run.dag_id, dag_run.run_id)
        places = {name: output_of(SETTINGS, source, output, run=run) for name, (source, output) in inputs}
        outlet_events[MODEL].extra = judged | places

    made: dict[str, Any] = {}
    for each in WORKFLOW:
        name = each.component.name
        inputs = {to: output_of(SETTINGS, source, output) for to, (source, output) in each.inputs.items()}
        sources = {to: (source.name, output) for to, (source, output) in each.inputs.items()}
        sources |= {item.name: (name, item.name) for item in each.component.outputs}
        assets = {to: ASSETS[source] for to, source in sources.items() if source in ASSETS}
        made[name] = step(each, SETTINGS, inputs, assets)
        for source, _ in each.inputs.values():
            made[source.name] >> made[name]
    made["evaluate"] >> bless()


@dag(
    dag_display_name="Judge a blessed model again",
    description="Judge the model that was blessed last on its test set once more",
    schedule=[MODEL],
    **options(STEPS["evaluate"]),
)
def tapeline_reevaluate() -> None:
    """Judge a model again as soon as it is blessed, and on request: from the store, with thresholds of its own.

    It fails if the model is rejected, so that nobody goes on using it unaware.
    """

    @task(task_display_name="Find the blessed model", inlets=[MODEL])
    def find(*, inlet_events: Any) -> dict[str, str]:
        events = inlet_events[MODEL]
        if not len(events):
            raise AirflowFailException("no model has been blessed yet: run tapeline with a threshold, say min_accuracy")
        return {name: events[-1].extra[name] for name in STEPS["evaluate"].inputs}

    @task(task_display_name="Confirm the verdict")
    def confirm(*, ti: Any) -> None:
        if (verdict := ti.xcom_pull(task_ids="evaluate", key="metrics")["verdict"]) == "rejected":
            raise AirflowFailException(f"the model is {verdict}; see the report of evaluate")

    inputs = {name: f"{{{{ ti.xcom_pull(task_ids='find')['{name}'] }}}}" for name in STEPS["evaluate"].inputs}
    find() >> step(STEPS["evaluate"], SETTINGS, inputs) >> confirm()


tapeline()
tapeline_reevaluate()
