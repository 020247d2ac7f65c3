# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, as the chart configures Airflow and compiles the pipeline: with its image, though no value names it."""

import json

from dags.airflow_settings import PREFIX
from dags.workflow import WORKFLOW
from tests.fifth_step import add_to_a_copy, call
from tests.kubernetes.chart import needs_helm, render

READ = """
from dags.airflow_settings import Settings, image_of
from dags.workflow import WORKFLOW
settings = Settings.from_environment(WORKFLOW)
print(*(image_of(task.component, settings) for task in WORKFLOW.tasks), settings.parameters)
"""


@needs_helm
def test_the_chart_gives_it_the_right_image(tmp_path):
    copy = add_to_a_copy(tmp_path / "copy")
    call(copy, "python", "-m", "helm.reference")
    pinned = "r.example/pinned/card:v8"
    flags = (
        "--set=kubeflow.enabled=true,airflow.enabled=true",
        f"--set=images.registry=r.example/t,images.tag=v7,images.card={pinned},parameters.owner=Ada",
    )
    rendered = render({}, *flags, chart=copy / "helm/tapeline")
    objects = {(each["kind"], each["metadata"]["name"]): each for each in rendered}
    data = objects["ConfigMap", "tapeline-airflow"]["data"]
    said = call(copy, "python", "-c", READ, **{name: data[name] for name in data if name.startswith(PREFIX)})
    names = [task.name for task in WORKFLOW.tasks]
    assert said.split(maxsplit=len(names) + 1) == [
        *(f"r.example/t/{name}:v7" for name in names),
        pinned,
        "{'owner': 'Ada'}\n",
    ]
    job = objects["Job", "tapeline-register"]["spec"]["template"]["spec"]
    (compiles,) = job["initContainers"]
    assert {"--registry=r.example/t", "--tag=v7", f"--image=card={pinned}", "--default=owner=Ada"} < set(
        compiles["args"]
    )
    assert not [argument for argument in compiles["args"] if "_image" in argument], json.dumps(compiles)
