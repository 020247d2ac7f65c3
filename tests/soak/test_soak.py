# mypy: allow-untyped-defs, allow-untyped-calls
"""A handful of trials of one step, one for each way of judging; `make soak` has all kinds, steps and stores."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from components.contract.errors import BadInput, Blocked, StepError, StoreRefused, StoreUnavailable, Terminated
from tests.soak import kinds
from tests.soak.__main__ import good_is_lost, line, table
from tests.soak.ground import ground
from tests.soak.kinds import KINDS, drawn
from tests.soak.trial import perform

HANDFUL = (
    "a bit flipped in a request", "answered 200, never stored", "busy: 408, 429, 5xx", "dead for good", "refused",
    "SIGTERM, publishing", "SIGKILL, publishing", "disk full", "two at once, unlike", "a place that is taken",
)  # fmt: skip
STEPS = ("ingest",)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with ground(tmp_path_factory.mktemp("soak") / "ground", STEPS, ("seaweedfs",)) as made:
        yield made


def first_of(kind, made):
    return next(trial for number in range(999) if (trial := drawn(number, 0, made, STEPS)).kind == kind)


def test_a_handful_of_trials(made):
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda kind: perform(made, first_of(kind, made)), HANDFUL))
    said = "\n".join(line(report) for report in reports)
    assert [report.wrong for report in reports] == [[]] * len(HANDFUL), said
    assert list(good_is_lost(made)) == []
    outcomes = {report.trial.kind: report.outcome for report in reports if not report.skipped}
    assert outcomes.pop("disk full", "ended") in ("ended", "none")
    passed = {kind for kind, outcome in outcomes.items() if outcome == "passed"}
    assert passed >= {"a bit flipped in a request", "answered 200, never stored", "busy: 408, 429, 5xx"}
    assert {kind for kind, outcome in outcomes.items() if outcome == "ended"} >= {
        "dead for good", "refused", "SIGTERM, publishing", "SIGKILL, publishing",
    }  # fmt: skip
    assert list(table(reports))[-1].startswith(f"| all | {len(HANDFUL)} |")


def test_a_trial_of_which_anything_is_wrong_is_wrong(made):
    other = replace(made, digests=made.digests | {"ingest/dataset": "0" * 64})
    trial = replace(first_of("latency", made), number=10_000)
    report = perform(other, trial)
    assert report.outcome == "wrong"
    (sentence,) = report.wrong
    assert sentence.startswith("ingest/dataset has other bytes than an undisturbed run makes")


def test_the_same_number_and_seed_are_the_same_trial(made):
    names = [name for name, kind in KINDS.items() if set(kind.steps) & set(STEPS)]
    numbers = range(len(names))
    trials = [drawn(number, 3, made, STEPS) for number in numbers]
    assert [drawn(number, 3, made, STEPS) for number in reversed(numbers)] == trials[::-1]
    assert sorted(trial.kind for trial in trials) == sorted(names)  # each once
    assert trials != [drawn(number, 4, made, STEPS) for number in numbers]


def test_the_exit_codes_are_the_contracts():
    codes = tuple(each.exit_code for each in (StepError, BadInput, StoreRefused, StoreUnavailable))
    assert codes == (kinds.FAILED, kinds.BAD, kinds.REFUSED, kinds.UNAVAILABLE)
    assert Terminated(15).exit_code == kinds.TERMINATED
    assert Blocked.exit_code not in {code for kind in KINDS.values() for code in kind.right}
