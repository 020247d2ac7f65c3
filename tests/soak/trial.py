"""One trial: a step under its fault, judged, and the same step again without it."""

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from components.contract.store.client import Store
from tests.soak import judge, machine
from tests.soak.ground import BUCKET, Ground, Run
from tests.soak.kinds import ABORTED, BAD, DONE, KILLED, KINDS, Trial, at
from tests.soak.proxy import Proxy

UNLIKE = "--seed=1"


@dataclass
class Report:
    """What came of a trial."""

    trial: Trial
    runs: list[Run] = field(default_factory=list)  # under the fault, then without
    wrong: list[str] = field(default_factory=list)
    struck: int = 0
    skipped: str = ""

    @property
    def outcome(self) -> str:
        """One of: skipped, wrong, passed, ended; none, where the fault came too late, or was none for this step."""
        if self.skipped:
            return "skipped"
        if self.wrong:
            return "wrong"
        if self.runs[0].code != DONE:
            return "ended"
        on_machine = self.trial.machine or {}
        struck = self.struck and "signal" not in on_machine
        return "passed" if struck or "second" in on_machine or "before" in on_machine else "none"


@dataclass
class _Scene:
    """A trial's own folder and places."""

    ground: Ground
    trial: Trial
    own: Path
    words: list[str]  # before the command
    environment: dict[str, str]
    base: str  # of the outputs
    temporary: Path
    left: Path | None = None  # what was on a disk that is gone

    @property
    def settings(self) -> dict[str, str]:
        return self.ground.stores[self.trial.store]

    def command(self, *more: str) -> list[str]:
        own = [*more, f"--cache={self.own}/home/cache"] if self.trial.step == "ingest" else more
        return self.ground.command(self.trial.step, self.base, f"s3://{BUCKET}/good", *own)


def perform(ground: Ground, trial: Trial) -> Report:
    """Perform a trial and judge it. What the trial lacks on this machine makes it a skipped one."""
    report, own = Report(trial), ground.folder / trial.base
    own.mkdir(parents=True)
    try:
        with contextlib.ExitStack() as stack:
            scene, proxy = _scene(stack, ground, trial, own)
            _under_fault(scene, proxy, report)
        report.wrong += [f"the proxy itself failed: {error!r}" for error in proxy.errors]
        report.struck = len(proxy.struck)
        _again(scene, report)
    except machine.Lacking as reason:
        report.skipped = str(reason)
    return report


def _scene(stack: contextlib.ExitStack, ground: Ground, trial: Trial, own: Path) -> tuple[_Scene, Proxy]:
    given = dict(trial.machine or {})
    fault = trial.fault and replace(trial.fault, key=at(trial.base, trial.step, trial.fault))
    environment, words, disk = ground.environment(own, trial.store), [], own / "disk"
    if "hours" in given and (shifted := machine.clock(given["hours"])):
        environment |= shifted
        fault = None  # the real thing
    if "disk" in given:
        words = machine.on_a_disk(disk, own / "left", given["disk"])
        environment["TMPDIR"] = str(own / "tmp" if trial.local else disk / "tmp")
    if "read_only" in given:
        (own / "places").mkdir()
        words = machine.on_a_read_only_disk(own / "places" if trial.local else Path("/"))
    if "memory" in given:
        words = machine.with_address_space(given["memory"])
    if "cgroup" in given:
        words = stack.enter_context(machine.cgroup(given["cgroup"]))
    places = disk / "places" if "disk" in given else own / "places"
    base = str(places) if trial.local else f"s3://{BUCKET}/{trial.base}"
    proxy = stack.enter_context(Proxy(environment["AWS_ENDPOINT_URL"], fault))
    environment["AWS_ENDPOINT_URL"] = proxy.endpoint
    scene = _Scene(ground, trial, own, words, environment, base, own / "tmp", own / "left" if "disk" in given else None)
    if "before" in given:
        for output, folder in ground.unlike.items():
            _put(folder, f"{base}/{output}", scene.settings)
    return scene, proxy


def _put(folder: Path, place: str, settings: Mapping[str, str]) -> None:
    if place.startswith("s3://"):
        Store.from_environment(settings).publish(folder, place)
    else:
        shutil.copytree(folder, place)


def _under_fault(scene: _Scene, proxy: Proxy, report: Report) -> None:
    given, trial, began = dict(scene.trial.machine or {}), scene.trial, time.monotonic()
    started = threading.Event()
    processes: list[subprocess.Popen[bytes]] = []
    if "signal" in given:

        def strike() -> None:
            started.wait()
            _signal(processes[0], given, scene.ground.seconds[trial.step])

        proxy.strike = strike
    processes.append(scene.ground.start([*scene.words, *scene.command()], scene.own, scene.environment))
    started.set()
    if "second" in given:
        second = scene.ground.start(scene.command(*given["second"]), scene.own, scene.environment)
        processes.append(second)
    if "seconds" in given:
        _later(given["seconds"], processes[0], given)
    report.runs = [scene.ground.finish(each, scene.own, began, number) for number, each in enumerate(processes)]
    _judge(scene, report, [each.pid for each in processes])


def _signal(process: subprocess.Popen[bytes], given: dict[str, Any], seconds: float) -> None:
    """Send the signal: at once, or, in a thread of its own, after so many seconds or a share of the step's time."""
    if delay := given.get("after", given.get("share", 0) * seconds):
        _later(delay, process, given)
    elif process.poll() is None:
        process.send_signal(int(given["signal"]))


def _later(seconds: float, process: subprocess.Popen[bytes], given: dict[str, Any]) -> None:
    timer = threading.Timer(seconds, _signal, (process, {"signal": given["signal"]}, 0))
    timer.daemon = True
    timer.start()


def _judge(scene: _Scene, report: Report, sessions: list[int]) -> None:
    trial, wrong = scene.trial, report.wrong
    right = right_codes(trial)
    for run in report.runs:
        wrong += judge.of_ending(trial.step, run, right)
    for session in sessions:
        killed = report.runs[sessions.index(session)].code in (KILLED, ABORTED)
        wrong += [] if killed else judge.of_processes(session)
        machine.end(machine.in_session(session))
    if scene.left:
        shutil.copytree(scene.left / "places", scene.own / "places", dirs_exist_ok=True)
        if not trial.local:
            scene.temporary = scene.left / "tmp"
    if trial.local:
        scene.base = str(scene.own / "places")
        Path(scene.base).mkdir(exist_ok=True)
    if not any(run.code in (KILLED, ABORTED) or judge.ended_by_a_library(run) for run in report.runs):
        wrong += judge.of_leftovers(scene.temporary, scene.own / "places")
    wrong += _outputs(scene, whole=report.runs[0].code == DONE)
    uris = [] if trial.local else [scene.base]
    wrong += judge.of_secrets([scene.own], scene.ground.secrets, uris, scene.settings)


def right_codes(trial: Trial) -> tuple[int, ...]:
    """Return the exit codes that are right: a folder that is taken is replaced, a place in the store is not."""
    if trial.machine and "before" in trial.machine:
        return (DONE,) if trial.local else (BAD,)
    if trial.machine and "second" in trial.machine and trial.local:
        return (DONE,)
    return KINDS[trial.kind].right


def _outputs(scene: _Scene, *, whole: bool) -> Iterator[str]:
    given, step = scene.trial.machine or {}, scene.trial.step
    good = {name: [digest] for name, digest in scene.ground.digests.items() if name.startswith(f"{step}/")}
    if given.get("second"):
        whole = False  # either of the two, or neither
    if "before" in given or given.get("second"):
        for name, digest in scene.ground.unlike_digests.items():
            good[name].append(digest)
    whole = whole or "before" in given
    yield from judge.of_places(scene.base, good, scene.settings, whole=whole)


def _again(scene: _Scene, report: Report) -> None:
    """Call the step again without the fault, unless it has done its work, or cannot."""
    given = scene.trial.machine or {}
    if report.runs[0].code == DONE or ("before" in given and not scene.trial.local):
        return
    own = scene.own / "again"
    own.mkdir()
    environment = scene.ground.environment(own, scene.trial.store)
    run = scene.ground.run(scene.command(), own, environment)
    report.runs.append(run)
    unlike = bool(given.get("second"))
    wrong = [*judge.of_ending(scene.trial.step, run, (DONE, BAD) if unlike else (DONE,))]
    wrong += judge.of_leftovers(own / "tmp", own / "places")
    wrong += _outputs(scene, whole=True)
    report.wrong += [f"again, without the fault: {sentence}" for sentence in wrong]
