"""What it costs to keep gradients: the time of a step at each level, as a multiple of its time at level `off`.

Each contestant is a process of its own that trains and writes its record as `train` does; they take turns, so that a
machine whose speed drifts does so for all. Printed are the median and the quartiles, over the rounds, of the ratios
within a round.

uv run python -m benchmarks.cost --model simple --batch 32
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

# A turn has 128 steps, so every schedule comes round.
STEPS = 128
NO_GEOMETRIC = {"geometric": 0}
CONTESTANTS: dict[str, dict[str, Any]] = {
    "off": {"gradient_level": "off"},
    "norms, every step": {"gradient_level": "norms"},
    "stats, every 32": {"gradient_level": "stats"},
    "stats, every 8": {"gradient_level": "stats", "stats_every": 8},
    "stats, every step": {"gradient_level": "stats", "stats_every": 1},
    "stats and hist, every 64": {"gradient_level": "hist", "stats_every": 64},
    "stats, hist and full, every 64": {"gradient_level": "full", "stats_every": 64, "snapshot_every": 64},
    "stats every 32, hist every 64": {"gradient_level": "hist"},
}


def serve(name: str, model: str, batch: int, pipe: Any) -> None:
    """Prepare a contestant, warm it up, and let it take its turn whenever asked; answer with the seconds it took."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from components.train.component import TrainParameters
    from components.train.machine.data import Split
    from components.train.machine.windows import Window
    from components.train.train import advance, prepared

    random = np.random.default_rng(0)
    images = random.integers(0, 256, (20_000, 28, 28), np.uint8)
    labels = random.integers(0, 10, 20_000).astype(np.int32)
    order = random.integers(0, 20_000, (STEPS, batch)).astype(np.int32)
    values = NO_GEOMETRIC | CONTESTANTS[name]
    parameters = TrainParameters(model=model, batch_size=batch, epochs=10_000, **values)

    def data() -> tuple[Split, Split, int]:
        split = Split(tf.constant(images), tf.constant(labels))
        return split, split, 10

    with tempfile.TemporaryDirectory() as folder, prepared(parameters, data, Path(folder)) as run:
        step = 0

        def turn() -> float:
            nonlocal step
            began, start = time.perf_counter(), step
            for end, observed in run.plan.calls(start, start + STEPS):
                advance(run, step, end, Window(start, run.splits[0], order), observed=observed)
                step = end
            return time.perf_counter() - began

        turn()
        turn()
        pipe.send("ready")
        while pipe.recv():
            pipe.send(turn())
        pipe.send(None)


def main() -> None:
    """Let the contestants take turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="simple")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes, seconds = {}, {name: list[float]() for name in CONTESTANTS}
    for name in CONTESTANTS:  # one after the other, so that nobody compiles while another is warmed up
        ours, theirs = context.Pipe()
        arguments = (name, options.model, options.batch, theirs)
        context.Process(target=serve, args=arguments, daemon=True).start()
        ours.recv()
        pipes[name] = ours
    for _ in range(options.rounds):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds[name].append(pipe.recv())
    print(f"{options.model}, batch {options.batch}, {options.rounds} rounds of {STEPS} steps, {os.cpu_count()} CPUs")
    print(f"{'':30} {'ms a step':>9} {'time, off = 1':>14} {'quartiles':>11}")
    for name, times in seconds.items():
        ratios = [mine / base for mine, base in zip(times, seconds["off"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        milliseconds = 1000 * statistics.median(times) / STEPS
        print(f"{name:30} {milliseconds:9.2f} {middle:14.2f} {low:6.2f}–{high:.2f}")
    for pipe in pipes.values():
        pipe.send(False)
        pipe.recv()


if __name__ == "__main__":
    main()
