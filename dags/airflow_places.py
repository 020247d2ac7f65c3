"""Where the outputs of a run are: each try of a step writes to a place of its own, and XCom says which one counts.

So nothing is overwritten and nothing collides when a run is cleared, tried again, or deleted and triggered again under
the same id: Airflow gives every try a new id. What follows in a run, the reports and the assets go by what a step
handed over, which it does last.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from components.contract.declaration import Component, argument
from dags.airflow_process import told
from dags.airflow_settings import Settings
from dags.cluster import REGISTRY_KEYS, RUN
from dags.definition import Place, Task, figures_of


def output_of(settings: Settings, place: Place) -> str:
    """Return the location of an output of the present try, as a template."""
    component, output = place
    return f"{_run_of(settings)}/{component.name}/{{{{ ti.id }}}}/{output}"


def checkpoints_of(settings: Settings, component: Component, parameter: str) -> str:
    """Return where all tries of a step in a run keep their checkpoints, as a template."""
    return f"{_run_of(settings)}/{component.name}/{parameter}"


def told_of(settings: Settings, task: Task) -> dict[str, str]:
    """Return the variables of a step that is fresh: where the registry of all runs is, and, as a template, its run.

    The registry is where the deployment says, or else beside the runs.
    """
    (registry,) = REGISTRY_KEYS.values()
    place = os.environ.get(registry) or f"{settings.store}/registry"
    return {registry: place, RUN: "{{ dag.dag_id }}/{{ run_id }}"} if task.fresh else {}


def input_of(place: Place) -> str:
    """Return the location of what a step of the same run handed over, as a template with the macro `place_of`."""
    component, output = place
    return f"{{{{ place_of(ti, '{component.name}', '{output}') }}}}"


def place_of(ti: Any, step: str, output: str) -> str:
    """Return the location of what a step of the run of `ti` handed over."""
    handed = ti.xcom_pull(task_ids=step, key=output)
    if not handed:
        gone = f"this run no longer says where the {output} of {step} is: clear {step} as well"
        raise told(ti, AirflowFailException(gone))
    uri: str = handed["uri"]
    return uri


def judged_by(ti: Any, step: str, output: str) -> Mapping[str, Any]:
    """Return what the gate handed over, and the locations of what it judged."""
    handed = ti.xcom_pull(task_ids=step, key=output)
    if not handed or "inputs" not in handed:
        raise told(ti, AirflowFailException(f"this run no longer says what {step} judged: clear {step} as well"))
    judged: Mapping[str, Any] = handed | handed["inputs"]
    return judged


def hand_over(component: Component, ti: Any, arguments: Sequence[str], *, whole: bool = True) -> dict[str, Any]:
    """Tell Airflow of each output, and return that: {output: place, digest, inputs and figures}.

    `arguments` are what the step was called with; what it made is read from the store. An output that is not there is
    an error if the step has done the `whole` of its work, and left out otherwise.
    """
    from components.contract.store.client import Store  # noqa: PLC0415 - reading a DAG must not wait for the S3 client

    store = Store.from_environment()
    inputs = {item.name: uri for item in component.inputs if (uri := given(arguments, item.name))}
    handed: dict[str, Any] = {}
    for item in component.outputs:
        uri = given(arguments, item.name)
        text = store.manifest(uri)
        if text is not None:
            facts = {"uri": uri, "digest": hashlib.sha256(text).hexdigest(), "inputs": inputs}
            handed[item.name] = figures_of(text, uri) | facts
        elif whole:
            raise AirflowException(f"{component.name} ended well, but there is no artifact at {uri}")
    for name, value in handed.items():
        ti.xcom_push(name, value)
    return handed


def given(arguments: Sequence[str], name: str) -> str:
    """Return the value of an argument; empty where it was not given."""
    flag = argument(name, "")
    return next((each.removeprefix(flag) for each in arguments if each.startswith(flag)), "")


def belongs(uri: str, run: tuple[str, str], step: str) -> bool:
    """Tell whether a location is one of a step of a run, given as DAG and run id."""
    return bool(re.search("/".join(["", *map(re.escape, (*run, step)), r"([^/]+/)?[^/]+$"]), uri))


def _run_of(settings: Settings) -> str:
    return f"{settings.store}/{{{{ dag.dag_id }}}}/{{{{ run_id }}}}"
