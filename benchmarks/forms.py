"""Seconds and memory to read 60,000 images in each form of data, and to ingest them.

MNIST's training images, if ingest has fetched them before, or noise of their size. Each is written in every form, and
read in a fresh process from the disk's cache; `ingest` is the whole step, from the same files to its artifact and page.
Printed are the median and the range of the rounds' seconds, the median of their processor time, and the largest
resident memory of any.

uv run python -m benchmarks.forms --rounds 3
"""

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.ingest.forms import idx
from components.testdata.forms import WRITERS, Splits

MNIST = Path("~/.cache/tapeline/mnist").expanduser()
ROOT = Path(__file__).parents[1]
READ = """
import sys
from pathlib import Path
from components.ingest.forms import Fields, choose
from components.ingest.place import Place
place = Place(sys.argv[1], Path(sys.argv[2]))
images = sum(len(batch.images) for batch in choose(place, "auto").read(place, Fields()))
assert images == int(sys.argv[3]), images
"""


def digits(count: int) -> Splits:
    """Return so many images to train on, and their labels."""
    if (MNIST / "train-images-idx3-ubyte").is_file() and count <= 60_000:
        images = idx.numbers(MNIST / "train-images-idx3-ubyte", "images")[:count]
        return {"train": (images, idx.numbers(MNIST / "train-labels-idx1-ubyte", "labels")[:count])}
    random = np.random.default_rng(0)
    return {"train": (random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8))}


def measured(command: list[str], before: Sequence[str] = ()) -> tuple[float, float, float]:
    """Run Python with these arguments; return its seconds, processor seconds and largest resident memory in MB.

    All are NaN if it fails. `before` are the words before the command.
    """
    begin, memory = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*before, sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            memory = max(memory, _peak(process.pid))
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            print(said.read().decode().strip().splitlines()[-1], file=sys.stderr)
            return (math.nan,) * 3
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, memory / 1024


def _peak(pid: int) -> int:
    """Return the largest resident memory so far in KiB; what wait4 says counts that of this process, which forked."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def shown(runs: list[tuple[float, float, float]]) -> str:
    """Return the median and the range of seconds, the median of processor time, and the largest memory, as cells."""
    if not runs or any(math.isnan(run[0]) for run in runs):
        return "– | – | –"
    seconds = sorted(run[0] for run in runs)
    processor = statistics.median(run[1] for run in runs)
    memory = max(run[2] for run in runs)
    return f"{statistics.median(seconds):.1f} ({seconds[0]:.1f} … {seconds[-1]:.1f}) | {processor:.1f} | {memory:,.0f}"


def main() -> None:
    """Write, read and ingest the images in each form, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--forms", nargs="+", default=list(WRITERS), choices=list(WRITERS))
    parser.add_argument("--no-ingest", action="store_true", help="only read them")
    arguments = parser.parse_args()
    splits = digits(arguments.count)
    columns = ["form", "MB", "read, s", "processor, s", "MB of memory", "ingest, s", "processor, s", "MB of memory"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    for form in arguments.forms:
        with tempfile.TemporaryDirectory(prefix="tapeline-") as folder:
            source = Path(folder) / "source"
            source.mkdir()
            WRITERS[form](source, splits)
            size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file()) / 1e6
            read, ingest = [], []
            for _ in range(arguments.rounds):
                read.append(measured(["-c", READ, str(source), f"{folder}/scratch", str(arguments.count)]))
                if not arguments.no_ingest:
                    made = [f"--dataset={folder}/dataset", f"--report={folder}/report"]
                    ingest.append(measured(["-m", "components.ingest", f"--source={source}", *made]))
                    for output in ("dataset", "report"):
                        shutil.rmtree(Path(folder) / output, ignore_errors=True)
            print(f"| {form} | {size:,.0f} | {shown(read)} | {shown(ingest)} |", flush=True)


if __name__ == "__main__":
    main()
