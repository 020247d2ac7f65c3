# mypy: allow-untyped-defs, allow-untyped-calls
import pytest

from components.contract.errors import BadInput
from dags.workflow import WORKFLOW, parameters_of


def test_every_connection_is_declared_at_both_ends_and_comes_from_before():
    seen = []
    for task in WORKFLOW:
        inputs = {item.name: item for item in task.component.inputs}
        assert set(task.inputs) <= set(inputs)
        assert {name for name, item in inputs.items() if not item.optional} <= set(task.inputs)
        for name, (source, output) in task.inputs.items():
            assert source in seen
            made = {item.name: item for item in source.outputs}
            assert inputs[name].kind == made[output].kind
        seen.append(task.component)
    assert [component.name for component in seen] == ["ingest", "train", "export", "evaluate"]


def test_a_parameter_of_several_steps_is_the_same_everywhere():
    declared: dict[str, object] = {}
    for task in WORKFLOW:
        for name, field in task.component.parameters.model_fields.items():
            assert repr(declared.setdefault(name, field)) == repr(field), name


def test_values_go_to_every_step_that_declares_them():
    parameters = parameters_of({"seed": "3", "epochs": 2, "min_accuracy": 0.5})
    values = {name: dict(each) for name, each in parameters.items()}
    assert values["ingest"]["seed"] == values["train"]["seed"] == 3
    assert (values["train"]["epochs"], values["evaluate"]["min_accuracy"]) == (2, 0.5)


def test_everything_wrong_is_said_at_once():
    with pytest.raises(BadInput) as error:
        parameters_of({"seed": -1, "min_acuracy": 1, "epochs": 0})
    assert str(error.value).splitlines() == [
        "min_acuracy: no such parameter (did you mean min_accuracy?)",
        "seed: -1 is less than 0",
        "epochs: 0 is less than 1",
    ]
