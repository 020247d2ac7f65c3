# mypy: allow-untyped-defs, allow-untyped-calls
"""Several at work on one study: each training is done once, and what one leaves another takes up."""

import signal
import subprocess
import sys

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.trial import TrialState

from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.study import plan
from components.study.conftest import done, spec_of, train
from components.study.journal import Journal, LogBackend
from components.study.plan import Job, Outcome
from components.study.pulse import Pulse
from components.study.sampler import values_of

SPEC = spec_of(trials=8, eta=2, epochs=4, seeds=2, finalists=2)

# A machine that works on a study, and prints what it does. It takes its last words, a training and "forever", as a
# place to stay for ever.
WORKER = """
import sys, time
from components.contract.store.client import Store
from components.study import plan
from components.study.conftest import train
from components.study.journal import Journal, LogBackend
from components.study.pulse import Pulse
from components.study.sampler import values_of
from components.study.test_journal import SPEC
place, name, stop = sys.argv[1:]
with Pulse(Store.from_environment(), place, name, 3) as pulse:
    journal = Journal(LogBackend(f"{place}/journal"), "ours", SPEC, name)
    while jobs := plan.next_jobs(SPEC, outcomes := journal.outcomes()):
        if (job := journal.take(jobs, pulse.lives)) is None:
            time.sleep(0.05)
            continue
        print(job.key, flush=True)
        while job.key == stop:
            time.sleep(1)
        journal.note(job, train(SPEC, job, values_of(SPEC, job.trial, outcomes)))
    journal.close()
"""


def worker(place, name, stop=""):
    return subprocess.Popen([sys.executable, "-c", WORKER, place, name, stop], stdout=subprocess.PIPE, text=True)


def outcomes_at(place):
    return Journal(LogBackend(f"{place}/journal"), "ours", SPEC, "who looks").outcomes()


def test_one_who_works_alone_and_what_optuna_sees_of_it(tmp_path):
    journal = Journal(LogBackend(str(tmp_path)), "ours", SPEC, "me")
    while jobs := plan.next_jobs(SPEC, journal.outcomes()):
        job = journal.take(jobs, lambda _: False)
        assert job == jobs[0]
        journal.note(job, train(SPEC, job, values_of(SPEC, job.trial, journal.outcomes())))
    journal.close()
    expected = done(SPEC)
    assert journal.outcomes() == expected
    study = optuna.load_study(study_name="ours", storage=JournalStorage(LogBackend(str(tmp_path))))
    assert [trial.params for trial in study.trials] == [values_of(SPEC, n, expected) for n in range(8)]
    best = plan.finals(SPEC, expected)[0]
    assert (study.best_trial.number, study.best_value) == (best.trial, best.mean)
    counts = {state: sum(trial.state == state for trial in study.trials) for state in TrialState}
    failed = sum(expected[Job(n, 0)].value is None for n in range(8))
    assert counts[TrialState.COMPLETE] == 2
    assert counts[TrialState.PRUNED] == 6 - failed
    assert counts[TrialState.FAIL] == failed
    assert study.best_trial.intermediate_values == {
        rung.epochs: expected[Job(best.trial, n)].value for n, rung in enumerate(plan.rungs(SPEC))
    }


def test_another_study_by_the_same_name_is_refused(tmp_path):
    Journal(LogBackend(str(tmp_path)), "ours", SPEC, "me")
    Journal(LogBackend(str(tmp_path)), "ours", SPEC, "you")
    with pytest.raises(BadInput, match=r"^the study ours is another one: it differs in trials, seed; give another --n"):
        Journal(LogBackend(str(tmp_path)), "ours", spec_of(trials=9, eta=2, epochs=4, seeds=2, finalists=2, seed=1), "")


def test_the_first_who_lives_has_it(tmp_path):
    me, you = (Journal(LogBackend(str(tmp_path)), "ours", SPEC, who) for who in ("me", "you"))
    jobs = plan.next_jobs(SPEC, {})
    living = {"me", "you"}
    assert (me.take(jobs, living.__contains__), you.take(jobs, living.__contains__)) == (Job(0, 0), Job(1, 0))
    assert me.take(jobs, living.__contains__) == Job(0, 0)  # it is its own still
    living = {"you"}
    assert you.take(jobs, living.__contains__) == Job(0, 0)
    you.note(Job(0, 0), Outcome(0.5, 10))
    me.note(Job(0, 0), Outcome(0.6, 10))  # it was not dead, only slow
    assert me.outcomes() == you.outcomes() == {Job(0, 0): Outcome(0.5, 10)}


def test_signs_of_life_come_and_go(s3):
    store = Store.from_environment()
    with Pulse(store, s3, "one", 0.6) as one, Pulse(store, s3, "two", 1e9) as two:
        assert one.lives("two")
        assert two.lives("one")
        assert not one.lives("three")
        signal.sigtimedwait([], 1.0)
        assert two.lives("one")
        assert not one.lives("two")  # its next beat is years away
    assert store.names(f"{s3}/alive") == []


def test_two_machines_do_each_training_once_and_find_what_one_finds(s3):
    machines = [worker(s3, name) for name in ("one", "two")]
    said = [machine.communicate(timeout=300)[0].split() for machine in machines]
    assert [machine.returncode for machine in machines] == [0, 0]
    assert sorted(said[0] + said[1]) == sorted(job.key for job in done(SPEC))
    assert outcomes_at(s3) == done(SPEC)


@pytest.mark.parametrize("stop", ["2/0/0"])
def test_what_a_killed_machine_had_taken_the_other_does(s3, stop):
    killed = worker(s3, "one", stop)
    assert killed.stdout
    while killed.stdout.readline().strip() != stop:
        assert killed.poll() is None
    other = worker(s3, "two")
    killed.kill()
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert stop in other.communicate(timeout=300)[0].split()
    assert other.returncode == 0
    assert outcomes_at(s3) == done(SPEC)
