"""A worker of a study as a task of Kubeflow: it works on the study until that is done, and hands over what is best.

python -m dags.study_task --executor-input JSON|@FILE
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from components.contract import kubeflow
from components.contract.command import Parser, guard
from components.contract.declaration import argument
from components.contract.errors import BadInput
from dags import study
from dags.definition import Workflow
from dags.study_form import NAME, arguments
from dags.workflow import WORKFLOW


def work(workflow: Workflow, text: str) -> None:
    """Work on the study that an executor input describes; write the best values, and the page where it is asked for."""
    given = kubeflow.document(text)
    try:
        values = dict(kubeflow.whole(given["inputs"]["parameterValues"]))
        best = Path(given["outputs"]["parameters"]["best"]["outputFile"])
        whole = Path(given["outputs"]["outputFile"])
        artifacts = given["outputs"].get("artifacts", {}).values()
        pages = [Path(kubeflow.path_of(each["artifacts"][0])) for each in artifacts]
        called = arguments(study.trials_of(workflow), values)
        called += [argument("at", values["place"]), argument("name", values["name"]), "--only-choose"]
    except KeyError as error:
        raise BadInput(f"--executor-input has no {error}, which {NAME} needs") from None
    except (AttributeError, TypeError, IndexError, ValueError):
        raise BadInput(kubeflow.ANOTHER) from None
    with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
        found, page = study.run(workflow, study.parse(workflow, [*called, argument("folder", folder)]))
        for path in pages:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page, path)
    # The backend reads the one file, other runners the other.
    kubeflow.write(best, found)
    kubeflow.write(whole, {"parameterValues": {"best": found}})


def main(workflow: Workflow) -> None:
    """Parse the command line and work."""
    parser = Parser(prog="python -m dags.study_task", description=__doc__)
    parser.add_argument("--executor-input", required=True, metavar="JSON|@FILE", help="Kubeflow's executor input")

    def run() -> None:
        options: Any = parser.parse_args(sys.argv[1:])
        work(workflow, options.executor_input)

    guard(NAME, run, kubeflow=True)


if __name__ == "__main__":
    main(WORKFLOW)
