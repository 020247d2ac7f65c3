"""Data larger than memory: what each step takes of it, and how fast it is learned from, against a set that is held.

uv run python -m benchmarks.larger steps --images 40000 --folder /a/disk/with/room
uv run --group benchmarks python -m benchmarks.larger speed --images 7000 --window 128

`steps` makes a source of pictures that are small as PNG and large as pixels, and runs ingest, train and evaluate on it,
each in a process of its own, whose seconds and largest resident memory are printed; `--limit` is what a cgroup gives
them, in MiB. `speed` trains on the same images in turns, by each of the ways in readers.py: held in memory, by windows,
and by the readers of others.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.forms import measured
from benchmarks.readers import READERS
from components.artifacts import dataset as datasets
from components.contract import artifact

CLASSES, BLOCK, SOME = 10, 32, 500
STEP = """
import runpy, sys
from benchmarks import larger
larger.enter()
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
Pixels = npt.NDArray[np.uint8]


def pictures(count: int, size: int) -> Iterator[tuple[Pixels, npt.NDArray[np.uint8]]]:
    """Yield images in colour, some at a time, of squares of one colour, with their labels: which square is the red."""
    random, side = np.random.default_rng(0), -(-size // BLOCK)
    for start in range(0, count, SOME):
        labels = random.integers(0, CLASSES, min(SOME, count - start), np.uint8)
        small = random.integers(0, 200, (len(labels), side * side, 3), np.uint8)
        small[np.arange(len(labels)), labels] = (255, 0, 0)
        large = small.reshape(-1, side, side, 3).repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
        yield np.ascontiguousarray(large[:, :size, :size]), labels


def write_source(path: Path, count: int, size: int) -> None:
    """Write them as PNG in a Parquet file, which says the split of each."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    schema = pa.schema({"image": pa.binary(), "label": pa.int64(), "split": pa.string()})
    with pq.ParquetWriter(path, schema) as writer:
        for number, (images, labels) in enumerate(pictures(count, size)):
            packed = []
            for image in images:
                file = io.BytesIO()
                Image.fromarray(image).save(file, "png", compress_level=1)
                packed.append(file.getvalue())
            split = ("test", "test", "validation", *["train"] * 11)[number % 14]
            rows = {"image": packed, "label": labels.tolist(), "split": [split] * len(labels)}
            writer.write_table(pa.table(rows, schema))


def write_data_set(folder: Path, count: int, size: int) -> Path:
    """Write a data set as ingest does: so many to train on, and SOME else."""
    folder.mkdir(exist_ok=True)
    for split in datasets.SPLITS:
        number = count if split == "train" else SOME
        labels = np.concatenate([each for _, each in pictures(number, size)])
        datasets.write(folder, split, (each for each, _ in pictures(number, size)), labels, None, ["x"] * number)
    said = {"image_shape": [size, size, 3], "class_names": [str(i) for i in range(CLASSES)]}
    artifact.seal(folder, component="benchmark", output="dataset", parameters={}, inputs={}, metadata=said)
    return folder


def build(image_shape: tuple[int, int], classes: int, *, channels: int = 1) -> Any:
    """Return a network that takes little time and memory for an image, however large: its patches, and their mean."""
    import keras
    from keras import layers

    parts = [
        keras.Input((*image_shape, channels)),
        layers.Conv2D(32, 16, strides=16, activation="relu"),
        layers.Flatten(),
        layers.Dense(classes),
    ]
    return keras.Sequential(parts, name="patches")


def enter() -> None:
    """Make that network a choice of `model`, for a process of the benchmark."""
    from components.models import MODELS

    MODELS.add("patches", "benchmarks.larger")


def step(name: str, *arguments: object) -> list[str]:
    """Return the command of a step, which knows the network."""
    return ["-c", STEP, f"components.{name}", *map(str, arguments)]


def steps(options: argparse.Namespace, folder: Path) -> None:
    """Print what each step takes."""
    from tests.soak import machine

    source = folder / "source.parquet"
    write_source(source, options.images, options.size)
    print(f"{options.images:,} images, {options.images * options.size**2 * 3 / 1e9:.1f} GB of pixels", flush=True)
    made, learned, judged = ({name: folder / name for name in names} for names in (
        ("dataset", "report"), ("trained_model", "gradients", "metrics"), ("judged", "classification", "page")
    ))  # fmt: skip
    data = f"--dataset={made['dataset']}"
    commands = {
        "ingest": [f"--source={source}", data, f"--report={made['report']}"],
        "train": [data, "--model=patches", "--epochs=1", "--gradient-level=norms",
                  f"--shuffle-window={options.window}", *(f"--{name.replace('_', '-')}={path}"
                  for name, path in learned.items())],
        "evaluate": [data, f"--trained-model={learned['trained_model']}", f"--metrics={judged['judged']}",
                     f"--classification={judged['classification']}", f"--report={judged['page']}"],
    }  # fmt: skip
    for name, arguments in commands.items():
        with contextlib.ExitStack() as stack:
            words = stack.enter_context(machine.cgroup(options.limit * 2**20)) if options.limit else []
            seconds, processor, memory = measured(step(name, *arguments), words)
        print(f"{name:10} {seconds:7.1f} s, {processor:7.1f} s of processor, {memory:7,.0f} MiB at most", flush=True)


def serve(name: str, options: argparse.Namespace, dataset: Path, pipe: Any) -> None:
    """Prepare a contestant, and train an epoch whenever asked; answer with images a second, and seconds an image."""
    from components.train.component import TrainParameters
    from components.train.machine.data import load
    from components.train.train import advance, prepared

    if options.model == "patches":
        enter()
    window = options.window if name == "windows" else 2**16
    parameters = TrainParameters(
        model=options.model, batch_size=options.batch, epochs=10_000, gradient_level="norms", shuffle_window=window
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        prepared(parameters, lambda: load(dataset, window), Path(folder)) as run,
        READERS[name](run, dataset, options)(0, 10_000 * run.steps_per_epoch) as windows,
    ):
        at = 0

        def turn() -> tuple[float, float]:
            nonlocal at
            began, worked, first = time.perf_counter(), time.process_time(), int(at)
            while at < first + run.steps_per_epoch:
                one = next(windows)
                for stop, observed in run.plan.calls(at, one.end):
                    advance(run, at, stop, one, observed=observed)
                    at = stop
            images = (at - first) * options.batch
            return images / (time.perf_counter() - began), (time.process_time() - worked) / images

        turn()
        pipe.send("ready")
        while pipe.recv():
            pipe.send(turn())


def speed(options: argparse.Namespace, folder: Path) -> None:
    """Let the contestants take turns, and print the table."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    dataset = write_data_set(folder, options.images, options.size)
    context = multiprocessing.get_context("spawn")
    pipes, found = {}, {name: list[tuple[float, float]]() for name in READERS}
    for name in READERS:
        here, there = context.Pipe()
        context.Process(target=serve, args=(name, options, dataset, there), daemon=True).start()
        there.close()  # so that the end of the process is seen here
        here.recv()
        pipes[name] = here
    for _ in range(options.rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            found[name].append(pipe.recv())
    print(f"{options.model}, batch {options.batch}, {options.rounds} epochs each, load {os.getloadavg()[0]:.1f}")
    first = next(iter(READERS))
    for name in READERS:
        (rates, works), (others, bases) = zip(*found[name], strict=True), zip(*found[first], strict=True)
        speed, work = (100 * statistics.median(one / base for one, base in zip(*pair, strict=True))
                       for pair in ((rates, others), (works, bases)))  # fmt: skip
        shown = f"{statistics.median(rates):9,.0f} images/s ({min(rates):,.0f}–{max(rates):,.0f})"
        print(f"{name:12} {shown}, {speed:4.0f} % of {first}; an image takes {work:.0f} % of its processor time")
    for pipe in pipes.values():
        pipe.send(False)


def main() -> None:
    """Do what is asked for in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "speed"))
    parser.add_argument("--images", type=int, default=7000)
    parser.add_argument("--size", type=int, default=224, help="pixels to a side, in colour")
    parser.add_argument("--window", type=int, default=192, help="MiB")
    parser.add_argument("--limit", type=int, default=0, help="MiB of memory that each step has; 0: any")
    parser.add_argument("--model", default="patches")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None, help="where there is room")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="larger-", dir=options.folder) as folder:
        {"steps": steps, "speed": speed}[options.what](options, Path(folder))


if __name__ == "__main__":
    main()
