# mypy: allow-untyped-defs, allow-untyped-calls
"""The answer in words, for records with nothing wrong, something wrong, and little to go by."""

from pathlib import Path

import numpy as np
import pytest

from components.artifacts.record.reader import Record, Variable
from components.artifacts.record.table import Table
from components.export.answer import answer
from components.export.diagnosis import Finding


def record(*, level="full", steps=40, statistics=4, validation=((0.5, 0.8), (0.25, 0.9))):
    """Return a record of two variables; `validation` has the loss and accuracy of each epoch."""
    columns = ["loss", "accuracy", "learning_rate", *([] if level == "off" else ["global_norm", "a/kernel", "a/bias"])]
    return Record(
        folder=Path(),
        level=level,
        steps=np.arange(1, steps + 1),
        values=Table.of(np.ones((steps, len(columns)), np.float32)),
        columns=columns,
        stats_steps=np.arange(1, statistics + 1),
        stats=Table.of(np.ones((statistics, 2), np.float32)),
        statistics=["l2_norm"],
        variables=[Variable(f"a/{role}", (3,), "", connected=True, role=role) for role in ("kernel", "bias")],
        settings={},
        epochs=[
            {"epoch": i, "validation_loss": loss, "validation_accuracy": accuracy}
            for i, (loss, accuracy) in enumerate(validation, 1)
        ],
    )


def finding(rule, severity):
    return Finding(rule, severity, f"Something about {rule}.", {}, f"Mend {rule}.", "", 1, 40)


def test_healthy():
    said = answer(record(), [], "never")
    assert (said.tone, said.headline) == ("good", "Healthy: no rule found an error or a warning.")
    assert said.why == [
        "After 2 epochs 90.00 % of the validation images are right.",
        "Looked at: 40 steps of 2 variables, 4 of the steps with statistics.",
    ]
    assert said.advice == ["Nothing needs doing."]


def test_healthy_with_advice():
    said = answer(record(), [finding("batch-size", "info")], "warning")
    assert said.tone == "good"
    assert said.why[0] == "Found: 1 piece of advice."
    assert said.advice == ["Nothing needs doing. There is advice below."]


def test_the_worst_finding_with_its_remedy():
    found = [finding("exploding", "error"), *[finding("dead-relu", "warning")] * 2, finding("batch-size", "info")]
    said = answer(record(), found, "never")
    assert (said.tone, said.headline) == ("error", "Something is wrong. Something about exploding.")
    assert said.why[0] == "Found: 1 error, 2 warnings and 1 piece of advice, the worst first below."
    assert said.advice == [
        "Mend exploding.",
        "The other findings may be consequences of this one: mend it first, and train again.",
    ]


@pytest.mark.parametrize("fail_on", ["never", "warning", "error"])
def test_a_warning_and_what_fail_on_makes_of_it(fail_on):
    said = answer(record(), [finding("vanishing", "warning")], fail_on)
    assert (said.tone, said.headline) == ("warning", "Not healthy. Something about vanishing.")
    blocked = ["The run ends here, as `fail_on` is warning: the tables are not published."]
    assert said.advice == ["Mend vanishing.", *(blocked if fail_on == "warning" else [])]


def test_nothing_was_kept_of_the_gradients():
    said = answer(record(level="off", statistics=0), [], "never")
    assert (said.tone, said.headline) == (
        "info", "Only the loss was looked at, and nothing is wrong with it: no gradients were kept."
    )  # fmt: skip
    assert said.why[-1] == "Of the gradients nothing was kept, so what is wrong with them is not known."
    assert said.advice == ["Set `gradient_level` to norms or more, so that the gradients are looked at."]
    said = answer(record(level="off", statistics=0), [finding("plateau", "warning")], "never")
    assert said.headline == "Not healthy. Something about plateau."


@pytest.mark.parametrize(
    ("level", "advice"),
    [
        ("norms", "Set `gradient_level` to stats or more, so that everything is looked at."),
        ("full", "Set `stats_every` or `geometric`, so that everything is looked at."),
    ],
)
def test_no_statistics_were_kept(level, advice):
    said = answer(record(level=level, statistics=0), [], "never")
    assert said.headline == "Healthy: no rule found an error or a warning."
    assert said.why[1:] == [
        "Looked at: 40 steps of 2 variables, 0 of the steps with statistics.",
        "No statistics were kept, so updates, single dead units, and the batch size were not looked at.",
    ]
    assert said.advice == ["Nothing needs doing.", advice]


def test_how_far_it_came():
    assert answer(record(steps=1, validation=()), [], "never").why == [
        "It ended before its first epoch did.",
        "Looked at: 1 step of 2 variables, 4 of the steps with statistics.",
        "In fewer than 30 steps some rules see nothing.",
    ]
    nan = float("nan")
    assert answer(record(validation=((nan, nan),)), [], "never").why[0] == (
        "After 1 epoch the validation accuracy is no number."
    )
    assert answer(record(validation=((0.5, 0.8), (nan, 0.9))), [], "never").why[:2] == [
        "After 2 epochs 90.00 % of the validation images are right.",
        "Looked at: 40 steps of 2 variables, 4 of the steps with statistics.",
    ]
    assert answer(record(validation=((0.5, 0.8), (0.25, 0.9), (0.27, 0.9))), [], "never").why[1] == (
        "The validation loss was lowest after epoch 2 (0.2500), and is 0.2700 at the end."
    )
