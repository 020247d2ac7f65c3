"""The first task of the pipeline: see that every parameter of the run is fit, before anything is computed.

Kubeflow's form knows types and choices, but no bounds. It also shares the field of JSON out, so that each step gets its
own part alone, and a change for one of them leaves the others in the cache.

python -m dags.kubeflow_check --executor-input JSON|@FILE
"""

import json
import sys
from pathlib import Path
from typing import Any

from components.contract import kubeflow
from components.contract.command import Parser, guard
from components.contract.errors import BadInput
from dags.definition import Workflow
from dags.kubeflow_form import ASKED, shares
from dags.workflow import WORKFLOW

NAME = "check"
TITLE = "Check the parameters"
HELP = "See that every parameter of the run is fit, before anything is computed."
COMMAND = ("python", "-m", "dags.kubeflow_check")


def check(workflow: Workflow, text: str) -> None:
    """Check the values in an executor input; hand each task its share as a parameter of the task's name."""
    given = kubeflow.document(text)
    try:
        values = dict(kubeflow.whole(given["inputs"]["parameterValues"]))
        files = {name: Path(each["outputFile"]) for name, each in given["outputs"]["parameters"].items()}
        whole = Path(given["outputs"]["outputFile"])
    except KeyError as error:
        raise BadInput(f"--executor-input has no {error}, which {NAME} needs") from None
    except (AttributeError, TypeError, ValueError):
        raise BadInput(kubeflow.ANOTHER) from None
    parts = shares(workflow, values)
    for name in (*workflow.form, *ASKED, kubeflow.OTHERS):
        print(f"{name}: {json.dumps(values.get(name))}")
    # The backend reads the one file, other runners the others.
    for name, file in files.items():
        kubeflow.write(file, parts[name])
    kubeflow.write(whole, {"parameterValues": {name: parts[name] for name in files}})


def main(workflow: Workflow) -> None:
    """Parse the command line and check."""
    parser = Parser(prog="python -m dags.kubeflow_check", description=__doc__)
    parser.add_argument("--executor-input", required=True, metavar="JSON|@FILE", help="Kubeflow's executor input")

    def run() -> None:
        options: Any = parser.parse_args(sys.argv[1:])
        check(workflow, options.executor_input)

    guard(NAME, run, kubeflow=True)


if __name__ == "__main__":
    main(WORKFLOW)
