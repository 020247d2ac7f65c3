"""Train with several workers: this process starts them, the chief beside it, and has them go on when one is lost.

The chief is a process of this machine: it writes what this step is to write. Where the others are is for a launcher to
know (processes.py, job.py, trainjob.py). All of them run the command of the step; who is one of several is told by its
environment (contract/rendezvous.py).
"""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from components.contract import artifact, later, rendezvous
from components.contract.declaration import Metadata, argument
from components.contract.errors import PeerLost, StepError
from components.train.component import TrainParameters
from components.train.workers.api import Api
from components.train.workers.inputs import reached
from components.train.workers.job import Job
from components.train.workers.processes import Processes
from components.train.workers.trainjob import TrainJob
from components.train.workers.worker import FINAL, Ended, Launcher, Process

TRIES = 12  # in all, of what may pass: a worker that is lost, or does not come
# For the others to end after one has: what they need to notice, and a little more.
PATIENCE_SECONDS = rendezvous.SILENT_SECONDS + rendezvous.GRACE_SECONDS + 5
SAVING_SECONDS = 120  # for the chief to save what there is when it is asked to end; who asks may have less patience


def launch(parameters: TrainParameters, inputs: Mapping[str, Path | None], outputs: Mapping[str, Path]) -> Metadata:
    """Have the workers train; return what is to be said of the outputs, which the chief has written and sealed.

    Raises `PeerLost` if workers were lost again and again, and else what the first worker to fail says.
    """
    places = {name: later.place(path) for name, path in inputs.items() if path}
    given = places | {name: str(path) for name, path in outputs.items()}
    arguments = [argument(name, value) for name, value in (*given.items(), *parameters)]
    with tempfile.TemporaryDirectory(prefix="workers-") as scratch:
        launcher = launcher_for(parameters, arguments, places, Path(scratch))
        for tries in range(TRIES):
            failed = _try(launcher, parameters.workers, arguments, Path(scratch))
            if not failed:
                return {name: artifact.read(path).metadata for name, path in outputs.items()}
            cause = next((each for each in failed if not each.may_pass), failed[0])
            if not cause.may_pass:
                raise _as_error(cause)
            if rendezvous.LATE in str(cause):
                break
            print(f"{cause}; all begin again, for the {_nth(tries + 2)} time", file=sys.stderr, flush=True)
    raise PeerLost(str(cause))


def launcher_for(
    parameters: TrainParameters, arguments: list[str], places: Mapping[str, str], scratch: Path
) -> Launcher:
    """Return what starts the others: `auto` is a Job where a pod was made for the step, and elsewhere processes.

    `places` are those of the inputs, which `arguments` have too; on other machines they may be elsewhere.
    """
    name = parameters.launcher
    if name == "auto":
        name = "job" if os.environ.get(rendezvous.POD) else "processes"
    if name == "processes":
        return Processes(parameters.workers, arguments, scratch)
    api = Api.of_this_pod()
    found = reached(places, parameters)
    own = tuple(argument(name, "") for name in found)
    elsewhere = [argument(name, place) for name, place in found.items()]
    elsewhere += [each for each in arguments if not each.startswith(own)]
    return (TrainJob if name == "trainjob" else Job)(api, parameters.workers, elsewhere)


def _try(launcher: Launcher, count: int, arguments: list[str], scratch: Path) -> list[Ended]:
    """Let all workers train; return those that ended badly, the chief last, and none if the chief did its work."""
    place = f"{launcher.host}:{_free_port()}"
    chief = Process.begin(0, count, arguments, place, scratch)
    asked = True
    try:
        launcher.start(place)
        failed, since = list[Ended](), 0.0
        while not (end := chief.ended()):
            if not failed and (failed := launcher.ended()):
                since = time.monotonic()
            if failed and time.monotonic() - since > PATIENCE_SECONDS:
                chief.stop(0)
            time.sleep(0.1)
        asked = False
        if not end.code:
            return []
        # One that the chief lost may be about to say why.
        ends = time.monotonic() + 2
        while not failed and time.monotonic() < ends:
            failed = launcher.ended()
            time.sleep(0.1)
        return [end, *failed] if end.code in FINAL else [*failed, end]
    finally:
        chief.stop(SAVING_SECONDS if asked else 0)
        launcher.stop()


def _as_error(cause: Ended) -> StepError:
    error = StepError(cause.sentence if cause.who == "the chief" and cause.sentence else str(cause))
    error.exit_code = cause.code
    return error


def _nth(number: int) -> str:
    return f"{number}{'th' if number % 100 in (11, 12, 13) else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _free_port() -> int:
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
