# mypy: allow-untyped-defs, allow-untyped-calls
import importlib
import inspect
import subprocess
import sys

import pytest
from pydantic import ValidationError

from components.contract.command import parser_of
from components.contract.declaration import Parameters, flag, parameter
from components.contract.errors import BadInput
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.train.component import COMPONENT as TRAIN

COMPONENTS = (INGEST, TRAIN, EXPORT, EVALUATE)


CHANGES = "none, or some of turn, shift, fade, joined by commas"


class Example(Parameters):
    epochs: int = parameter(5, "Passes", ge=1, le=9)
    rate: float = parameter(0.1, "Rate", gt=0)
    fast: bool = parameter(False, "Fast")
    model: str = parameter("simple", "Model", choices=("simple", "convnet"))
    cache: str = parameter("", "Cache", operational=True)
    change: str = parameter("none", "Changes", several=("turn", "shift", "fade"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "0"}, "epochs: 0 is less than 1"),
        ({"epochs": 10}, "epochs: 10 is more than 9"),
        ({"epochs": "many"}, "epochs: 'many' is not a whole number"),
        ({"epochs": 1.5}, "epochs: 1.5 is not a whole number"),
        ({"rate": 0}, "rate: 0 is not more than 0"),
        ({"rate": "nan"}, "rate: 'nan' is not a finite number"),
        ({"fast": "perhaps"}, "fast: 'perhaps' is neither true nor false"),
        ({"model": "simpel"}, "model: 'simpel' is not one of simple, convnet (did you mean simple?)"),
        ({"epoch": 1}, "epoch: no such parameter (did you mean epochs?)"),
        (
            {"change": "turn,shfit"},
            f"change: 'shfit' is not one of them: {CHANGES} (did you mean shift?)",
        ),
        (
            {"change": "turn,fade,turn"},
            f"change: turn is named twice in 'turn,fade,turn'; it is {CHANGES}",
        ),
        (
            {"change": "none,turn"},
            f"change: 'none' is not one of them: {CHANGES}",
        ),
        ({"change": ""}, f"change: '' is not one of them: {CHANGES}"),
        (
            {"change": None},
            f"change: 'None' is not one of them: {CHANGES}",
        ),
        ({"epochs": 0, "rate": -1}, "epochs: 0 is less than 1\nrate: -1 is not more than 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_each(values, message):
    with pytest.raises(BadInput) as error:
        Example.checked(values)
    assert str(error.value) == message


@pytest.mark.parametrize("value", ["simpel", "", 1, None, "{model}"])
def test_a_choice_is_checked_by_the_model_itself_with_the_same_sentence(value):
    with pytest.raises(ValidationError) as error:
        Example(model=value)
    with pytest.raises(BadInput) as said:
        Example.checked({"model": value})
    assert str(said.value) == error.value.errors()[0]["msg"]
    assert str(said.value).startswith(f"model: {value!r} is not one of simple, convnet")
    assert str(said.value) in str(error.value)


def test_choices_keep_their_order_wherever_they_are_shown():
    shown = {
        (component.name, name): component.parameters.choices(name)
        for component in COMPONENTS
        for name in component.parameters.model_fields
        if component.parameters.choices(name)
    }
    assert shown["export", "fail_on"] == ["never", "warning", "error"]
    assert shown["train", "gradient_level"] == ["off", "norms", "stats", "hist", "full"]
    assert shown["train", "model"] == sorted(shown["train", "model"])
    for component in COMPONENTS:
        schema = component.parameters.model_json_schema()["properties"]
        for name, choices in ((name, choices) for (owner, name), choices in shown.items() if owner == component.name):
            assert schema[name]["enum"] == choices
            assert f"{flag(name)} {'|'.join(choices)}" in parser_of(component).format_help()


def test_text_and_doubles_become_what_is_declared():
    assert dict(Example.checked({"epochs": "3", "rate": "1e-3", "fast": "true"})) == {
        "epochs": 3, "rate": 0.001, "fast": True, "model": "simple", "cache": "", "change": "none",
    }  # fmt: skip
    assert Example.checked({"epochs": 3.0}).epochs == 3


def test_operational_parameters_are_no_part_of_the_provenance():
    assert Example(cache="/elsewhere").provenance() == {
        "epochs": 5, "rate": 0.1, "fast": False, "model": "simple", "change": "none",
    }  # fmt: skip


def test_of_several_the_order_counts_and_blanks_do_not():
    some = Example.checked({"change": " shift, turn "})
    assert some.change == "shift,turn"
    assert some.chosen("change") == ["shift", "turn"]
    assert Example().chosen("change") == []
    assert Example().chosen("model") == ["simple"]
    assert Example.several("change") == ["turn", "shift", "fade"]
    assert Example.choices("change") == Example.several("model") == []
    assert "--augment none|elastic|erase|mixup|rotate|scale|shift,…" in parser_of(TRAIN).format_help()


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_declarations_keep_to_the_rules_that_every_caller_relies_on(component):
    fields = component.parameters.model_fields
    names = [*fields, *(item.name for item in (*component.inputs, *component.outputs))]
    assert len(names) == len(set(names))  # one namespace: flags here, arguments of a function in Kubeflow
    assert all(field.annotation in (bool, int, float, str) for field in fields.values())
    assert all(field.description for field in fields.values())
    for name, field in fields.items():
        assert getattr(component.parameters.checked({name: field.default}), name) == field.default


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_the_work_takes_what_is_declared(component):
    signature = inspect.signature(component.load_work())
    names = [item.name for item in (*component.inputs, *component.outputs)]
    assert list(signature.parameters) == ["parameters", *names]
    assert importlib.import_module(component.work.partition(":")[0])


def test_declarations_and_help_import_nothing_heavy():
    script = (
        "import sys, dags.workflow\n"
        "from components.contract.command import parser_of\n"
        "for task in dags.workflow.WORKFLOW.tasks: parser_of(task.component).format_help()\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'botocore', 'matplotlib', 'pyarrow', 'kfp', 'airflow', 'sklearn'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
