"""The form of Kubeflow's UI: what it asks for, and what becomes of that.

It has a field for each parameter that the workflow names, in alphabetical order and without help, as the UI draws them;
every other parameter is given as JSON in one more. What a run asks of the cluster is fixed when the pipeline is
compiled, but for what a data scientist changes from run to run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput
from components.contract.kubeflow import OTHERS
from dags.cluster import Cluster
from dags.definition import Workflow

ASKED = ("gpu_count",)  # of the words of the cluster


@dataclass(frozen=True)
class Field:
    """A field of the form."""

    kind: type
    default: Any
    help: str
    choices: Sequence[str] = ()


def fields_of(workflow: Workflow) -> dict[str, Field]:
    """Return the fields of the form, in the order in which the workflow names them.

    Raises `BadInput` where a step has a parameter of a name that is the cluster's, or the form's own.
    """
    if twice := sorted(workflow.fields.keys() & {*Cluster.model_fields, OTHERS}):
        raise BadInput(f"{', '.join(twice)}: the cluster is asked for it, so no step may have a parameter of that name")
    fields = {}
    for name in workflow.form:
        declared = workflow.fields[name]
        field = declared.model_fields[name]
        fields[name] = Field(
            cast("type", field.annotation), field.default, field.description or "", declared.choices(name)
        )
    for name in ASKED:
        # As text: the backend drops a whole number where it is the number of GPUs.
        field = Cluster.model_fields[name]
        fields[name] = Field(str, str(field.default), field.description or "")
    fields[OTHERS] = Field(dict, {}, "Any other parameter of the steps, as JSON")
    return fields


def given(workflow: Workflow, items: Sequence[str], flag: str) -> dict[str, Any]:
    """Return the values of the form, and of what the cluster is asked for, from `name=value`s, all checked."""
    texts = {}
    known = workflow.fields.keys() | Cluster.model_fields.keys()
    for item in items:
        name, equals, text = item.partition("=")
        if not equals or name not in known:
            raise BadInput(f"{flag} {item}: not NAME=VALUE with a parameter{did_you_mean(name, known)}")
        texts[name] = text
    cluster = Cluster.checked({name: text for name, text in texts.items() if name in Cluster.model_fields})
    checked: dict[str, Any] = {}
    steps = {name: text for name, text in texts.items() if name not in Cluster.model_fields}
    for parameters in workflow.parameters_of(steps).values():
        checked |= dict(parameters)
    values: dict[str, Any] = {}
    for name in texts:
        if name in Cluster.model_fields:
            values[name] = str(getattr(cluster, name)) if name in ASKED else getattr(cluster, name)
        elif name in workflow.form:
            values[name] = checked[name]
        else:
            values.setdefault(OTHERS, {})[name] = checked[name]
    return values


def shares(workflow: Workflow, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each task gets of the field of JSON, by the task's name, from the values of the whole form.

    Raises `BadInput` with a line for everything in the form that is wrong.
    """
    others = values.get(OTHERS) or {}
    if not isinstance(others, Mapping):
        raise BadInput(f"{OTHERS}: expected an object of JSON, with a value for each name, not {str(others)[:40]!r}")
    for name in others:
        if name in workflow.form or name in ASKED:
            raise BadInput(f"{OTHERS}: {name}: it has a field of its own in the form")
        if name in Cluster.model_fields:
            raise BadInput(f"{OTHERS}: {name}: it is fixed when the pipeline is compiled, by --default {name}=…")
    Cluster.checked({name: value for name, value in values.items() if name in ASKED})
    checked = workflow.parameters_of({name: values[name] for name in workflow.form if name in values} | dict(others))
    return {name: {each: value for each, value in parameters if each in others} for name, parameters in checked.items()}
