"""What several workers cost: images a second of N workers on this machine, beside one process on the same cores.

Every contestant is a training of its own by the command of the step; they take turns, and what counts is each one's
last epoch, when all is compiled. Processes on one machine share its cores, so the best that N of them can do here is
what one does: the ratio says what is lost by sharing the work, not what several machines would gain. Printed are the
median and the range, over the rounds, of the ratios within a round, and the bytes that went over the loopback in a step
for each worker. The last table is arithmetic: what the sum of a gradient takes on a network, and from which time of a
step on workers pay.

uv run python -m benchmarks.workers --model simple --batch 128

The images are noise of the size of MNIST's: what a step takes does not depend on what is in them.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from components.artifacts import dataset as datasets
from components.contract import artifact

EPOCHS = 3
GBITS = (10, 25, 100)
CONTESTANTS = ({"workers": 1}, {"replicas": 2}, {"workers": 2}, {"workers": 4})


def write_data_set(folder: Path, images: int) -> None:
    """Write so many images to train on, and a few to validate with."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for split, count in (("train", images), ("validation", 128)):
        pixels, labels = random.integers(0, 256, (count, 28, 28), np.uint8), random.integers(0, 10, count, np.uint8)
        datasets.write(folder, split, iter([pixels]), labels, None, ["noise"] * count)
    said = {"class_names": [str(number) for number in range(10)]}
    artifact.seal(folder, component="benchmark", output="dataset", parameters={}, inputs={}, metadata=said)


def train(dataset: Path, model: str, batch: int, values: dict[str, int]) -> tuple[float, int]:
    """Train; return the images a second of the last epoch, and the bytes that went over the loopback meanwhile."""
    given = {"model": model, "batch_size": batch, "epochs": EPOCHS, "gradient_level": "norms", **values}
    with tempfile.TemporaryDirectory() as folder:
        places = {name: f"{folder}/{name}" for name in ("trained_model", "gradients", "metrics")}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in (given | places).items()]
        before = sent()
        done = subprocess.run(
            [sys.executable, "-m", "components.train", f"--dataset={dataset}", *flags],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    speeds = re.findall(r"([\d,]+) images/s", done.stdout)
    return float(speeds[-1].replace(",", "")), sent() - before


def sent() -> int:
    """Return how many bytes have gone over the loopback."""
    (line,) = [line for line in Path("/proc/net/dev").read_text().splitlines() if line.strip().startswith("lo:")]
    return int(line.partition(":")[2].split()[8])


def on_paper(megabytes: float) -> str:
    """Return the table of what the sum of a gradient of that size takes in a ring."""
    lines = [
        "| Gbit/s | 2 workers | 4 workers | 8 workers | a step of a worker for 90 % efficiency, 8 workers |",
        "|--:" * 5 + "|",
    ]
    for speed in GBITS:
        times = [1000 * 8 * megabytes * 2**20 * 2 * (n - 1) / n / (speed * 1e9) for n in (2, 4, 8)]
        shown = " | ".join(f"{each:.2f} ms" for each in times)
        lines.append(f"| {speed} | {shown} | {9 * times[-1]:.1f} ms |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="simple")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=11_000, help="of an epoch")
    parser.add_argument(
        "--gradient", type=float, default=11.1, help="megabytes, for the table on paper (default: 11.1)"
    )
    given = parser.parse_args()
    steps = EPOCHS * (given.images // given.batch)
    speeds: dict[str, list[float]] = {}
    wire: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_data_set(dataset := Path(folder) / "dataset", given.images)
        for _ in range(given.rounds):
            for values in CONTESTANTS:
                ((what, count),) = values.items()
                speed, over = train(dataset, given.model, given.batch, values)
                speeds.setdefault(f"{count} {what}", []).append(speed)
                wire.setdefault(f"{count} {what}", []).append(over / steps / count / 2**20)
                print(f"{count} {what}: {speed:,.0f} images/s", file=sys.stderr, flush=True)
    print(f"{given.model}, {given.batch} images a step, {given.rounds} rounds")
    print("| | images/s | of one process | MiB sent in a step, a worker |\n|--|--:|--:|--:|")
    first = speeds["1 workers"]
    for name, found in speeds.items():
        ratios = [each / one for each, one in zip(found, first, strict=True)]
        share = f"{100 * statistics.median(ratios):.0f} % ({100 * min(ratios):.0f} to {100 * max(ratios):.0f})"
        print(f"| {name} | {statistics.median(found):,.0f} | {share} | {statistics.median(wire[name]):.1f} |")
    print("\n" + on_paper(given.gradient))


if __name__ == "__main__":
    main()
