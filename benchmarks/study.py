"""What a study costs, in steps of full trainings, and what it finds: with halving, and with every trial to the end.

The trials are drawn by chance, so they are the same in both, on 10,000 images of MNIST. Printed is, for each, the share
of the steps, the best trial and its validation accuracy.

uv run python -m benchmarks.study --trials 64 --epochs 8 --eta 4 1
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

VALIDATION = 50_000  # of the 60,000 training images: the others are trained on, and the order of the best is sure
VARY = ("--vary=learning_rate=1e-4..3e-2:log", "--vary=batch_size=32..512:log", "--vary=model=simple,convnet")


def main() -> None:
    """Do the studies, one after the other; they share a folder, so no training is done twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--eta", type=int, nargs="+", default=[4, 1], help="1: every trial to the end")
    parser.add_argument("--folder", type=Path, help="where it is kept, to go on with it later")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        for eta in options.eta:
            study(folder, eta, options.trials, options.epochs)


def study(folder: Path, eta: int, trials: int, epochs: int) -> None:
    """Do a study, and print what it cost and found."""
    name = f"eta-{eta}"
    subprocess.run(
        [
            sys.executable, "-m", "dags.study", f"--folder={folder}", f"--name={name}", f"--trials={trials}",
            f"--epochs={epochs}", f"--eta={eta}", f"--validation-size={VALIDATION}", "--sampler=random",
            "--only-choose", *VARY,
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = json.loads((folder / "studies" / name / "study.json").read_text(encoding="utf-8"))
    steps, best = found["steps"], found["best"]
    share = steps["search"] / steps["in_full"]
    print(
        f"eta {eta}: {steps['search']:,} of {steps['in_full']:,} steps, {100 * share:.1f} %; best is trial "
        f"{best['trial']}, {best['values']}, {found['finalists'][0]['searched']:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
