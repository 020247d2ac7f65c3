"""The last task of the pipeline, Kubeflow's exit handler: tell how the run ended, whatever came of it.

Kubeflow says how the tasks ended, but not what they made. So what the gate decided is looked for in the store, where it
is beside this task's own output; where that cannot be read, the verdict and the metrics stay empty.

python -m dags.kubeflow_notice --executor-input JSON|@FILE
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.contract import kubeflow, waiting
from components.contract.command import Parser, guard
from components.contract.errors import BadInput, StepError
from dags.cluster import UI_KEYS
from dags.definition import Workflow, figures_of
from dags.kubeflow_graph import name_of
from dags.notice import FAILED, FINISHED, INTERRUPTED, Notice, changed, judged, post
from dags.workflow import WORKFLOW

NAME = "notify"
TITLE = "Tell how it ended"
HELP = "Post how the run ended to an address of the deployment's choice."
COMMAND = ("python", "-m", "dags.kubeflow_notice")
STATUS, RUN, NOTICE = "status", "run", "notice"  # what it is given, and what it makes
PATIENCE_SECONDS = "20"  # for the store
# What Kubeflow calls the end of a group of tasks.
STATES = {
    "COMPLETE": FINISHED, "SUCCEEDED": FINISHED, "CACHED": FINISHED,
    "FAILED": FAILED, "CANCELED": INTERRUPTED, "CANCELLED": INTERRUPTED,
}  # fmt: skip


def tell(workflow: Workflow, text: str) -> str:
    """Post the notice of the run in an executor input, and keep it; return why it was not taken, if it was not."""
    given = kubeflow.document(text)
    try:
        values = dict(kubeflow.whole(given["inputs"]["parameterValues"]))
        own = given["outputs"]["artifacts"][NOTICE]["artifacts"][0]
        status, run, uri = dict(values[STATUS]), str(values[RUN]), str(own["uri"])
        path, whole = Path(kubeflow.path_of(own)), Path(given["outputs"]["outputFile"])
        others = dict(values.get(kubeflow.OTHERS) or {})
    except KeyError as error:
        raise BadInput(f"--executor-input has no {error}, which {NAME} needs") from None
    except (AttributeError, IndexError, TypeError, ValueError):
        raise BadInput(kubeflow.ANOTHER) from None
    parameters = {name: values[name] for name in workflow.form if name in values} | others
    notice = _notice(workflow, run, status, parameters, _figures(workflow, uri))
    kubeflow.write(path, asdict(notice))
    kept = {"name": NOTICE, "uri": uri, "metadata": {"state": notice.state, "sentence": notice.sentence}}
    kubeflow.write(whole, {"artifacts": {NOTICE: {"artifacts": [kept]}}})
    return post(notice)


def _notice(
    workflow: Workflow, run: str, status: Mapping[str, Any], parameters: Mapping[str, Any], figures: Mapping[str, Any]
) -> Notice:
    failure = str((status.get("error") or {}).get("message") or "")
    # A group whose end was not written down, as when a pod was lost, counts by whether the gate has decided.
    otherwise = FINISHED if figures and not failure else FAILED
    state = STATES.get(str(status.get("state")), otherwise)
    said = [workflow.gate.says(figures)] if figures else []
    if state != FINISHED:
        said.append(failure or f"{state}; the log of its last task says why")
    (ui,) = UI_KEYS.values()
    base = os.environ.get(ui, "").strip().rstrip("/")
    return Notice(
        workflow.name,
        run,
        "kubeflow",
        state,
        "; ".join(said) or state,
        parameters=changed(workflow, parameters),
        link=base and f"{base}/#/runs/details/{run}",
        **judged(workflow, figures),
    )


def _figures(workflow: Workflow, own: str) -> dict[str, Any]:
    """Return what the gate said, if it is there: it and this task's output are ROOT/RUN/TASK/ID/OUTPUT both."""
    from components.contract.store.client import Store  # noqa: PLC0415 - --help must not wait for the S3 client

    gate = workflow.gate
    (item,) = (each for each in gate.component.outputs if each.name == gate.output)
    scheme, _, place = own.rsplit("/", 3)[0].partition("://")
    if scheme not in ("minio", "s3"):
        return {}
    root, file = f"s3://{place}/{gate.component.name}", f"/{name_of(workflow, workflow.task(gate.component), item)}"
    try:
        store = Store.from_environment()
        found = [name for name in store.names(root) if name.endswith(f"{file}/manifest.json")]
        decided = f"{root}/{found[-1].removesuffix('/manifest.json')}" if found else ""
        return figures_of(store.manifest(decided) or b"", decided) if decided else {}
    except StepError as error:
        print(f"{NAME}: what the gate decided cannot be read: {error}")
        return {}


def main(workflow: Workflow) -> None:
    """Parse the command line and tell."""
    parser = Parser(prog="python -m dags.kubeflow_notice", description=__doc__)
    parser.add_argument("--executor-input", required=True, metavar="JSON|@FILE", help="Kubeflow's executor input")

    def run() -> None:
        os.environ.setdefault(waiting.VARIABLE, PATIENCE_SECONDS)
        options: Any = parser.parse_args(sys.argv[1:])
        if warning := tell(workflow, options.executor_input):
            print(f"{NAME}: warning: {warning}")

    guard(NAME, run, kubeflow=True)


if __name__ == "__main__":
    main(WORKFLOW)
