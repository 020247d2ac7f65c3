"""The journal of a study: Optuna's own, in a log in the store, so that several machines can work on one study.

Whatever happens is an entry: a trial begins, somebody takes one of its trainings, something came of it. All read the
same entries in the same order, so all agree on who takes what: of those who want a training it is the first one that is
alive. An owner that gives no sign of life loses what it took; that a training is done twice then does no harm, as it
gives the same. `optuna.load_study` reads the journal too, for whoever wants to look at it with Optuna's own tools.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.log import Log
from components.study.plan import Job, Outcome, Spec, finals, rungs
from components.study.sampler import distributions, values_of

_SPEC, _TAKEN, _OUTCOME = "specification", "taken", "outcome"


class LogBackend(BaseJournalBackend):
    """Optuna's journal as a log of the store: its entry 0 is the first document there."""

    def __init__(self, place: str, store: Store | None = None) -> None:
        self._log = Log(place, store)
        self._read: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Return all entries from a number on; none that was read before is read again."""
        self._read += [dict(entry.document) for entry in self._log.entries(after=len(self._read))]
        return self._read[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Add entries, whatever others add meanwhile."""
        for each in logs:
            number = len(self._read) + 1
            while not self._log.append(each, number):
                number += 1


class Journal:
    """A study in the store, or in a folder, as it is now."""

    def __init__(self, backend: LogBackend, name: str, spec: Spec, worker: str) -> None:
        """Begin the study, or go on with it; raise `BadInput` if it is another one by the same name."""
        self.spec, self.worker = spec, worker
        self._storage = JournalStorage(backend)
        try:
            self._study = self._storage.get_study_id_from_name(name)
        except KeyError:
            way = StudyDirection.MAXIMIZE if spec.higher else StudyDirection.MINIMIZE
            try:
                self._study = self._storage.create_new_study([way], name)
            except optuna.exceptions.DuplicatedStudyError:  # another machine was first
                self._study = self._storage.get_study_id_from_name(name)
        wanted = _plain(spec.document())
        there = self._storage.get_study_user_attrs(self._study).get(_SPEC)
        if there is None:
            self._storage.set_study_user_attr(self._study, _SPEC, wanted)
        elif there != wanted:
            other = [each for each in wanted if there.get(each) != wanted[each]]
            raise BadInput(f"the study {name} is another one: it differs in {', '.join(other)}; give another --name")

    def outcomes(self) -> dict[Job, Outcome]:
        """Return what has come of each training so far."""
        found = {}
        for trial in self._trials():
            for name, value in trial.user_attrs.items():
                if name.startswith(_OUTCOME):
                    rung, repeat = map(int, name.split("/")[1:])
                    found[Job(trial.number, rung, repeat)] = Outcome(**value)
        return found

    def take(self, jobs: Sequence[Job], lives: Callable[[str], bool]) -> Job | None:
        """Take the first of the trainings that nobody who lives has taken; None where there is none."""
        for job in jobs:
            while len(self._trials()) <= job.trial:  # another machine may get the number instead
                self._storage.create_new_trial(self._study)
            if self._owner(job, lives) in (None, self.worker):
                if not self._claimed(job):
                    self._note(job, f"{_TAKEN}/{job.rung}/{job.repeat}/{self.worker}", True)
                if self._owner(job, lives) == self.worker:
                    return job
        return None

    def note(self, job: Job, outcome: Outcome) -> None:
        """Note what came of a training, and, of a trial's first one, with which values."""
        outcomes = self.outcomes()
        if job in outcomes:
            return
        trial = self._trials()[job.trial]
        identity = trial._trial_id  # noqa: SLF001 - what a storage goes by
        with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # others have done it, and all else
            for name, value in values_of(self.spec, job.trial, outcomes).items() if not trial.params else ():
                each = distributions(self.spec.space)[name]
                self._storage.set_trial_param(identity, name, each.to_internal_repr(value), each)
            if outcome.value is not None and job.repeat == 0:
                epochs = rungs(self.spec)[job.rung].epochs
                self._storage.set_trial_intermediate_value(identity, epochs, outcome.value)
            self._note(job, f"{_OUTCOME}/{job.rung}/{job.repeat}", _plain(outcome.__dict__))

    def close(self) -> None:
        """Note, once all is done, how each trial ended: complete, pruned or failed, in Optuna's words."""
        outcomes, last = self.outcomes(), len(rungs(self.spec)) - 1
        means = {final.trial: final.mean for final in finals(self.spec, outcomes)}
        for trial in self._trials():
            mine = {job: each for job, each in outcomes.items() if job.trial == trial.number and job.repeat == 0}
            ended = mine.get(Job(trial.number, last))
            value = means.get(trial.number, ended.value if ended else None)
            failed = not mine or any(each.value is None for each in mine.values())
            state = TrialState.FAIL if failed else TrialState.PRUNED if ended is None else TrialState.COMPLETE
            if trial.state.is_finished():
                continue
            values = None if value is None or failed else [value]
            with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):  # another machine was first
                self._storage.set_trial_state_values(trial._trial_id, state, values)  # noqa: SLF001

    def _trials(self) -> list[FrozenTrial]:
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def _owner(self, job: Job, lives: Callable[[str], bool]) -> str | None:
        """Return who has it: the first one that took it and lives."""
        return next((who for who in self._takers(job) if who == self.worker or lives(who)), None)

    def _claimed(self, job: Job) -> bool:
        return self.worker in self._takers(job)

    def _takers(self, job: Job) -> list[str]:
        start = f"{_TAKEN}/{job.rung}/{job.repeat}/"
        return [name.removeprefix(start) for name in self._trials()[job.trial].user_attrs if name.startswith(start)]

    def _note(self, job: Job, name: str, value: Any) -> None:
        self._storage.set_trial_user_attr(self._trials()[job.trial]._trial_id, name, value)  # noqa: SLF001


def _plain(value: Any) -> Any:
    """Return what JSON gives back: lists for tuples, None for what is no number."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
