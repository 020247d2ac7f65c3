# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, in the DAGs, one that runs only where the gate has blessed and looks into the registry."""

import json

from dags.airflow_settings import RUNNERS
from tests.fifth_step import ROOT, add_to_a_copy, call, conditional

READ = """
import json
import os
from airflow.dag_processing.dagbag import DagBag
from dags.airflow_settings import RUNNERS
for os.environ["TAPELINE_AIRFLOW_RUNNER"] in RUNNERS:
    bag = DagBag()
    assert bag.import_errors == {}, bag.import_errors
    dag = bag.dags["tapeline"]
    card = dag.task_dict["card"]
    image = getattr(card, "image", "") or " ".join(card.command)
    pod = {each.name: each.value for each in getattr(card, "env_vars", ()) if each.value}
    told = pod or card.variables
    print(json.dumps([card.task_display_name, sorted(card.upstream_task_ids), dag.params["owner"], card.arguments,
                      image, sorted(bag.dags["tapeline_reevaluate"].task_dict), told]))
"""


def test_the_dag_has_it_after_what_it_reads(tmp_path):
    copy = add_to_a_copy(tmp_path / "copy")
    path = copy / "dags/workflow.py"
    path.write_text(conditional(path.read_text()))
    said = call(copy, "python", "-c", READ, AIRFLOW__CORE__DAGS_FOLDER=str(copy / "dags"), TAPELINE_AIRFLOW_TAG="v7",
                TAPELINE_AIRFLOW_PYTHON=str(ROOT / ".venv/bin/python"),
                AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="60")  # fmt: skip
    found = [line for line in said.splitlines() if line.startswith("[")]
    for runner, line in zip(RUNNERS, found, strict=True):
        title, upstream, owner, arguments, image, again, told = json.loads(line)
        assert (title, upstream, owner) == ("Write the model's card", ["bless", "evaluate", "train"], "nobody")
        assert told == {
            "TAPELINE_REGISTRY": "s3://tapeline/airflow/registry", "TAPELINE_RUN": "{{ dag.dag_id }}/{{ run_id }}",
        }  # fmt: skip
        assert [f"--env={name} " in image for name in told] == [runner == "docker"] * 2
        assert arguments == [
            "--trained-model={{ place_of(ti, 'train', 'trained_model') }}",
            "--metrics={{ place_of(ti, 'evaluate', 'metrics') }}",
            "--card=s3://tapeline/airflow/{{ dag.dag_id }}/{{ run_id }}/card/{{ ti.id }}/card",
            "--owner={{ params.owner or '' }}",
        ]
        assert ("tapeline/card:v7" in image) == (runner != "process")
        assert again == ["confirm", "evaluate", "find", "gate"]
