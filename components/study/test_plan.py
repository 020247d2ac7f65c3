# mypy: allow-untyped-defs, allow-untyped-calls
"""The plan: the same whoever asks, what it costs, and what it chooses by."""

import itertools
import json
import subprocess
import sys

import pytest

from components.contract.errors import BadInput, StepError
from components.study import plan
from components.study.conftest import done, spec_of
from components.study.plan import Job, Outcome, Rung
from components.study.sampler import size_of_grid, values_of
from components.study.space import Choice


def test_the_rungs_of_a_study():
    assert plan.rungs(spec_of(trials=64, epochs=16, seeds=5)) == [Rung(1, 64), Rung(4, 16), Rung(16, 4)]
    assert plan.rungs(spec_of(trials=64, epochs=5, seeds=5)) == [Rung(1, 64), Rung(2, 16), Rung(5, 4)]
    assert plan.rungs(spec_of(trials=20, epochs=5, seeds=5)) == [Rung(1, 20), Rung(5, 5)]
    assert plan.rungs(spec_of(trials=64, epochs=1)) == [Rung(1, 64)]
    assert plan.rungs(spec_of(trials=64, eta=1)) == [Rung(16, 64)]
    for trials, eta, epochs in itertools.product((1, 2, 7, 64, 300), (2, 3, 4, 9), (1, 2, 3, 5, 8, 20)):
        found = plan.rungs(spec_of(trials=trials, eta=eta, epochs=epochs))
        assert (found[0].trials, found[-1].epochs) == (trials, epochs)
        assert all(one.epochs < two.epochs and one.trials > two.trials for one, two in itertools.pairwise(found))


def test_64_trials_take_a_third_of_the_steps_of_64_full_trainings():
    for epochs, most in ((5, 0.29), (16, 0.16)):
        spec = spec_of(trials=64, epochs=epochs, seeds=5, sampler="random")
        outcomes: dict[Job, Outcome] = {}
        while jobs := plan.next_jobs(spec, outcomes):
            for job in jobs:
                outcomes[job] = Outcome(1 / (1 + job.trial), 10 * plan.rungs(spec)[job.rung].epochs)
        search, seeds = plan.steps_taken(outcomes)
        assert plan.steps_in_full(spec, outcomes) == 64 * 10 * epochs
        assert search <= most * 64 * 10 * epochs
        assert seeds == 3 * 5 * 10 * epochs


def test_a_trial_follows_from_the_batches_before_its_own_alone():
    spec = spec_of(trials=24)
    outcomes = done(spec)
    whole = [values_of(spec, trial, outcomes) for trial in range(24)]
    assert len({json.dumps(each) for each in whole}) == 24
    assert all(1e-4 <= each["learning_rate"] <= 1e-1 for each in whole)
    for trial in range(24):
        known = {job: each for job, each in outcomes.items() if job.rung == 0 and job.trial < trial - trial % 4}
        assert values_of(spec, trial, known) == whole[trial]
    changed = {**outcomes, Job(0, 0): Outcome(1.0, 10)}
    assert [values_of(spec, trial, changed) for trial in range(4)] == whole[:4]
    assert [values_of(spec, trial, changed) for trial in range(24)] != whole
    assert [values_of(spec_of(trials=24, seed=1), trial, outcomes) for trial in range(4)] != whole[:4]


ELSEWHERE = """
import json
from components.study.conftest import done, spec_of
from components.study.sampler import values_of
spec = spec_of(trials=24)
outcomes = done(spec)
print(json.dumps([values_of(spec, trial, outcomes) for trial in range(24)]))
"""


def test_another_process_finds_the_same():
    spec = spec_of(trials=24)
    outcomes = done(spec)
    said = subprocess.run([sys.executable, "-c", ELSEWHERE], check=True, capture_output=True, text=True).stdout
    assert json.loads(said) == [values_of(spec, trial, outcomes) for trial in range(24)]


def test_tpe_finds_better_values_than_chance():
    def mean(sampler):
        outcomes = [done(spec_of(trials=48, sampler=sampler, seed=seed, eta=1)) for seed in range(5)]
        late = [each.value or 0 for found in outcomes for job, each in found.items() if job.trial >= 24]
        return sum(late) / len(late)

    assert mean("tpe") > mean("random") + 0.02


def test_a_grid_has_every_combination_once():
    space = (Choice("a", (1, 2, 3)), Choice("b", ("x", "y")))
    assert size_of_grid(space) == 6
    spec = spec_of(space=space, sampler="grid", trials=6)
    found = [values_of(spec, trial, {}) for trial in range(6)]
    assert found[0] == {"a": 1, "b": "x"}
    assert len({json.dumps(each) for each in found}) == 6
    with pytest.raises(BadInput, match=r"^--vary learning_rate: a grid is of values, not of a range; give them"):
        size_of_grid(spec_of().space)


def test_what_comes_next_at_each_stage():
    spec = spec_of(trials=8, eta=2, epochs=4, seeds=2, finalists=2)
    assert plan.rungs(spec) == [Rung(1, 8), Rung(2, 4), Rung(4, 2)]
    outcomes: dict[Job, Outcome] = {}
    order = []
    while jobs := plan.next_jobs(spec, outcomes):
        order.append([job.key for job in jobs])
        for job in jobs:
            outcomes[job] = Outcome(None, 0, "no") if job.trial == 3 else Outcome((5 * job.trial % 8) / 8, 10)
    assert order == [
        ["0/0/0", "1/0/0", "2/0/0", "3/0/0"], ["4/0/0", "5/0/0", "6/0/0", "7/0/0"],
        ["1/1/0", "4/1/0", "6/1/0", "7/1/0"], ["1/2/0", "6/2/0"],
        ["6/2/1", "6/2/2", "1/2/1", "1/2/2"],
    ]  # fmt: skip
    assert [each.trial for each in plan.finals(spec, outcomes)] == [6, 1]


def test_what_is_given_up_is_never_needed_again():
    spec = spec_of(trials=16, eta=2, seeds=2)
    outcomes: dict[Job, Outcome] = {}
    seen = set()
    while jobs := plan.next_jobs(spec, outcomes):
        for job in jobs:
            assert job.repeat or job.trial not in seen
            outcomes[job] = Outcome(None) if job.trial == 5 else Outcome((job.trial * 5 % 16) / 16, 10)
            seen = plan.given_up(spec, outcomes)
    assert seen == set(range(16))


def test_the_best_is_that_of_the_best_mean_and_one_that_fails_is_none():
    spec = spec_of(trials=2, eta=1, seeds=2, finalists=2)
    outcomes = {Job(0, 0): Outcome(0.99, 10), Job(1, 0): Outcome(0.98, 10)}
    outcomes |= {Job(0, 0, 1): Outcome(0.90, 10), Job(0, 0, 2): Outcome(0.92, 10)}
    outcomes |= {Job(1, 0, 1): Outcome(0.97, 10), Job(1, 0, 2): Outcome(0.96, 10)}
    best, second = plan.finals(spec, outcomes)
    assert best.trial == 1
    assert [best.mean, second.mean] == pytest.approx([0.965, 0.91])
    assert best.deviation == pytest.approx(0.00707, abs=1e-5)
    assert [each.trial for each in plan.finals(spec, outcomes | {Job(1, 0, 2): Outcome(None)})] == [0]


def test_where_all_fail_the_study_ends_with_the_first_sentence():
    spec = spec_of(at_once=2)
    failed = {Job(0, 0): Outcome(None, 0, "no batch"), Job(1, 0): Outcome(None, 0, "no model")}
    with pytest.raises(
        StepError, match=r"^all of the first 2 trials failed, so the study ends; the first of them: no b"
    ):
        plan.next_jobs(spec, failed)
