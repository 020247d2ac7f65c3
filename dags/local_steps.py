"""One step of `make run`: a process of its own, unless what it would make is in the store already."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from components.contract import waiting
from components.contract.artifact import canonical_json, sha256
from components.contract.declaration import Component, Parameters, argument
from components.contract.errors import StepError
from components.contract.processes import tied
from components.contract.store.client import Store
from dags.cluster import REGISTRY_KEYS, RUN
from dags.definition import SHARED, Task
from dags.local_runs import keep_picture

ROOT = Path(__file__).parent.parent
BUCKET = "tapeline"
PLACES = {name: f"s3://{BUCKET}/{key}" for key, name in REGISTRY_KEYS.items()}  # unless the environment has others
GRACE_SECONDS = 10  # for a step to end after SIGTERM
PATIENCE_SECONDS = "30"  # for what may come back, as somebody sits in front


@dataclass(frozen=True)
class Done:
    """A task that has run, now or in an earlier run."""

    outputs: Mapping[str, str]  # {output: s3:// location}
    seconds: float | None  # None where nothing was to be done
    skipped: str = ""  # why it did not run at all, and has no outputs


@dataclass(frozen=True)
class Place:
    """Where steps are at work."""

    folder: Path  # of all runs
    reports: Path  # of this run
    store: Store
    settings: Mapping[str, str]  # the environment variables that lead to the store
    out: TextIO  # for what a person reads
    cache: bool
    root: str = f"s3://{BUCKET}"  # of all artifacts

    def say(self, line: object = "") -> None:
        """Print a line for a person."""
        print(line, file=self.out, flush=True)


class StepFailed(StepError):
    """A step ended badly; its own sentence, which is kept in `said`, has been printed."""

    def __init__(self, name: str, code: int, said: str) -> None:
        how = f"ended with exit code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
        if code == -signal.SIGKILL:
            how += ", as Linux does when the memory is used up; end other programs, and call again"
        super().__init__(f"{name} {how}")
        self.exit_code = code if code > 0 else 128 - code
        self.said = said


def run_task(task: Task, parameters: Parameters, done: Mapping[str, Done], place: Place) -> Done:
    """Run a task whose inputs are `done`, and keep its report. Raises `StepFailed` if it ends badly.

    What is fresh has a place of its own in each run, since what it makes follows from more than what it is given.
    """
    component, store = task.component, place.store
    inputs = {name: done[source.name].outputs[output] for name, (source, output) in task.inputs.items()}
    key = _key(component, parameters, inputs, store) + (f"/{place.reports.name}" if task.fresh else "")
    outputs = {item.name: f"{place.root}/{component.name}/{key}/{item.name}" for item in component.outputs}
    place.say(f"── {component.title}")
    if place.cache and not task.fresh and all(store.manifest(uri) is not None for uri in outputs.values()):
        place.say("nothing has changed since it ran")
        keep_report(component, outputs, place)
        return Done(outputs, None)
    began = time.monotonic()
    given = dict(parameters)
    checkpoints = place.folder / "checkpoints"
    own = place.cache and bool(task.checkpoints) and not given[task.checkpoints]
    if own:
        given[task.checkpoints] = checkpoints.absolute()
    named = (*inputs.items(), *outputs.items(), *given.items())
    try:
        _call(component, [argument(name, value) for name, value in named], place)
    except StepFailed:
        if report := keep_report(component, outputs, place):  # of a step that blocks what would come next
            place.say(f"its report: {report}")
        raise
    if own:
        shutil.rmtree(checkpoints, ignore_errors=True)  # those of a run that was given up, too
    keep_report(component, outputs, place)
    return Done(outputs, time.monotonic() - began)


def skip(task: Task, why: str, place: Place) -> Done:
    """Say that a task does not run, and why."""
    place.say(f"── {task.component.title}")
    place.say(f"skipped: {why}")
    return Done({}, None, why)


def _key(component: Component, parameters: Parameters, inputs: Mapping[str, str], store: Store) -> str:
    """Return what names the results of a step: a digest of all that they follow from."""
    given = parameters.provenance()
    made_of = {
        "code": code_of(component),
        "parameters": given,
        "files": {name: found for name, value in given.items() if (found := files_at(value, store))},
        "inputs": {name: hashlib.sha256(store.manifest(uri) or b"").hexdigest() for name, uri in inputs.items()},
    }
    return hashlib.sha256(canonical_json(made_of)).hexdigest()[:12]


def code_of(component: Component) -> str:
    """Return the digest of all code that a step's results follow from."""
    code = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    for folder in (*SHARED, component.name):
        for path in sorted((ROOT / "components" / folder).rglob("*")):
            if path.suffix in (".py", ".jinja", ".css", ".json") and not path.name.startswith("test_"):
                code.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return code.hexdigest()


def files_at(value: object, store: Store) -> dict[str, str]:
    """Return what the files at a place that a parameter names have in them, so that a change there is seen."""
    if not value or not isinstance(value, str):
        return {}
    if value.startswith("s3://"):
        return store.digests(value)
    place = Path(value).expanduser()
    paths = [place] if place.is_file() else sorted(place.rglob("*")) if place.is_dir() else []
    return {path.relative_to(place).as_posix(): sha256(path) for path in paths if path.is_file()}


def _call(component: Component, arguments: list[str], place: Place) -> None:
    """Run a step to its end; whatever ends this process ends the step too."""
    step = subprocess.Popen(
        tied([sys.executable, *component.command[1:], *arguments], signal.SIGTERM),
        env={**PLACES, waiting.VARIABLE: PATIENCE_SECONDS, **os.environ, **place.settings, RUN: place.reports.name},
        cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=place.out, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    said: list[str] = []
    listener = threading.Thread(target=_pass_on, args=(component.name, step.stderr, said), daemon=True)
    listener.start()
    try:
        code = step.wait()
    finally:
        if step.poll() is None:
            step.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(GRACE_SECONDS)
            step.kill()
            step.wait()
        listener.join(GRACE_SECONDS)
    if code == 128 + signal.SIGPIPE:
        raise BrokenPipeError
    if code:
        raise StepFailed(component.name, code, "".join(said).strip())


def _pass_on(name: str, lines: TextIO, said: list[str]) -> None:
    """Print what a step says on standard error, and keep its sentence: all from the line that begins with its name."""
    for line in lines:
        if line.rstrip() in (f"{name}: interrupted", f"{name}: terminated"):
            continue  # whoever ended it knows
        if line.startswith(f"{name}: "):
            said.clear()
        if said or line.startswith(f"{name}: "):
            said.append(line)
        with contextlib.suppress(OSError):
            sys.stderr.write(line)
            sys.stderr.flush()


def keep_report(component: Component, outputs: Mapping[str, str], place: Place) -> str:
    """Copy the component's report out of the store; return where it is now, or nothing where there is none."""
    for item in component.outputs:
        if item.file and place.store.manifest(outputs[item.name]) is not None:
            target = place.reports / f"{component.name}.html"
            place.store.read(f"{outputs[item.name]}/{item.file}", target)
            keep_picture(target)
            return os.path.relpath(place.folder / "reports" / target.name)
    return ""
