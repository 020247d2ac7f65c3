"""How long validation takes, and how much memory: of MNIST from the cache, or of as many images of any size.

uv run python -m benchmarks.validation
uv run python -m benchmarks.validation --images 20000 --size 64x64x3
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data_sound import mnist
from components.artifacts import dataset as datasets
from components.ingest.report import write_report
from components.ingest.validation import inspect, validate

MIB = 2**20


def main() -> None:
    """Write the splits, then look at them, ask the rules, and draw the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=0, help="how many, of noise; 0: MNIST")
    parser.add_argument("--size", default="28x28", help="height x width, x3 in colour")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        splits, origins = {}, {}
        if options.images:
            random, size = np.random.default_rng(0), tuple(map(int, options.size.split("x")))
            counts = dict(zip(datasets.SPLITS, np.array([11, 1, 2]) * options.images // 14, strict=True))
        for split in datasets.SPLITS:
            if options.images:
                images: Any = (random.integers(0, 256, (1, *size), np.uint8) for _ in range(counts[split]))
                labels = random.integers(0, 10, counts[split], dtype=np.uint8)
            else:
                whole, labels = mnist()[split]
                images = iter([whole])
            origins[split] = [f"{split} row {i}" for i in range(len(labels))]
            splits[split] = datasets.write(folder, split, images, labels, None, origins[split])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        marks = [(time.perf_counter(), time.process_time())]
        data = inspect(splits, origins, [str(i) for i in range(10)])
        marks.append((time.perf_counter(), time.process_time()))
        findings = validate(data)
        marks.append((time.perf_counter(), time.process_time()))
        write_report(folder / "report.html", "benchmark", data, findings, "never")
        marks.append((time.perf_counter(), time.process_time()))
        for name, start, end in zip(("look and describe", "rules", "page"), marks, marks[1:], strict=False):
            print(f"{name:18} {end[0] - start[0]:6.2f} s, {end[1] - start[1]:6.2f} s of CPU")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size_of_all = sum(split.images.nbytes for split in splits.values()) / MIB
        print(f"peak {peak:,.0f} MiB, {peak - before:,.0f} more than before; the images are {size_of_all:,.0f} MiB")
        print(f"page {(folder / 'report.html').stat().st_size / 1024:,.0f} KiB; {len(findings)} findings")


if __name__ == "__main__":
    main()
