"""A study as a DAG: `tapeline_study` finds the best values with any number of workers, and trains with them.

Each mapped task is one that works on the study, as `make study` is; they share its journal in the store. So a worker
that is lost and tried again goes on where the others are, and all find what one alone does.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Context, Param, dag, task
from airflow.sdk.exceptions import AirflowFailException

from components.contract.artifact import canonical_json
from components.contract.declaration import argument
from components.study.parameters import StudyParameters
from dags.airflow_process import ROOT, Step, told
from dags.airflow_settings import Settings, dag_ids, study_id
from dags.definition import Trials, Workflow, bounds_of, figures_of
from dags.study_form import VARY, arguments

WORKERS, HOURS = 2, 24


def study(workflow: Workflow, settings: Settings, options: Mapping[str, Any]) -> None:
    """Make the DAG, where steps are processes: no image has both the workflow and what its trainings need.

    `options` are those that all DAGs have.
    """
    trials = workflow.trials
    if trials is None or settings.runner != "process":
        return
    place = f"{settings.store}/study"

    @task(task_display_name="Share the work")
    def share(*, params: dict[str, Any], run_id: str) -> list[list[str]]:
        """Return what each worker is called with, which is the same for all."""
        given = arguments(trials, params)
        name = hashlib.sha256(canonical_json([run_id, given])).hexdigest()[:12]
        folder = Path(tempfile.gettempdir()) / f"{study_id(workflow)}-{name}"
        each = [*given, argument("folder", folder), argument("at", place), argument("name", name)]
        return [each] * int(params["workers"])

    @task(task_display_name="Read what is best")
    def choose(*, ti: Any) -> dict[str, Any]:
        """Return the parameters of a run with the best values."""
        from components.contract.store.client import Store  # noqa: PLC0415 - reading a DAG must not wait for it

        called = ti.xcom_pull(task_ids="share")[0]
        name = called[-1].partition("=")[2]
        uri = f"{place}/studies/{name}/report"
        text = Store.from_environment().manifest(uri)
        if text is None:
            raise told(ti, AirflowFailException(f"there is no report of the study at {uri}: clear its workers as well"))
        print(f"the page of the study: {uri}/index.html")
        best: dict[str, Any] = json.loads(figures_of(text, uri)["best"])
        others: dict[str, Any] = ti.get_template_context()["params"]["others"]
        return others | best

    @dag(
        dag_id=study_id(workflow),
        dag_display_name="Find the best values",
        description="Train with many values, and run the workflow with the best",
        doc_md="Train with many values of what is varied, let the better ones go on, make sure of the best with more "
        "seeds, and run the whole workflow with them.\n\nWhat it varies, and how it chooses, is in docs/study.md.",
        schedule=None,
        **{**options, "params": form(trials, settings)},
    )
    def whole() -> None:
        worked = Step.partial(
            task_id="work",
            task_display_name="Work on the study",
            command=[str(ROOT / settings.python), "-m", "dags.study", "--only-choose"],
            on_blocked=_nothing,
            execution_timeout=timedelta(hours=HOURS),
        ).expand(arguments=share())
        best = choose()
        worked >> best
        best >> TriggerDagRunOperator(
            task_id="run_the_best",
            task_display_name=f"{workflow.title}, with the best values",
            trigger_dag_id=dag_ids(workflow)[0],
            conf="{{ ti.xcom_pull(task_ids='choose') | tojson }}",
        )

    whole()


def form(trials: Trials, settings: Settings) -> dict[str, Param]:
    """Return the form: what varies, how it is done, and the other parameters together."""
    made = {
        "vary": Param(
            VARY, type="string", title="What varies",
            description_md="`NAME=A..B`, `NAME=A..B:log` or `NAME=a,b,c`, with blanks between them",
        ),
        "workers": Param(WORKERS, type="integer", minimum=1, maximum=100, description_md="Tasks that share the work"),
        "measure": Param(next(iter(trials.measures)), enum=list(trials.measures), description_md="What is chosen by"),
    }  # fmt: skip
    for name, schema in StudyParameters.model_json_schema()["properties"].items():
        bounds = {key: value for key, value in schema.items() if key not in ("default", "operational", "title")}
        said = bounds_of(schema)
        bounds["description_md"] = bounds.pop("description") + (f" ({said})" if said else "")
        made[name] = Param(schema["default"], **bounds)
    made["others"] = Param(dict(settings.parameters), type="object", description_md="Other parameters, for all trials")
    return made


def _nothing(_: Context) -> None:
    """Do nothing: a study publishes nothing that blocks what would come next."""
