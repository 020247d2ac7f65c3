# mypy: allow-untyped-defs, allow-untyped-calls
"""The page of a study: the best first, how sure that is, and what it cost."""

import json
import re

import pytest

from components.study import plan, report
from components.study.conftest import done, spec_of
from components.study.plan import Final


def page_of(folder, spec, outcomes):
    report.write(folder, "ours", spec, outcomes, "make run ARGS='--model simple'")
    text = (folder / "index.html").read_text()
    return text, json.loads((folder / "study.json").read_text())


def test_it_says_what_is_best_how_sure_and_at_which_cost(tmp_path):
    spec = spec_of(trials=32, seeds=5)
    outcomes = done(spec)
    text, document = page_of(tmp_path, spec, outcomes)
    best = plan.finals(spec, outcomes)[0]
    assert document["best"]["trial"] == best.trial
    assert document["best"]["values"] == document["trials"][best.trial]["values"]
    assert f"validation accuracy {100 * best.mean:.2f}\u00a0% ± {100 * best.deviation:.2f} over 5 seeds" in text
    assert "make run ARGS=" in text
    assert [re.sub("<.*?>", "", each) for each in re.findall("<h2.*?</h2>", text)][-5:] == [
        "What was tried", "What mattered", "Rung by rung", "The finalists", "All trials",
    ]  # fmt: skip
    search, seeds = plan.steps_taken(outcomes)
    assert document["steps"] == {"search": search, "seeds": seeds, "in_full": plan.steps_in_full(spec, outcomes)}
    assert f"{search:,} steps" in text
    shares = report.matters(spec, outcomes, [each["values"] for each in document["trials"]])
    assert shares["learning_rate"] > shares["model"]


def test_a_small_study_by_loss_has_a_page_too(tmp_path):
    spec = spec_of(trials=4, eta=1, measure="validation_loss", higher=False)
    text, _ = page_of(tmp_path, spec, done(spec))
    assert "Give <code>--seeds 5</code>" in text
    assert "so how much of this is chance is not known" in text
    assert "What mattered" not in text  # four trials do not tell


@pytest.mark.parametrize(
    ("ours", "theirs", "sentence"),
    [
        ((0.98, 0.99, 0.98), (0.95, 0.96, 0.951), "ahead of the next one, trial 2, by 2.97 points (95 % interval 2.82"),
        ((0.98, 0.96, 0.98), (0.97, 0.98, 0.96), "so the two are not told apart; more seeds would."),
        ((0.98, 0.98), (0.98, 0.98), "Trial 2 is as good with every seed."),
        ((0.98, 0.98), (0.97, 0.97), "with every seed alike."),
    ],
)
def test_how_sure_it_is_in_words(ours, theirs, sentence):
    spec = spec_of(seeds=len(ours))
    assert sentence in report.how_sure(spec, [Final(1, 0.98, ours), Final(2, 0.97, theirs)])


def test_the_same_study_gives_the_same_page(tmp_path):
    spec = spec_of(trials=16, seeds=2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        page_of(tmp_path / name, spec, done(spec))
    for name in ("index.html", "study.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
