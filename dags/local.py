"""Run the workflow on this machine: each step a process of its own, artifacts in an embedded S3 server.

The steps are called as a container would be, with s3:// locations. A step's location in the store follows from its
code, its parameters and the digests of its inputs; where its outputs are there already, it has nothing to do.
"""

import argparse
import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import rich.console
import rich.table

from components.contract.artifact import canonical_json, sha256
from components.contract.command import Parser, add_parameters, guard
from components.contract.declaration import Component, Parameters, argument
from components.contract.errors import StepError
from components.contract.processes import tied
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.definition import SHARED, Task, Workflow, figures_of
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent
BUCKET = "tapeline"
GRACE_SECONDS = 10  # for a step to end after SIGTERM


@dataclass(frozen=True)
class Done:
    """A task that has run, now or in an earlier run."""

    outputs: Mapping[str, str]  # {output: s3:// location}
    seconds: float | None  # None where nothing was to be done


class Interrupted(StepError):
    """A step ended badly; its own message has been printed."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} ended with exit code {code}")
        self.exit_code = code if code > 0 else 128 - code


def main(workflow: Workflow) -> None:
    """Parse the command line and run."""
    guard("run", lambda: run(workflow, parse(workflow, sys.argv[1:])))


def parse(workflow: Workflow, arguments: list[str]) -> argparse.Namespace:
    """Return the options, with the values for the workflow's parameters in `values`."""
    parser = Parser(prog="make run ARGS='…'", usage="%(prog)s", description=__doc__)
    parser.add_argument("--no-cache", action="store_true", help="run every step, also those that have run before")
    parser.add_argument("--serve", action="store_true", help="keep the S3 server up afterwards, until Ctrl-C")
    parser.add_argument("--folder", type=Path, default=ROOT / "run", help="where everything is kept (default: run)")
    added: set[str] = set()
    for task in workflow.tasks:
        group = parser.add_argument_group(task.component.title)
        add_parameters(group, task.component.parameters, leave_out=added)
        added |= set(task.component.parameters.model_fields)
    given = vars(parser.parse_args(arguments))
    options = {name: given.pop(name) for name in ("no_cache", "serve", "folder")}
    return argparse.Namespace(**options, values=given)


def run(workflow: Workflow, options: argparse.Namespace) -> None:
    """Run the workflow, print what came of it, and keep the reports in the folder."""
    parameters = workflow.parameters_of(options.values)  # before anything is started
    folder: Path = options.folder
    with serve(folder / "store", BUCKET) as settings:
        store = Store.from_environment(settings)
        done: dict[str, Done] = {}
        for task in workflow.tasks:
            ready = parameters[task.name]
            done[task.name] = _run_task(task, ready, done, store, settings, folder, cache=not options.no_cache)
        _finish(workflow, done, store, folder)
        if options.serve:
            _keep_serving(settings, folder)


def _run_task(  # noqa: PLR0913 - what a task depends on
    task: Task,
    parameters: Parameters,
    done: Mapping[str, Done],
    store: Store,
    settings: Mapping[str, str],
    folder: Path,
    *,
    cache: bool,
) -> Done:
    component = task.component
    inputs = {name: done[source.name].outputs[output] for name, (source, output) in task.inputs.items()}
    prefix = f"s3://{BUCKET}/{component.name}/{_key(component, parameters, inputs, store)}"
    outputs = {item.name: f"{prefix}/{item.name}" for item in component.outputs}
    print(f"── {component.title}", flush=True)
    if cache and all(store.manifest(uri) is not None for uri in outputs.values()):
        print("nothing has changed since it ran", flush=True)
        return Done(outputs, None)
    began = time.monotonic()
    given = (*inputs.items(), *outputs.items(), *parameters)
    command = [sys.executable, *component.command[1:], *(argument(name, value) for name, value in given)]
    try:
        _call(component.name, command, settings)
    except Interrupted:
        if report := _keep_report(component, outputs, store, folder):  # of a step that blocks what would come next
            print(f"its report: {report}", flush=True)
        raise
    return Done(outputs, time.monotonic() - began)


def _key(component: Component, parameters: Parameters, inputs: Mapping[str, str], store: Store) -> str:
    """Return what names the results of a step: a digest of all that they follow from."""
    code = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    for folder in (*SHARED, component.name):
        for path in sorted((ROOT / "components" / folder).rglob("*")):
            if path.suffix in (".py", ".jinja", ".css", ".json") and not path.name.startswith("test_"):
                code.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    given = parameters.provenance()
    folders = {name: Path(value) for name, value in given.items() if isinstance(value, str) and Path(value).is_dir()}
    made_of = {
        "code": code.hexdigest(),
        "parameters": given,
        "files": {
            name: {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
            for name, folder in folders.items()
            if given[name]
        },
        "inputs": {name: hashlib.sha256(store.manifest(uri) or b"").hexdigest() for name, uri in inputs.items()},
    }
    return hashlib.sha256(canonical_json(made_of)).hexdigest()[:12]


def _call(name: str, command: list[str], settings: Mapping[str, str]) -> None:
    """Run a step to its end; whatever ends this process ends the step too."""
    step = subprocess.Popen(
        tied(command, signal.SIGTERM), env=os.environ | settings, cwd=ROOT, stdin=subprocess.DEVNULL
    )
    try:
        code = step.wait()
    finally:
        if step.poll() is None:
            step.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(GRACE_SECONDS)
            step.kill()
            step.wait()
    if code:
        raise Interrupted(name, code)


def _keep_report(component: Component, outputs: Mapping[str, str], store: Store, folder: Path) -> str:
    """Copy the component's report out of the store; return where it is now, or nothing where there is none."""
    for item in component.outputs:
        if item.file and store.manifest(outputs[item.name]) is not None:
            target = folder / "reports" / f"{component.name}.html"
            store.read(f"{outputs[item.name]}/{item.file}", target)
            return os.path.relpath(target)
    return ""


def _finish(workflow: Workflow, done: Mapping[str, Done], store: Store, folder: Path) -> None:
    """Copy the reports out of the store, write summary.json, and print the table."""
    console = rich.console.Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 90)  # what a row needs; a narrower terminal breaks lines by itself
    table = rich.table.Table(box=None, pad_edge=False)
    for heading in ("step", "seconds", "artifacts", "report"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for task in workflow.tasks:
        result = done[task.name]
        report = _keep_report(task.component, result.outputs, store, folder)
        seconds = "cached" if result.seconds is None else f"{result.seconds:.1f}"
        table.add_row(task.name, seconds, next(iter(result.outputs.values())).rpartition("/")[0], report)
    gate = workflow.gate
    judged = done[gate.component.name].outputs[gate.output]
    figures = figures_of(store.manifest(judged) or b"", judged)
    summary = figures | {
        "seconds": {name: result.seconds for name, result in done.items()},
        "artifacts": {name: dict(result.outputs) for name, result in done.items()},
    }
    (folder / "summary.json").write_bytes(canonical_json(summary))
    console.print()
    console.print(table)
    console.print(f"\n{gate.sentence(figures)}")


def _keep_serving(settings: Mapping[str, str], folder: Path) -> None:
    path = folder / "store.env"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"export {name}={value}\n" for name, value in settings.items())
    print(
        f"the store is at {settings['AWS_ENDPOINT_URL']}, bucket {BUCKET}; its credentials: . {os.path.relpath(path)}"
    )
    print("Ctrl-C ends it", flush=True)
    try:
        signal.pause()
    finally:
        path.unlink()


if __name__ == "__main__":
    main(WORKFLOW)
