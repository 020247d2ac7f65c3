"""Run the workflow on this machine: each step a process of its own, artifacts in an embedded S3 server.

The steps are called as a container would be, with s3:// locations. A step's location in the store follows from its
code, its parameters and the digests of its inputs; where its outputs are there already, it has nothing to do.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import rich.console
import rich.table

from components.contract.command import Parser, add_parameters, guard
from components.contract.declaration import Parameters, argument
from components.contract.errors import StepError, Terminated, of_the_machine
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags.definition import Workflow, figures_of
from dags.local_runs import Run
from dags.local_steps import BUCKET, ROOT, Done, Place, run_task, skip
from dags.notice import Notice, judged, post
from dags.workflow import WORKFLOW

# MB that a run of MNIST takes, at most: for artifacts and checkpoints, and for temporary files.
ROOM, TEMPORARY_ROOM = 700, 300
LITTLE = 30  # MB; with less than that the lack of room is why a step failed


def main(workflow: Workflow) -> None:
    """Parse the command line and run."""
    guard("run", lambda: run(workflow, parse(workflow, sys.argv[1:])))


def parse(workflow: Workflow, arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options, with the values for the workflow's parameters in `values`."""
    parser = Parser(prog="make run ARGS='…'", usage="%(prog)s", description=__doc__)
    parser.add_argument("--no-cache", action="store_true", help="run every step, also those that have run before")
    parser.add_argument("--serve", action="store_true", help="keep the S3 server up afterwards, until Ctrl-C")
    parser.add_argument("--folder", type=Path, default=ROOT / "run", help="where everything is kept (default: run)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--quiet", action="store_true", help="print the last line alone, and errors")
    how.add_argument(
        "--json", action="store_true", help="print the summary as JSON, also of a run that fails; all else to stderr"
    )
    add_workflow(parser, workflow)
    given = vars(parser.parse_args(arguments))
    options = {name: given.pop(name) for name in ("no_cache", "serve", "folder", "quiet", "json")}
    return argparse.Namespace(**options, values=values_of(workflow, given))


def add_workflow(parser: argparse.ArgumentParser, workflow: Workflow, leave_out: Collection[str] = ()) -> None:
    """Add the presets and parameters of a workflow, but those to `leave_out`."""
    if workflow.presets:
        parser.add_argument(
            "--preset", metavar="|".join(workflow.presets), default="",
            help="values for the parameters below, which count where they are given: "
            + "; ".join(f"{name}: {flags(values)}" for name, values in workflow.presets.items()).replace("%", "%%"),
        )  # fmt: skip
    added = set(leave_out)
    for task in workflow.tasks:
        group = parser.add_argument_group(task.component.title)
        add_parameters(group, task.component.parameters, leave_out=added)
        added |= set(task.component.parameters.model_fields)


def values_of(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were given for a workflow, those of the preset that was chosen first."""
    chosen = given.get("preset", "")
    named = {name: value for name, value in given.items() if name != "preset"}
    return dict(workflow.preset(chosen) if chosen else {}) | named


def flags(values: Mapping[str, Any]) -> str:
    """Return the flags that give parameters these values."""
    return " ".join(argument(name, value).replace("=", " ") for name, value in values.items())


def run(workflow: Workflow, options: argparse.Namespace) -> None:
    """Run the workflow, and print what came of it."""
    summary: dict[str, Any] = {}
    try:
        with _out(options) as out:
            _run(workflow, options, out, summary)
    except BaseException as error:
        if summary.get("state") != "finished":  # it was only the server that was ended
            summary |= _ending(error)
        raise
    finally:
        if options.json:
            print(json.dumps(summary, sort_keys=True, indent=1), flush=True)


@contextlib.contextmanager
def _out(options: argparse.Namespace) -> Iterator[TextIO]:
    """Yield the file for what a person reads."""
    if options.quiet:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - the one path that is no file
            yield nowhere
    else:
        yield sys.stderr if options.json else sys.stdout


def _run(workflow: Workflow, options: argparse.Namespace, out: TextIO, summary: dict[str, Any]) -> None:
    parameters = workflow.parameters_of(options.values)  # before anything is started
    folder: Path = options.folder
    if low := _low_on_room(folder, ROOM, TEMPORARY_ROOM):
        raise StepError(f"{low}, and a run may take {ROOM} MB; make room, or give another --folder or TMPDIR")
    with serve(folder / "store", BUCKET) as settings:
        kept = Run(workflow, folder, _changed(parameters), summary)
        store = Store.from_environment(settings)
        place = Place(folder, kept.folder, store, settings, out, cache=not options.no_cache)
        done: dict[str, Done] = {}
        try:
            for task in workflow.tasks:
                refused = task.if_blessed and workflow.gate.refuses(_judged(workflow, done, store))
                done[task.name] = (
                    skip(task, refused, place) if refused else run_task(task, parameters[task.name], done, place)
                )
            _finish(workflow, done, place, kept)
        except BaseException as error:
            _explain(error, task.name, folder)
            with contextlib.suppress(OSError):  # the disk may be full
                kept.note(**_ending(error), **_made(done))
            _tell(workflow, kept, {})
            raise
        _tell(workflow, kept, _judged(workflow, done, store))
        if not options.json:
            print(summary["sentence"], flush=True)
        if options.serve:
            _keep_serving(settings, folder, out)


def _changed(parameters: Mapping[str, Parameters]) -> dict[str, Any]:
    """Return the parameters that are not the defaults, of those that results depend on."""
    return {
        name: value
        for each in parameters.values()
        for name, value in each.provenance().items()
        if value != type(each).model_fields[name].default
    }


def _made(done: Mapping[str, Done]) -> dict[str, Any]:
    """Return what a summary says of the steps that are done."""
    return {
        "seconds": {name: result.seconds for name, result in done.items()},
        "artifacts": {name: dict(result.outputs) for name, result in done.items()},
        "skipped": {name: result.skipped for name, result in done.items() if result.skipped},
    }


def _judged(workflow: Workflow, done: Mapping[str, Done], store: Store) -> dict[str, Any]:
    """Return the figures of the gate, which is done."""
    judged = done[workflow.gate.component.name].outputs[workflow.gate.output]
    return figures_of(store.manifest(judged) or b"", judged)


def _tell(workflow: Workflow, kept: Run, figures: Mapping[str, Any]) -> None:
    """Post a notice of how the run ended, if that is wanted."""
    said = {name: kept.summary[name] for name in ("state", "sentence", "parameters")}
    link = kept.folder.absolute().as_uri()
    told = Notice(workflow.name, kept.folder.name, "local", link=link, **said, **judged(workflow, figures))
    if warning := post(told):
        print(f"run: warning: {warning}", file=sys.stderr, flush=True)


def _explain(error: BaseException, task: str, folder: Path) -> None:
    """Add to an error what a person wants to know besides."""
    if isinstance(error, Terminated):
        error.args = (f"{error} in {task}; what is done is kept, and the same command goes on from there",)
    elif isinstance(error, StepError) and (low := _low_on_room(folder, LITTLE, LITTLE)):
        error.add_note(f"{low}; make room, and the same command goes on from there")


def _ending(error: BaseException) -> dict[str, Any]:
    """Return what a summary says of a run that did not come to its end."""
    said = getattr(error, "said", "") or (of_the_machine(error) if isinstance(error, Exception) else "") or str(error)
    code = getattr(error, "exit_code", 1)
    if isinstance(error, BrokenPipeError):
        said, code = "who read its output closed the pipe", 128 + signal.SIGPIPE
    return {
        "state": "interrupted" if isinstance(error, Terminated | BrokenPipeError) else "failed",
        "sentence": "; ".join([said, *getattr(error, "__notes__", ())]),
        "exit_code": code,
    }


def _low_on_room(folder: Path, megabytes: int, temporary_megabytes: int) -> str:
    """Say where there is less room than that: in the run's folder, or for temporary files."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.absolute().parent
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return f"there is no room for temporary files: {error.strerror}"
    for path, needed in ((folder, megabytes), (temporary, temporary_megabytes)):
        if (free := shutil.disk_usage(path).free / 1e6) < needed:
            return f"{path} has {free:.0f} MB left"
    return ""


def _finish(workflow: Workflow, done: Mapping[str, Done], place: Place, kept: Run) -> None:
    """Note what came of the run, and print the table."""
    figures = _judged(workflow, done, place.store)
    kept.note(**figures, **_made(done), state="finished", sentence=workflow.gate.sentence(figures))

    console = rich.console.Console(file=place.out, highlight=False, soft_wrap=True)
    console.width = max(console.width, 90)  # what a row needs; a narrower terminal breaks lines by itself
    table = rich.table.Table(box=None, pad_edge=False)
    for heading in ("step", "seconds", "artifacts", "report"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left", overflow="fold")
    for task in workflow.tasks:
        result, report = done[task.name], place.folder / "reports" / f"{task.name}.html"
        seconds = "cached" if result.seconds is None else f"{result.seconds:.1f}"
        shown = os.path.relpath(report) if report.is_file() else ""
        made = next(iter(result.outputs.values()), "").rpartition("/")[0]
        table.add_row(task.name, "skipped" if result.skipped else seconds, made or result.skipped, shown)
    console.print()
    console.print(table)
    console.print(f"\nall runs: {os.path.relpath(place.folder / 'index.html')}")


def _keep_serving(settings: Mapping[str, str], folder: Path, out: TextIO) -> None:
    path = folder / "store.env"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"export {name}={value}\n" for name, value in settings.items())
    print(
        f"the store is at {settings['AWS_ENDPOINT_URL']}, bucket {BUCKET}; its credentials: . {os.path.relpath(path)}",
        file=out,
    )
    print("Ctrl-C ends it", file=out, flush=True)
    try:
        signal.pause()
    finally:
        path.unlink()


if __name__ == "__main__":
    main(WORKFLOW)
