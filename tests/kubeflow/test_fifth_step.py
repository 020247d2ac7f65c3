# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, in the compiled pipeline."""

import yaml

from tests.fifth_step import add_to_a_copy, call
from tests.kubeflow.limits import too_early


def test_the_pipeline_has_it_with_its_image_inputs_and_form(tmp_path):
    copy = add_to_a_copy(tmp_path / "copy")
    call(copy, "python", "-m", "dags.kubeflow_pipeline", "pipeline.yaml", "--registry=r.example/t", "--tag=v7",
         "--default=owner=Ada")  # fmt: skip
    spec, kubernetes = yaml.safe_load_all((copy / "pipeline.yaml").read_text())
    card = spec["root"]["dag"]["tasks"]["card"]
    assert card["taskInfo"]["name"] == "Write the model's card"
    sources = {name: each["taskOutputArtifact"] for name, each in card["inputs"]["artifacts"].items()}
    assert sources == {
        "metrics": {"outputArtifactKey": "evaluate_metrics", "producerTask": "evaluate"},
        "trained_model": {"outputArtifactKey": "trained_model", "producerTask": "train"},
    }
    form = spec["root"]["inputDefinitions"]["parameters"]
    assert form["unlisted_parameters"]["defaultValue"] == {"owner": "Ada"}
    given = card["inputs"]["parameters"]["unlisted_parameters"]
    assert given == {"componentInputParameter": "unlisted_parameters"}
    container = spec["deploymentSpec"]["executors"]["exec-card"]["container"]
    assert container["image"] == "r.example/t/card:v7"
    assert container["command"] == ["python", "-m", "components.card"]
    pod = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-card"]["podMetadata"]
    assert pod["labels"]["app.kubernetes.io/component"] == "card"
    assert too_early(spec, kubernetes, {"card": 600}) == []
