"""What a long run takes: seconds, the largest resident memory and bytes of recording, checkpoints, export and report.

The record is made up, and written by the writer that train uses, at the steps of the real schedules; training itself is
left out, so that a million steps take minutes. One step in the middle has a gradient a thousand times as large as the
others, which the report must show. Each part is in a process of its own. A million steps of 200 variables take 20 GB.

uv run python -m benchmarks.long --steps 10000 100000 --variables 200
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.record.columns import BINS, STATISTICS
from components.artifacts.record.writer import Recorder
from components.contract import artifact
from components.train.component import TrainParameters
from components.train.machine.plan import plan

EPOCHS = 100
POOL = 61  # rows that are drawn once and taken in turn; a prime, so that they meet no schedule
SPIKE = 1000.0
PARTS = ("checkpoints", "record", "export", "report")  # the first makes two copies of the record, and is cleared away


def recorded(recorder: Recorder, parameters: TrainParameters, steps: int) -> Iterator[int]:
    """Record so many steps, as the training loop calls the recorder; yield each step after which it comes back."""
    random, count, planned = np.random.default_rng(0), len(recorder.variables), plan(parameters, steps)
    rows = np.exp(random.normal(-3, 0.3, (POOL, len(recorder.columns)))).astype(np.float32)
    stats = np.exp(random.normal(-6, 1, (POOL, count, len(STATISTICS)))).astype(np.float32)
    hist = random.binomial(1000, 0.5 * np.exp(-np.square((np.arange(BINS) % 256 - 110) / 6)), (POOL, count, BINS))
    pools = {"stats": stats, "hist": hist.astype(np.int32)}
    whole = [random.normal(size=each["shape"]).astype(np.float32) for each in recorder.variables]
    step = 0
    for end, observed in planned.calls(0, steps):
        at = np.arange(step + 1, end + 1)
        fall = np.exp(-2 * at / steps)[:, None].astype(np.float32)
        values: npt.NDArray[Any] = rows[at % POOL] * fall
        values[at == steps // 2, 3:] *= SPIKE
        recorder.add("steps", at.tolist(), values)
        for kind, pool in pools.items() if observed else ():
            if chosen := [number for number in at.tolist() if kind in planned.due(number)]:
                recorder.add(kind, chosen, pool[np.array(chosen) % POOL])
        if "full" in planned.due(end):
            recorder.snapshot(end, whole)
        step = end
        yield step


def recorder_of(folder: Path, variables: int) -> Recorder:
    """Return a recorder for so many variables, half of them kernels and half biases."""
    folder.mkdir(parents=True)
    named = [
        {"name": f"net/block_{i // 2:03}/{role}", "shape": shape, "activation": "relu", "connected": True}
        for i in range(variables)
        for role, shape in [(("kernel", [8, 8]), ("bias", [8]))[i % 2]]
    ]
    return Recorder(folder, named, "full")


def epochs_of(count: int) -> list[dict[str, float]]:
    """Return the metrics of so many epochs."""
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    return [{"epoch": i} | dict.fromkeys(names, 1 / (1 + i)) for i in range(1, count + 1)]


def record(folder: Path, steps: int, variables: int, _every: int) -> float:
    """Write the record, and seal it."""
    began = time.perf_counter()
    recorder = recorder_of(folder / "record", variables)
    for _ in recorded(recorder, TrainParameters(epochs=EPOCHS), steps):
        pass
    settings = {"steps_per_epoch": steps // EPOCHS, "images_per_step": 128, "classes": 10, "clip_norm": 0.0}
    recorder.finish(settings | {"frozen": []}, epochs_of(EPOCHS))
    artifact.seal(recorder.folder, component="train", output="gradients", parameters={}, inputs={})
    return time.perf_counter() - began


def checkpoints(folder: Path, steps: int, variables: int, every: int) -> float:
    """Save a checkpoint every so many steps, of a network that is next to nothing, so that the record counts."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from components.train.machine.checkpoint import Checkpoints

    weights = tf.Variable(tf.zeros([8]))
    state: Any = SimpleNamespace(
        recorder=recorder_of(folder / "scratch", variables), gradients=[weights.value()], totals=[1.0, 1.0], epochs=[],
        variables=lambda: {"weights": weights},
    )  # fmt: skip
    place = str(folder / "checkpoints")
    parameters = TrainParameters(epochs=EPOCHS, checkpoints=place, checkpoint_every=every)
    saver, took = Checkpoints(parameters, "0" * 64, "0" * 16), []
    for step in recorded(state.recorder, parameters, steps):
        state.epochs = epochs_of(step // (steps // EPOCHS))
        if step % every == 0:
            began = time.perf_counter()
            saver.save(state, step)
            took.append(time.perf_counter() - began)
    tenth = max(1, len(took) // 10)
    first, last = (1000 * sum(part) / len(part) for part in (took[:tenth], took[-tenth:]))
    print(f"{len(took)} checkpoints, {first:.0f} ms each at first and {last:.0f} ms at last", end="")
    return sum(took)


def export(folder: Path, *_: int) -> float:
    """Do the work of the step."""
    from components.export.component import ExportParameters
    from components.export.export import export as work

    (folder / "tables").mkdir()
    page, began = folder / "export.html", time.perf_counter()
    with redirect_stdout(sys.stderr):
        work(ExportParameters(), gradients=folder / "record", gradient_tables=folder / "tables", report=page)
    return time.perf_counter() - began


def report(folder: Path, *_: int) -> float:
    """Write the page alone."""
    from components.artifacts.record import noise
    from components.artifacts.record.reader import read
    from components.export.checks import RULES
    from components.export.diagnosis import diagnose
    from components.export.report import write_report

    began = time.perf_counter()
    found = read(folder / "record")
    write_report(folder / "report.html", found, noise.measure(found), diagnose(found, RULES), "never")
    return time.perf_counter() - began


MADE = {"record": "record", "checkpoints": "checkpoints", "export": "tables", "report": "report.html"}


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def measure(folder: Path, steps: int, variables: int, every: int) -> Iterator[str]:
    """Yield a row of the table for each part."""
    for part in PARTS:
        command = [sys.executable, "-m", "benchmarks.long", "--part", part, "--folder", str(folder)]
        command += ["--steps", str(steps), "--variables", str(variables), "--every", str(every)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        said, seconds, peak = done.stdout.split("|")
        made = size_of(folder / MADE[part])
        yield (
            f"| {steps:,} | {variables:,} | {part} | {float(seconds):.1f} s | {float(peak) / 1024:.0f} MiB "
            f"| {made / 1e6:,.2f} MB | {made / steps:,.0f} | {said} |"
        )
        shutil.rmtree(folder / "scratch", ignore_errors=True)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def main() -> None:
    """Print the table, or do one part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--variables", type=int, default=200)
    parser.add_argument("--every", type=int, default=500, help="steps from one checkpoint to the next")
    parser.add_argument("--folder", type=Path, help="where to write and to leave it (default: a temporary folder)")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        parts: dict[str, Callable[[Path, int, int, int], float]]
        parts = {"record": record, "checkpoints": checkpoints, "export": export, "report": report}
        seconds = parts[options.part](options.folder, options.steps[0], options.variables, options.every)
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        (peak,) = re.findall(r"VmHWM:\s*(\d+) kB", status)  # not getrusage's, which begins with that of the parent
        print(f"|{seconds}|{peak}")
        return
    print("| steps | variables | part | seconds | peak memory | bytes | a step | |")
    print("|---|---|---|---|---|---|---|---|")
    for steps in options.steps:
        folder = options.folder / str(steps) if options.folder else Path(tempfile.mkdtemp())
        try:
            for row in measure(folder, steps, options.variables, options.every):
                print(row, flush=True)
        finally:
            if not options.folder:
                shutil.rmtree(folder)


if __name__ == "__main__":
    main()
