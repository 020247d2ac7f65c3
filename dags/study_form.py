"""What Airflow's and Kubeflow's forms say of a study, as arguments of `make study`."""

import shlex
from collections.abc import Mapping
from typing import Any

from components.contract.declaration import argument
from components.study.parameters import StudyParameters
from dags.definition import Trials

NAME, TITLE = "study", "Work on the study"  # of the image, and of a task
VARY = "learning_rate=1e-4..1e-2:log"  # what the forms begin with


def arguments(trials: Trials, values: Mapping[str, Any]) -> list[str]:
    """Return the arguments: `vary` is a text with blanks between what varies, `others` has all other parameters."""
    given = [argument("vary", text) for text in shlex.split(values["vary"])]
    given += [
        argument(name, values[name])
        for name in ("measure", *StudyParameters.model_fields)
        if name != "trials" or values["sampler"] != "grid"  # which has as many as it has
    ]
    return given + [argument(name, value) for name, value in values["others"].items() if name != trials.pause]
