# mypy: allow-untyped-defs, allow-untyped-calls
"""Each rule on a record made by hand: it finds what it is for, and nothing in a sound one."""

import json
from dataclasses import replace

import numpy as np
import pytest

from components.artifacts.findings import at_least, verdict, write
from components.artifacts.record import noise
from components.artifacts.record.columns import GLOBAL_NORM, SCALARS, STATISTICS, role_of
from components.artifacts.record.reader import Record, Variable
from components.artifacts.record.table import Table
from components.export.checks import RULES
from components.export.diagnosis import HEALTHY, diagnose

NAMES = ("net/conv/kernel", "net/conv/bias", "net/logits/kernel", "net/logits/bias")
SHAPES = ((3, 3, 1, 8), (8,), (200, 10), (10,))


def table(columns):
    return Table.of(np.column_stack(columns).astype(np.float32))


def until(of, rows):
    return Table.of(of.whole()[:rows])


def sound(steps=200):
    """Return the record of a run in which nothing is wrong: loss and norms fall, with a little noise."""
    random = np.random.default_rng(0)
    fall = np.exp(-np.arange(steps) / steps)[:, None]
    sizes = np.sqrt([np.prod(shape) for shape in SHAPES])
    norms = (0.02 * sizes * fall * random.uniform(0.9, 1.1, (steps, 4))).astype(np.float32)
    loss = (2.3 * fall[:, 0] ** 3).astype(np.float32)
    total = np.sqrt(np.square(norms).sum(axis=1))
    at = np.arange(4, steps + 1, 4)
    stats = np.zeros((len(at), 4, len(STATISTICS)), np.float32)
    fill = {"update_ratio": 1e-3, "cosine": 0.3, "zeros": 0.05, "noise": 32.0, "signal": 1.0}
    for name, value in fill.items():
        stats[:, :, list(STATISTICS).index(name)] = value * random.uniform(0.95, 1.05, (len(at), 4))
    stats[:, :, list(STATISTICS).index("l2_norm")] = norms[at - 1]
    return Record(
        folder=None,  # type: ignore[arg-type]
        level="stats",
        steps=np.arange(1, steps + 1),
        values=table([loss, 1 - loss / 3, np.full(steps, 1e-3), total, norms]),
        columns=[*SCALARS, GLOBAL_NORM, *NAMES],
        stats_steps=at,
        stats=Table.of(stats.reshape(len(at), -1)),
        statistics=list(STATISTICS),
        variables=[
            Variable(name, shape, "relu", connected=True, role=role_of(name))
            for name, shape in zip(NAMES, SHAPES, strict=True)
        ],
        settings={"steps_per_epoch": 100, "images_per_step": 32, "classes": 10, "clip_norm": 0.0, "frozen": []},
        epochs=[{"epoch": 1, "validation_accuracy": 0.9, "validation_loss": 1.4}],
    )


def with_stat(record, name, value, variable=slice(None)):
    stats = record.stats.whole().reshape(-1, len(NAMES), len(STATISTICS))
    stats[:, variable, record.statistics.index(name)] = value
    return replace(record, stats=Table.of(stats.reshape(len(stats), -1)))


def with_values(record, column, values):
    changed = record.values.whole()
    changed[:, record.columns.index(column)] = values
    return replace(record, values=Table.of(changed))


def with_loss(losses):
    """Return a record with these losses, and the answers that go with them."""
    return with_values(with_values(sound(), "loss", losses), "accuracy", np.exp(-np.asarray(losses)))


def with_variable(record, index, **fields):
    variables = list(record.variables)
    variables[index] = replace(variables[index], **fields)
    return replace(record, variables=variables)


def log_of_zero():
    record = sound()
    values = record.values.whole()
    values[59:, 6:] = np.nan
    return replace(record, values=Table.of(values))


def unconnected():
    return with_variable(sound(), 0, connected=False)


def at_chance():
    record = with_loss(np.full(200, 2.31))
    return replace(record, epochs=[{"epoch": 1, "validation_accuracy": 0.11, "validation_loss": 2.4}])


def zeros_everywhere():
    """Return a record of kernels that were all zeros: behind ReLUs, only the last bias learns."""
    record = with_variable(with_variable(sound(), 0, zero_initialised=True), 2, zero_initialised=True)
    for name in NAMES[:3]:
        record = with_values(record, name, 0)
    return with_stat(record, "zeros", 1.0, slice(0, 3))


def alike():
    return with_variable(with_variable(sound(), 0, zero_initialised=True), 2, zero_initialised=True)


def dead():
    """Return a record in which nothing goes through the first layer's ReLU, nor learns but the last bias."""
    record = with_stat(sound(), "zeros", 1.0, slice(0, 3))
    for name in NAMES[:3]:
        record = with_values(record, name, 0)
    return record


GROWING = np.geomspace(0.5, 500, 200)
BROKEN = [
    ("not-finite", log_of_zero,
     "From step 60 on there are NaN or infinities, first in the gradient of net/logits/bias and 1 more."),
    ("exploding", lambda: with_values(sound(), GLOBAL_NORM, GROWING),
     "The gradient's norm rose from 0.54 to 466, 870 times as much."),
    ("exploding", lambda: with_values(sound(), GLOBAL_NORM, np.full(200, 999)),
     "The gradient's norm is 999 from the start; about 1 is usual."),
    ("no-gradient", unconnected, "The loss does not depend on net/conv/kernel."),
    ("no-gradient", lambda: with_values(sound(), NAMES[2], 0), "The gradient of net/logits/kernel is 0 at every step."),
    ("vanishing", lambda: with_values(sound(), NAMES[0], 1e-7),
     "The gradient of net/conv/kernel is 1e-06 of that of the strongest layer."),
    ("dead-relu", lambda: with_stat(sound(), "zeros", 0.75, 1),
     "At least 75 % of the ReLU units of conv never get a gradient."),
    ("dead-relu", dead, "All of the ReLU units of conv never get a gradient."),
    ("dead-relu", lambda: replace(dead(), stats_steps=sound().stats_steps[:0], stats=until(sound().stats, 0)),
     "All of the ReLU units of conv never get a gradient."),
    ("zero-weights", zeros_everywhere, "net/conv/kernel began as zeros, and its gradient is 0 at every step."),
    ("zero-weights", alike, "net/conv/kernel began as zeros, like all the others, so its units stay alike."),
    ("update-ratio", lambda: with_stat(sound(), "update_ratio", 0.5, 2),
     "A step changes net/logits/kernel by 0.5 of its length, which is large: 0.001 is usual."),
    ("update-ratio", lambda: with_stat(sound(), "update_ratio", 1e-8, 2),
     "A step changes net/logits/kernel by 1e-08 of its length, which is small: 0.001 is usual."),
    ("plateau", lambda: with_loss(np.maximum(sound().column("loss"), 1.5)),
     "The loss stays at 1.5; guessing has 2.3."),
    ("oscillation", lambda: with_stat(sound(), "cosine", -0.5),
     "Each gradient points against the one before: the cosine between them is -0.50."),
    ("shuffled-labels", at_chance,
     "The loss stays at 2.31, which is guessing, though every layer learns; 11 % of the validation images are right."),
    ("unnormalised-input", lambda: with_values(sound(), NAMES[0], sound().column(NAMES[0]) * 100),
     "Number by number, the gradient of net/conv/kernel is 98 times that of its bias"),
    ("frozen", lambda: replace(sound(), settings=sound().settings | {"frozen": ["net/old/kernel"]}),
     "net/old/kernel is frozen: its layer is set not to learn."),
    ("batch-size", lambda: with_stat(sound(), "noise", 32 * 32),
     "Batch 32 is at least 32 times below the noise scale, which is 1,0"),
    ("batch-size", lambda: with_stat(sound(), "noise", 1.0),
     "Batch 32 is at least 32 times above the noise scale, which is 1 images or fewer."),
]  # fmt: skip


def test_a_sound_run_has_no_findings():
    assert diagnose(sound(), RULES) == []
    assert verdict([], HEALTHY) == "healthy"


@pytest.mark.parametrize(("rule", "make", "sentence"), BROKEN, ids=[f"{case[0]}-{i}" for i, case in enumerate(BROKEN)])
def test_a_broken_run_has_its_finding(rule, make, sentence):
    findings = {finding.rule: finding for finding in reversed(diagnose(make(), RULES))}  # the first of each rule
    assert findings[rule].sentence.startswith(sentence)
    assert findings.keys() - {rule} <= ({"plateau"} if rule == "shuffled-labels" else set())


def small_steps():
    record = with_stat(with_stat(sound(), "zeros", 0.75, 1), "noise", 2.0)
    return replace(record, settings=record.settings | {"images_per_step": 2})


SOUND = {
    "a bias that a normalisation takes out": lambda: with_variable(
        with_values(sound(), NAMES[1], 1e-6), 1, normalised=True
    ),
    "a bias without a gradient by mathematics": lambda: with_values(sound(), NAMES[1], 0),
    "the same, but for rounding": lambda: with_values(sound(), NAMES[1], 1e-9),
    "such a bias of two dimensions": lambda: with_variable(with_values(sound(), NAMES[3], 1e-9), 3, shape=(2, 5)),
    "a last kernel that began as zeros": lambda: with_stat(
        with_variable(sound(), 2, zero_initialised=True), "update_ratio", np.inf, 2
    ),
    "an embedding that moves fast": lambda: with_stat(
        with_variable(sound(), 2, role="embedding"), "update_ratio", 0.5, 2
    ),
    "units that few images see": small_steps,
    "labels that are smoothed": lambda: with_values(sound(), "loss", np.maximum(sound().column("loss"), 1.5)),
    "an epoch that came out as no number": lambda: replace(
        sound(), epochs=[{"epoch": 1, "validation_accuracy": np.nan, "validation_loss": np.nan}]
    ),
    "much dropout": lambda: replace(
        with_loss(np.full(200, 2.0)),
        epochs=[{"epoch": i, "validation_accuracy": 0.5, "validation_loss": 2.0 / i} for i in (1, 2)],
    ),
    "a last column of what is minimised": lambda: replace(
        sound(),
        columns=[*SCALARS, "objective", GLOBAL_NORM, *NAMES],
        values=Table.of(np.insert(sound().values.whole(), 3, 5.0, axis=1)),
    ),
}


@pytest.mark.parametrize("make", SOUND.values(), ids=SOUND)
def test_what_looks_odd_but_is_sound(make):
    assert [finding.sentence for finding in diagnose(make(), RULES)] == []


def test_every_rule_is_in_the_list_above():
    assert {rule.id for rule in RULES} == {case[0] for case in BROKEN}


@pytest.mark.parametrize("steps", [1, 2, 10])
def test_a_short_run_is_diagnosed_without_complaint(steps):
    record = sound(200)
    early = record.stats_steps <= steps
    short = replace(record, steps=record.steps[:steps], values=until(record.values, steps),
                    stats_steps=record.stats_steps[early], stats=until(record.stats, early.sum()))  # fmt: skip
    assert diagnose(short, RULES) == []
    assert diagnose(replace(short, epochs=[]), RULES) == []


def test_severities_are_ordered_and_written(tmp_path):
    findings = diagnose(log_of_zero(), RULES) + diagnose(at_chance(), RULES)
    assert {finding.rule for finding in at_least(findings, "warning")} == {"not-finite", "plateau", "shuffled-labels"}
    assert [finding.rule for finding in at_least(findings, "error")] == ["not-finite"]
    write(tmp_path / "diagnosis.json", findings, RULES, HEALTHY)
    document = json.loads((tmp_path / "diagnosis.json").read_text())
    assert document["verdict"] == "error"
    assert document["findings"][0] | {"remedy": ""} == {
        "rule": "not-finite", "severity": "error", "variable": "", "first_step": 60, "last_step": 200, "remedy": "",
        "sentence": findings[0].sentence, "evidence": {"steps": 141, "variables": 2},
    }  # fmt: skip
    assert [rule["id"] for rule in document["rules"]] == [rule.id for rule in RULES]


def test_the_noise_scale_is_the_ratio_of_the_averages():
    scale = noise.measure(sound())
    assert scale is not None
    assert scale.overall == pytest.approx(32, rel=0.02)
    assert scale.low < scale.overall < scale.high
    assert scale.total[-1] == pytest.approx(32, rel=0.05)
    nothing = noise.measure(with_stat(sound(), "signal", 0))
    assert nothing is not None
    assert np.isnan(nothing.overall)
    assert noise.measure(with_stat(sound(), "noise", np.nan)) is None
    first = noise.Average(1).of(np.array([[4.0], [np.nan], [4.0]]))
    np.testing.assert_allclose(first, 4.0)
