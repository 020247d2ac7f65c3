"""What checkpoints write and take in a long run: bytes and seconds, by the number of steps.

The network is small (`convnet`, 29,066 parameters), so that the record counts. What is resumed in the end is the last
checkpoint, with the whole record.

uv run python -m benchmarks.checkpoints --steps 10000 100000
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

EPOCH = 1000  # steps
BATCH = 8


def measure(steps: int, every: int, folder: Path) -> str:
    """Train so many steps with a checkpoint each `every`; return the row of the table."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from components.contract import artifact
    from components.contract import location as locations
    from components.train.component import TrainParameters
    from components.train.machine.checkpoint import Checkpoints
    from components.train.machine.data import Split
    from components.train.machine.state import State
    from components.train.train import learn, prepared

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (EPOCH * BATCH, 28, 28), np.uint8)
    labels = random.integers(0, 10, len(images)).astype(np.int32)

    def data() -> tuple[Split, Split, int]:
        split = Split(tf.constant(images), tf.constant(labels))
        return split, Split(split.images[:64], split.labels[:64]), 10

    written = {"step": 0, "record": 0}
    publish = locations.publish

    def counted(folder: Path, location: str) -> None:
        kind = "record" if "/record/" in location else "step"
        said = artifact.read(folder)
        written[kind] += sum(file.bytes for file in said.files.values()) + (folder / artifact.MANIFEST).stat().st_size
        publish(folder, location)

    locations.publish = counted
    parameters = TrainParameters(
        model="convnet", batch_size=BATCH, epochs=steps // EPOCH, checkpoints=str(folder / "place"),
        checkpoint_every=every,
    )  # fmt: skip
    (folder / "gradients").mkdir()

    class Timed(Checkpoints):
        seconds = 0.0

        def save(self, state: State, step: int) -> None:
            began = time.perf_counter()
            super().save(state, step)
            self.seconds += time.perf_counter() - began

    with prepared(parameters, data, folder / "gradients") as run:
        checkpoints = Timed(parameters, "0" * 64, "0" * 16)
        began = time.perf_counter()
        learn(run, 0, checkpoints)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        assert Checkpoints(parameters, "0" * 64, "0" * 16).resume(run.state, None, steps) == steps
        resumed = time.perf_counter() - began
    locations.publish = publish
    count, saving = steps // every, checkpoints.seconds
    kept = sum(path.stat().st_size for path in (folder / "place").rglob("*") if path.is_file())
    return (
        f"| {steps:,} | {count} | {written['step'] / 1e6:.1f} MB | {written['record'] / 1e6:.1f} MB "
        f"| {sum(written.values()) / steps / 1e3:.2f} kB | {kept / 1e6:.1f} MB | {saving / count * 1000:.0f} ms "
        f"| {saving / whole:.1%} | {resumed:.1f} s |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--every", type=int, default=500, help="steps from one checkpoint to the next")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options = parser.parse_args()
    print("| steps | checkpoints | state | record | a step | kept in the end | to save | of the time | to resume |")
    print("|---|---|---|---|---|---|---|---|---|")
    for steps in options.steps:
        folder = Path(tempfile.mkdtemp(dir=options.folder))
        try:
            print(measure(steps, options.every, folder), flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
