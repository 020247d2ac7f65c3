"""A study as a Kubeflow pipeline: workers side by side, that share the study's journal in the store, and its page.

python -m dags.kubeflow_study study.yaml [--workers N] [--registry R] [--tag T] [--default NAME=VALUE]…
"""

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from kfp import compiler, dsl, kubernetes

from components.contract.command import Parser, guard
from components.contract.errors import BadInput
from components.study.parameters import StudyParameters
from dags.cluster import DOWNLOAD_KEYS, REGISTRY, TAG, Cluster, labels_of, reference
from dags.definition import Workflow
from dags.kubeflow_pipeline import configured
from dags.kubeflow_steps import argument, container
from dags.study_form import NAME, TITLE, VARY
from dags.workflow import WORKFLOW

COMMAND = ["python", "-m", "dags.study_task"]
WORKERS = 2
PLACE = "s3://tapeline/kubeflow"


def build(
    workflow: Workflow, registry: str = REGISTRY, tag: str = TAG, workers: int = WORKERS, defaults: Sequence[str] = ()
) -> Any:
    """Return the pipeline, a kfp GraphComponent.

    `defaults` are `name=value`s of what is asked of the cluster. A worker takes of a machine what a training does.
    """
    trials = workflow.trials
    if trials is None:
        raise BadInput(f"{workflow.name} has nothing that a study could repeat: its definition says no trials")
    cluster = Cluster.checked(dict(each.partition("=")[::2] for each in defaults))
    task, image = workflow.task(trials.component), reference(NAME, registry, tag)
    begin = {
        "vary": VARY, "others": {}, "place": PLACE, "measure": next(iter(trials.measures)),
        **{name: field.default for name, field in StudyParameters.model_fields.items()},
    }  # fmt: skip

    def titled(made: Any, title: str) -> Any:
        made = configured(made, task, labels_of(workflow, task), cluster, {"gpu_count": cluster.gpu_count})
        kubernetes.use_config_map_as_env(made, cluster.s3_config, DOWNLOAD_KEYS, optional=True)
        made.set_caching_options(False)  # the journal knows what is done
        return made.set_display_name(title)

    def pipeline(*channels: Any) -> None:
        asked = dict(zip(begin, channels, strict=True)) | {"name": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
        with dsl.ParallelFor(items=[str(number + 1) for number in range(workers)], name="workers") as number:
            worked = _task("work", begin, image, worker=str)(worker=number, **asked)
            titled(worked, TITLE)
        found = dsl.Collected(worked.outputs["best"])
        chosen = _task("choose", begin, image, report=dsl.Output[dsl.HTML], found=list)(found=found, **asked)
        titled(chosen, "Find the best values")

    arguments = [argument(name, _kind(value), value) for name, value in begin.items()]
    pipeline.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    name, title = f"{workflow.name}-study", f"{workflow.title}: find the best values"
    return dsl.pipeline(name=name, display_name=title, description=__doc__.partition("\n")[0])(pipeline)


def _task(name: str, begin: dict[str, Any], image: str, **more: Any) -> Any:
    """Return a worker as a kfp container component, which is given what the form says, a name, and more."""
    arguments = [argument(each, kind) for each, kind in more.items()]
    arguments += [argument(each, _kind(value)) for each, value in begin.items()]
    arguments += [argument("name", str), argument("best", dsl.OutputPath(dict))]
    return container(name, TITLE, COMMAND, image, arguments)


def _kind(value: Any) -> Any:
    return type(value)


def main(workflow: Workflow) -> None:
    """Compile the pipeline."""
    parser = Parser(prog="python -m dags.kubeflow_study", description=__doc__)
    parser.add_argument("path", help="YAML file to write")
    parser.add_argument("--workers", type=int, default=WORKERS, help=f"that share the study (default: {WORKERS})")
    parser.add_argument("--registry", default=REGISTRY, help=f"where the images are (default: {REGISTRY})")
    parser.add_argument("--tag", default=TAG, help=f"their tag, or digest sha256:… (default: {TAG})")
    parser.add_argument("--default", metavar="NAME=VALUE", action="append", default=[], help="asked of the cluster")

    def run() -> None:
        options = parser.parse_args(sys.argv[1:])
        if options.workers < 1:
            raise BadInput(f"--workers {options.workers}: a study needs one worker at least")
        pipeline = build(workflow, options.registry, options.tag, options.workers, options.default)
        compiler.Compiler().compile(pipeline, options.path)

    guard("compile", run)


if __name__ == "__main__":
    main(WORKFLOW)
