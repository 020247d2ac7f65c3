"""Study a workflow: train with many values of what is varied, and find those that are best on the validation split.

Say what varies by --vary, again and again: learning_rate=1e-4..1e-2:log, batch_size=32..512, model=simple,convnet.
Each trial is the training of `make run`, with its cache. Of all trials, only the best at each rung go on. The same
command goes on with a study that was cut off. With --at s3://bucket/prefix several machines work on one study.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.contract import artifact, location
from components.contract.artifact import canonical_json
from components.contract.command import Parser, add_parameters, guard
from components.contract.errors import BadInput
from components.contract.location import is_remote
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from components.study import plan, report
from components.study.journal import Journal, LogBackend
from components.study.parameters import StudyParameters
from components.study.plan import Outcomes, Spec
from components.study.pulse import Pulse
from components.study.sampler import size_of_grid, values_of
from components.study.space import space_of
from dags import local
from dags.definition import Trials, Workflow
from dags.local_steps import BUCKET, ROOT, Done, Place, code_of, run_task
from dags.study_trials import Bench, before, work
from dags.workflow import WORKFLOW

PATIENCE_SECONDS = 60.0


def main(workflow: Workflow) -> None:
    """Parse the command line, do the study, and run the workflow with what was best."""
    guard("study", lambda: run(workflow, parse(workflow, sys.argv[1:])) and None)


def parse(workflow: Workflow, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, with the values for the workflow in `values`, and for the study in `study`."""
    trials = trials_of(workflow)
    parser = Parser(prog="make study ARGS='…'", usage="%(prog)s", description=__doc__)
    parser.add_argument("--vary", action="append", default=[], metavar="NAME=VALUES", help="what varies, and how")
    parser.add_argument("--measure", metavar="|".join(trials.measures), default=next(iter(trials.measures)),
                        help="figure of the validation split that is chosen by (default: %(default)s)")  # fmt: skip
    parser.add_argument("--name", default="", help="name of the study; else it is made of what the study is")
    parser.add_argument(
        "--at", default="", metavar="S3", help="s3://bucket/prefix in a store that several machines share"
    )
    parser.add_argument("--patience", type=float, default=PATIENCE_SECONDS, metavar="SECONDS",
                        help="without a sign of life from a machine, until another does its trial")  # fmt: skip
    parser.add_argument("--folder", type=Path, default=ROOT / "run", help="where everything is kept (default: run)")
    parser.add_argument(
        "--only-choose", action="store_true", help="end with the choice, and do not run the workflow with it"
    )
    add_parameters(parser.add_argument_group("the study"), StudyParameters)
    local.add_workflow(parser, workflow, leave_out={trials.pause, trials.candidates})
    given = vars(parser.parse_args(arguments))
    names = ("vary", "measure", "name", "at", "patience", "folder", "only_choose")
    options = {name: given.pop(name) for name in names}
    study = {name: given.pop(name) for name in StudyParameters.model_fields if name in given}
    return argparse.Namespace(**options, study=study, values=local.values_of(workflow, given))


def spec_of(workflow: Workflow, options: argparse.Namespace) -> Spec:
    """Return what the study is; raise `BadInput` for whatever does not fit, before anything is started."""
    trials = trials_of(workflow)
    if options.measure not in trials.measures:
        raise BadInput(f"--measure {options.measure!r} is not one of {', '.join(trials.measures)}")
    if not 0 < options.patience < float("inf"):
        raise BadInput(f"--patience {options.patience:g} is no time; give seconds, such as {PATIENCE_SECONDS:g}")
    if options.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", options.name, re.ASCII):
        raise BadInput(f"--name {options.name!r} is no name: give up to 100 letters, digits and any of . _ -")
    if options.at and not is_remote(options.at):
        raise BadInput(f"--at {options.at!r} is no place that machines share; give s3://bucket/prefix")
    study = StudyParameters.checked(options.study)
    given = workflow.parameters_of(options.values)[trials.component.name]
    declared = trials.component.parameters
    fixed = {name: getattr(given, name) for name in options.values if name in declared.model_fields}
    lean = {name: value for name, value in trials.lean.items() if name not in fixed}
    never = {
        trials.pause: "where a trial pauses follows from the rungs",
        trials.seed: "a seed is not for choosing; say with how many the best are trained, by --seeds",
    } | dict.fromkeys(dict(given).keys() - given.provenance().keys(), "it changes nothing of what is learned")
    if study.eta > 1:
        never[trials.epochs] = "halving goes by it; with --eta 1 it may vary"
    seed, epochs = getattr(given, trials.seed), getattr(given, trials.epochs)
    space = space_of(options.vary, declared, fixed | lean, never)
    count = study.trials
    if study.sampler == "grid":
        count = size_of_grid(space)
        if options.study.get("trials", count) not in (count, str(count)):
            raise BadInput(
                f"--trials {options.study['trials']}: the grid has {count}; leave it out, or take tpe or random"
            )
    kept = {name: value for name, value in (fixed | lean).items() if name in given.provenance()}
    return Spec(
        space, tuple(sorted(kept.items())), study.sampler, count, study.at_once, study.eta, epochs, study.seeds,
        study.finalists, seed, options.measure, trials.measures[options.measure],
    )  # fmt: skip


def run(workflow: Workflow, options: argparse.Namespace) -> tuple[dict[str, Any], Path]:
    """Do the study, and run the workflow with what was best; return the best values, and the page."""
    spec = spec_of(workflow, options)
    with _store(options) as (settings, root):
        bench, name = _bench(workflow, options, spec, Store.from_environment(os.environ | settings), settings, root)
        outcomes = _work(bench, f"{root}/studies/{name}", name, options.patience)
        best = plan.finals(bench.spec, outcomes)[0]
        values = values_of(bench.spec, best.trial, outcomes) | {bench.trials.candidates: spec.trials}
        command = f'make run ARGS="{local.flags(options.values | values)}"'
        report.write(bench.place.reports, name, bench.spec, outcomes, command)
        if options.at:
            _publish(bench, f"{root}/studies/{name}/report", values)
    page = bench.place.reports / "index.html"
    print(f"\n{report.sentence(bench.spec, outcomes)}\nthe study: {os.path.relpath(page)}")
    print(f"the best again: {command}\n", flush=True)
    if not options.only_choose:
        local.run(workflow, argparse.Namespace(
            no_cache=False, serve=False, folder=options.folder, quiet=False, json=False, values=options.values | values
        ))  # fmt: skip
    return values, page


def _bench(  # noqa: PLR0913 - what is studied, how, and where
    workflow: Workflow, options: argparse.Namespace, spec: Spec, store: Store, settings: Mapping[str, str], root: str
) -> tuple[Bench, str]:
    """Run what comes before the trials; return what they have in common, and the name of the study."""
    trials, reports = trials_of(workflow), options.folder / "studies"
    parameters = workflow.parameters_of(dict(trials.lean) | options.values)
    reports.mkdir(parents=True, exist_ok=True)
    place = Place(options.folder, reports, store, settings, sys.stdout, cache=True, root=root)
    done: dict[str, Done] = {}
    for task in before(workflow, workflow.task(trials.component)):
        done[task.name] = run_task(task, parameters[task.name], done, place)
    spec = dataclasses.replace(spec, origin=_origin(trials, done, store))
    name = options.name or hashlib.sha256(canonical_json(spec.document())).hexdigest()[:8]
    place = dataclasses.replace(place, reports=reports / name)
    place.reports.mkdir(exist_ok=True)
    return Bench(workflow, trials, spec, parameters, done, place, f"{root}/studies/{name}/checkpoints"), name


def _work(bench: Bench, at: str, name: str, patience: float) -> Outcomes:
    """Do the trainings that others do not do, and return what came of all."""
    worker = f"{os.getpid()}-{secrets.token_hex(4)}"
    bench.place.say(_plan(name, bench.spec))
    store = bench.place.store
    with Pulse(store, at, worker, patience) as pulse:
        journal = Journal(LogBackend(f"{at}/journal", store), name, bench.spec, worker)
        outcomes = work(bench, journal, pulse)
        journal.close()
    return outcomes


def _publish(bench: Bench, uri: str, values: Mapping[str, Any]) -> None:
    """Put page and figures of the study where all machines find them, as an artifact with the best values."""
    if bench.place.store.manifest(uri) is not None:
        return
    with location.staging(uri) as folder:
        for name in ("index.html", "study.json"):
            shutil.copyfile(bench.place.reports / name, folder / name)
        artifact.seal(
            folder, component="study", output="report", parameters=bench.spec.document(), inputs={},
            packages=("optuna", "numpy"), metadata={"best": json.dumps(values, sort_keys=True)},
        )  # fmt: skip
        location.publish(folder, uri)


def trials_of(workflow: Workflow) -> Trials:
    """Return what a study repeats; raise `BadInput` where the workflow does not say."""
    if workflow.trials is None:
        raise BadInput(f"{workflow.name} has nothing that a study could repeat: its definition says no trials")
    return workflow.trials


@contextlib.contextmanager
def _store(options: argparse.Namespace) -> Iterator[tuple[Mapping[str, str], str]]:
    """Yield the settings that lead to the store, and where in it everything is."""
    if options.at:
        yield {}, options.at.rstrip("/")
        return
    with serve(options.folder / "store", BUCKET) as settings:
        yield settings, f"s3://{BUCKET}"


def _origin(trials: Trials, done: Mapping[str, Done], store: Store) -> str:
    """Return a digest of the code and the data that the outcomes follow from."""
    made_of: dict[str, Any] = {
        "code": code_of(trials.component),
        "inputs": {
            name: hashlib.sha256(store.manifest(uri) or b"").hexdigest()
            for each in done.values()
            for name, uri in each.outputs.items()
        },
    }
    return hashlib.sha256(canonical_json(made_of)).hexdigest()


def _plan(name: str, spec: Spec) -> str:
    """Say what will be done."""
    rungs = plan.rungs(spec)
    steps = ", ".join(f"{rung.trials} to epoch {rung.epochs}" for rung in rungs)
    again = f"; then the best {spec.finalists} with {spec.seeds} seeds" if spec.seeds > 1 else ""
    return f"── Study {name}\n{steps}{again}"


if __name__ == "__main__":
    main(WORKFLOW)
