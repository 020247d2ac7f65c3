# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, as the chart configures Airflow and compiles the pipeline: with its image, though no value names it."""

import json
import shutil

import pytest
import yaml

from dags.airflow_settings import PREFIX
from tests.fifth_step import add_to_a_copy, call
from tests.kubernetes.cluster import template

READ = """
from dags.airflow_settings import Settings
from dags.cluster import image_of
from dags.workflow import WORKFLOW
settings = Settings.from_environment(WORKFLOW)
print(*(image_of(task.component, settings.registry, settings.tag) for task in WORKFLOW.tasks), settings.parameters)
"""


@pytest.mark.skipif(not shutil.which("helm"), reason="needs helm")
def test_the_chart_gives_it_the_right_image(tmp_path):
    copy = add_to_a_copy(tmp_path / "copy")
    values = ("images.registry=r.example/t", "images.tag=v7", "parameters.owner=Ada")
    rendered = template("kubeflow.enabled=true", "airflow.enabled=true", *values, chart=copy / "helm/tapeline")
    objects = {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(rendered) if each}
    data = objects["ConfigMap", "tapeline-airflow"]["data"]
    said = call(copy, "python", "-c", READ, **{name: data[name] for name in data if name.startswith(PREFIX)})
    names = ("ingest", "train", "export", "evaluate", "card")
    assert said.split(maxsplit=5) == [*(f"r.example/t/{name}:v7" for name in names), "{'owner': 'Ada'}\n"]
    job = objects["Job", "tapeline-register"]["spec"]["template"]["spec"]
    (compiles,) = job["initContainers"]
    assert {"--registry=r.example/t", "--tag=v7", "--default=owner=Ada"} < set(compiles["args"])
    assert not [argument for argument in compiles["args"] if "_image" in argument], json.dumps(compiles)
