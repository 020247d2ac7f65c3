"""How fast whole gradients are kept: to this machine's disk, and from there to the embedded S3 server.

uv run python -m benchmarks.snapshots --count 30
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from components.artifacts.record.writer import Recorder
from components.contract import artifact, location
from components.contract.store.embedded import serve

SHAPES = ((3, 3, 1, 32), (32,), (21632, 128), (128,), (128, 10), (10,))  # of `simple`: 11.08 MB


def main() -> None:
    """Write the gradients of so many steps, publish them, and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    gradients = [random.standard_normal(shape).astype(np.float32) for shape in SHAPES]
    variables = [{"name": str(index), "shape": list(shape)} for index, shape in enumerate(SHAPES)]
    with tempfile.TemporaryDirectory() as scratch, serve(Path(scratch) / "store", "bench") as settings:
        os.environ.update(settings)
        with location.staging("s3://bench/gradients") as folder:
            recorder = Recorder(folder, variables, "full")
            began = time.perf_counter()
            for step in range(options.count):
                recorder.snapshot(step + 1, gradients)
            written = time.perf_counter()
            artifact.seal(folder, component="bench", output="gradients", parameters={}, inputs={})
            sealed = time.perf_counter()
            location.publish(folder, "s3://bench/gradients")
            published = time.perf_counter()
        size = options.count * sum(gradient.nbytes for gradient in gradients) / 1e9
    for what, seconds in (("written", written - began), ("hashed", sealed - written), ("to S3", published - sealed)):
        print(f"{what:8} {size:.2f} GB in {seconds:6.2f} s: {size / seconds:.2f} GB/s")


if __name__ == "__main__":
    main()
