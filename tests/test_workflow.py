# mypy: allow-untyped-defs, allow-untyped-calls
import json
import re
from dataclasses import replace

import pytest

from components.contract.declaration import Parameters, parameter
from components.contract.errors import BadInput
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN
from dags.definition import Asset
from dags.kubeflow_form import fields_of
from dags.local import parse
from dags.reference import presets_page
from dags.workflow import WORKFLOW
from tests.blessed import CARD, CARDS, CONDITIONAL, LABEL, LABELS

INGESTS, TRAINS, EXPORTS, EVALUATES, GATES, HANDOVERS = WORKFLOW.tasks


class Seeded(Parameters):
    seed: int = parameter(1, "Another seed")


def test_the_tasks_are_in_an_order_in_which_they_can_run():
    assert [task.name for task in WORKFLOW.tasks] == ["ingest", "train", "export", "evaluate", "gate", "handover"]
    assert WORKFLOW.task(EVALUATE) is EVALUATES


def exports(**changed):
    """Return the tasks with another export."""
    return {"tasks": (INGESTS, TRAINS, replace(EXPORTS, **changed), EVALUATES, GATES)}


def trials(**changed):
    """Return other trials."""
    assert WORKFLOW.trials
    return {"trials": replace(WORKFLOW.trials, **changed)}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        (
            {"tasks": (INGESTS, EXPORTS, TRAINS, EVALUATES, GATES)},
            "export: its input gradients comes from train, which is not a task before it",
        ),
        (
            exports(inputs={"gradients": (TRAIN, "gradient")}),
            "export: its input gradients comes from train, which has no output gradient (did you mean gradients?)",
        ),
        (
            exports(inputs={"gradients": (TRAIN, "metrics")}),
            "export: its input gradients is of type Artifact, but the output metrics of train is of type Metrics",
        ),
        (exports(inputs={}), "export: its input gradients comes from nowhere"),
        (
            exports(inputs={**EXPORTS.inputs, "gradient": (TRAIN, "gradients")}),
            "export: it has no input gradient (did you mean gradients?)",
        ),
        ({"tasks": (*WORKFLOW.tasks, EXPORTS)}, "export: it is there twice"),
        (
            exports(component=replace(EXPORT, parameters=Seeded)),
            "export: its parameter seed is declared differently by a step before it",
        ),
        (
            {"assets": (Asset("data", (INGEST, "datasets")),)},
            "the asset data comes from ingest, which has no output datasets (did you mean dataset?)",
        ),
        (
            {"gate": replace(WORKFLOW.gate, output="figures")},
            "the gate comes from gate, which has no output figures",
        ),
        (
            {"gate": replace(WORKFLOW.gate, threshold="min_acuracy")},
            "the gate: there is no parameter min_acuracy (did you mean min_accuracy?)",
        ),
        (
            {"presets": {"quick": {"epoch": 1}}},
            "the preset quick: epoch: no such parameter (did you mean epochs?)",
        ),
        ({"presets": {"none": {"epochs": 0}}}, "the preset none: epochs: 0 is less than 1"),
        (
            {"presets": {"turned": {"rotate_degrees": 3.0}}},
            "the preset turned: rotate_degrees: a parameter of augment rotate, but augment is none",
        ),
        ({"form": ("epoch",)}, "the form: there is no parameter epoch (did you mean epochs?)"),
        (exports(checkpoints="snapshot"), "export: it has no parameter snapshot (did you mean snapshots?)"),
        (
            {"tasks": (INGESTS, TRAINS, replace(EXPORTS, if_blessed=True), EVALUATES, GATES)},
            "export: it runs only if gate has blessed, which is not a task before it",
        ),
        (
            {"tasks": (*WORKFLOW.tasks, CARDS, replace(LABELS, if_blessed=False))},
            "label: its input card comes from card, which runs only if blessed, so it must too",
        ),
        (
            {
                "tasks": (*WORKFLOW.tasks, CARDS),
                "gate": replace(WORKFLOW.gate, blesses=Asset("card", (CARD, "card"))),
            },
            "the asset card comes from card, which runs only if it is blessed",
        ),
        (trials(output="figures"), "a trial comes from train, which has no output figures"),
        (trials(pause="pause"), "a trial has no parameter pause (did you mean pause_at?)"),
        (trials(candidates="candidate"), "a study: there is no parameter candidate (did you mean candidates?)"),
        ({"tasks": (INGESTS, TRAINS, EXPORTS, EVALUATES)}, "the gate comes from gate, which is not a task before it"),
    ],
)
def test_what_does_not_fit_together_is_said_as_soon_as_the_workflow_is_read(changed, problem):
    with pytest.raises(ValueError, match="^" + re.escape(problem) + "$"):
        replace(WORKFLOW, **({"form": (), "trials": None} | changed))


def test_what_runs_only_if_blessed_may_read_what_others_and_its_like_make():
    assert CONDITIONAL.task(LABEL) is LABELS


def test_nothing_is_blessed_by_a_verdict_that_is_missing_or_another():
    refuses = WORKFLOW.gate.refuses
    assert [refuses({"verdict": verdict}) for verdict in ("blessed", "rejected")] == ["", "the model is rejected"]
    assert refuses({}) == "the model is unknown"


def test_values_go_to_every_step_that_declares_them():
    parameters = WORKFLOW.parameters_of({"seed": "3", "epochs": 2, "min_accuracy": 0.5})
    values = {name: dict(each) for name, each in parameters.items()}
    assert values["ingest"]["seed"] == values["train"]["seed"] == 3
    assert (values["train"]["epochs"], values["evaluate"]["min_accuracy"]) == (2, 0.5)


def test_everything_wrong_is_said_at_once():
    with pytest.raises(BadInput) as error:
        WORKFLOW.parameters_of({"seed": -1, "min_acuracy": 1, "epochs": 0})
    assert str(error.value).splitlines() == [
        "min_acuracy: no such parameter (did you mean min_accuracy?)",
        "seed: -1 is less than 0",
        "epochs: 0 is less than 1",
    ]


def test_a_preset_is_values_for_parameters_and_what_is_given_besides_counts_more():
    def parsed(*arguments):
        return WORKFLOW.parameters_of(parse(WORKFLOW, list(arguments)).values)["train"]

    best = WORKFLOW.presets["best"]
    assert {name: getattr(parsed("--preset", "best"), name) for name in best} == dict(best)
    assert parsed("--preset=best", "--epochs=1").epochs == 1
    assert parsed("--preset=best", "--epochs=1").augment == best["augment"]
    assert parsed("--seed=3").augment == "none"
    with pytest.raises(BadInput, match=r"^preset: 'bset' is not one of best \(did you mean best\?\)$"):
        parsed("--preset", "bset")


def test_the_help_says_what_a_preset_is(capsys):
    with pytest.raises(SystemExit):
        parse(WORKFLOW, ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--preset best" in said
    assert "best: --model convnet-bn --epochs" in said


def test_each_caller_can_paste_a_preset():
    page = presets_page(WORKFLOW)
    texts = [json.loads(line) for line in page.splitlines() if line.startswith("    {")]
    best = WORKFLOW.presets["best"]
    assert texts == [{name: value for name, value in best.items() if name not in WORKFLOW.form}, dict(best)]
    for name in best.keys() & set(WORKFLOW.form):
        assert f"`{name}` is {best[name]}" in page


def test_a_choice_of_several_is_a_text_with_proposals_in_every_form():
    schema = WORKFLOW.fields["augment"].model_json_schema()["properties"]["augment"]
    assert (schema["type"], schema["default"], "enum" in schema) == ("string", "none", False)
    assert schema["examples"] == ["elastic", "erase", "mixup", "rotate", "scale", "shift"]
    field = fields_of(replace(WORKFLOW, form=("augment",)))["augment"]
    assert (field.kind, field.default, list(field.choices)) == (str, "none", [])
