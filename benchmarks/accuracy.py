"""Test accuracy and time of a recipe over several seeds, each a whole run of the workflow.

uv run python -m benchmarks.accuracy --seeds 3 -- --model convnet --epochs 10
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Run the workflow once for each seed and print a line for each, and their mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 on")
    parser.add_argument("recipe", nargs="*", help="arguments of the workflow")
    options = parser.parse_args()
    accuracies, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            command = [sys.executable, "-m", "dags.local", "--folder", folder, "--no-cache", "--seed", str(seed)]
            done = subprocess.run([*command, *options.recipe], check=True, capture_output=True, text=True)
            epochs = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
            summary = json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8"))
            accuracies.append(100 * summary["accuracy"])
            seconds.append(summary["seconds"]["train"])
            print(f"seed {seed}: {accuracies[-1]:.2f} %, train step {seconds[-1]:.1f} s; {epochs[-1]}", flush=True)
    spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
    print(
        f"{' '.join(options.recipe) or 'defaults'}: {statistics.mean(accuracies):.2f} %{spread}, "
        f"train step {min(seconds):.0f} to {max(seconds):.0f} s"
    )


if __name__ == "__main__":
    main()
