"""What a study costs, in steps of full trainings, and what it finds: with halving, and with every trial to the end.

All in one process, which trains on 6,000 images of MNIST that ingest has fetched before. The trials are drawn by
chance, so they are the same in both. The steps are those that were taken, as train tells them.

uv run python -m benchmarks.study --trials 64 --epochs 8 --eta 4 1
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.data_sound import mnist
from components.conftest import make
from components.contract.artifact import Manifest
from components.contract.errors import StepError
from components.ingest.component import COMPONENT as INGEST
from components.study import plan
from components.study.plan import Job, Outcome, Spec
from components.study.sampler import values_of
from components.study.space import Choice, Range
from components.train.component import COMPONENT as TRAIN

IMAGES = 6000
MEASURE = "validation_accuracy"
SPACE = (
    Range("batch_size", 32, 512, log=True, whole=True),
    Range("learning_rate", 1e-4, 3e-2, log=True, whole=False),
    Choice("optimizer", ("adam", "sgd")),
)


def main() -> None:
    """Do the studies, one after the other, and print what each cost and found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--eta", type=int, nargs="+", default=[4, 1], help="1: every trial to the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        dataset = subset(Path(scratch))
        for eta in options.eta:
            spec = Spec(
                SPACE, (), "random", options.trials, 4, eta, options.epochs, 1, 1, 0, MEASURE, higher=True
            )  # fmt: skip
            began = time.monotonic()
            outcomes: dict[Job, Outcome] = {}
            while jobs := plan.next_jobs(spec, outcomes):
                for job in jobs:
                    outcomes[job] = train(spec, job, values_of(spec, job.trial, outcomes), dataset, Path(scratch))
            report(spec, outcomes, time.monotonic() - began)


def subset(folder: Path) -> Path:
    """Return some of MNIST, as ingest makes it: 5,000 images to train on, 1,000 of validation."""
    arrays = {f"{split}_{kind}": array for split, pair in mnist(count=IMAGES).items()
              for kind, array in zip(("images", "labels"), pair, strict=True)}  # fmt: skip
    np.savez(folder / "subset.npz", **arrays)  # type: ignore[arg-type]
    values = {"source": str(folder / "subset.npz"), "validation_size": 0 if "validation_images" in arrays else 1000}
    return make(INGEST, values, {}, folder / "ingest") / "dataset"


def train(spec: Spec, job: Job, values: dict[str, object], dataset: Path, scratch: Path) -> Outcome:
    """Train to a rung, from where the trial is."""
    rungs = plan.rungs(spec)
    pause = 0 if job.rung == len(rungs) - 1 else rungs[job.rung].epochs
    given = values | {
        "model": "convnet", "epochs": spec.epochs, "pause_at": pause, "gradient_level": "norms",
        "checkpoints": str(scratch / f"checkpoints-{spec.eta}"),
    }  # fmt: skip
    try:
        made = make(TRAIN, given, {"dataset": dataset}, scratch / f"out-{spec.eta}" / job.key.replace("/", "-"))
    except StepError as error:
        return Outcome(None, 0, str(error))
    told = {
        output: Manifest.parse((made / output / "manifest.json").read_bytes(), output).metadata
        for output in ("metrics", "trained_model")
    }
    return Outcome(told["metrics"][MEASURE], told["trained_model"]["steps"])


def report(spec: Spec, outcomes: dict[Job, Outcome], seconds: float) -> None:
    """Print a line about a study."""
    (taken, _), full = plan.steps_taken(outcomes), plan.steps_in_full(spec, outcomes)
    best = plan.finals(spec, outcomes)[0]
    print(
        f"eta {spec.eta}, {[tuple(rung) for rung in plan.rungs(spec)]}: {taken:,} of {full:,} steps, "
        f"{100 * taken / full:.1f} %, {seconds:.0f} s; best is trial {best.trial}, "
        f"{values_of(spec, best.trial, outcomes)}, {best.searched:.4f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
