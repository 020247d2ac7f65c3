"""The failure zoo: small trainings on real images, each broken in one way or sound, and what the rules say of them.

Every training is the real `train` step, and every diagnosis the real one of `export`. A sound training must have no
error and no warning. Printed is, for each rule: in how many of the trainings that must have it it was found (recall),
and how many of its findings were in trainings that must or may have it (precision).

uv run python -m benchmarks.zoo --seeds 3
"""

import argparse
import contextlib
import io
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import arrays
from benchmarks.animals import ANIMALS, Animal
from benchmarks.networks import NETWORKS
from components.artifacts.record.reader import read
from components.contract import artifact
from components.export.checks import RULES
from components.export.diagnosis import Finding, diagnose
from components.models import MODELS
from components.train.component import TrainParameters


def enter(networks: Mapping[str, Any]) -> None:
    """Make each network a choice of `model`, as a file in components/models would be."""
    for name, build in networks.items():
        module = types.ModuleType(name)
        module.build = build  # type: ignore[attr-defined]
        sys.modules[name] = module
        if name not in MODELS:
            MODELS.add(name, name)


def watch(animal: Animal, dataset: Path, seed: int) -> list[Finding]:
    """Train, and return what the rules find; `dataset` is one that ingest made."""
    from components.train.train import train

    enter(NETWORKS)
    defaults: dict[str, Any] = {
        "batch_size": 32,
        "epochs": 3,
        "diverged": "publish",
        "gradient_level": "hist",
        "stats_every": 4,
    }
    parameters = TrainParameters(**(defaults | {"seed": seed} | dict(animal.parameters)))
    with tempfile.TemporaryDirectory() as scratch, contextlib.redirect_stdout(io.StringIO()):
        folders = {name: Path(scratch) / name for name in ("data", "trained_model", "gradients", "metrics")}
        for folder in folders.values():
            folder.mkdir()
        found = arrays.read(dataset)
        if animal.change:
            animal.change(found, np.random.default_rng(seed))
        data = folders.pop("data")
        arrays.write(data, found, artifact.read(dataset).metadata)
        train(parameters, dataset=data, checkpoint=None, **folders)
        return diagnose(read(folders["gradients"]), RULES)


def subset(folder: Path, images: int, validation: int) -> Path:
    """Return a data set of the first so many images of MNIST."""
    from components.ingest.component import IngestParameters
    from components.ingest.ingest import ingest

    whole, part = folder / "mnist", folder / "part"
    whole.mkdir()
    part.mkdir()
    made = ingest(IngestParameters(), dataset=whole, report=folder / "report.html")
    counts = {"train": images, "validation": validation, "test": 0}
    found = {name: array[: counts[name.partition("-")[0]]] for name, array in arrays.read(whole).items()}
    arrays.write(part, {name: array for name, array in found.items() if len(array)}, made["dataset"])
    shutil.rmtree(whole)
    return part


def main() -> None:
    """Watch all of them, and print what was found, then the table of the rules."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of these seeds")
    parser.add_argument("--only", default="", help="part of the names of those to watch")
    options = parser.parse_args()
    needed, found_there = dict.fromkeys((rule.id for rule in RULES), 0), dict.fromkeys((rule.id for rule in RULES), 0)
    found, right = dict.fromkeys(needed, 0), dict.fromkeys(needed, 0)
    sound = alarms = 0
    with tempfile.TemporaryDirectory() as scratch:
        dataset = subset(Path(scratch), 2000, 500)
        for name, animal in ANIMALS.items():
            for seed in range(options.first, options.first + options.seeds):
                if options.only not in name:
                    continue
                findings = {finding.rule: finding for finding in watch(animal, dataset, seed)}
                for rule in needed:
                    needed[rule] += rule in animal.must
                    found_there[rule] += rule in animal.must and rule in findings
                    found[rule] += rule in findings
                    right[rule] += rule in findings and rule in animal.must | animal.may
                sound += not animal.must
                alarms += not animal.must and any(each.severity != "info" for each in findings.values())
                missing = animal.must - findings.keys()
                wrong = findings.keys() - animal.must - animal.may
                print(
                    f"{name} ({seed}): {', '.join(findings) or 'nothing'}"
                    f"{'; MISSING ' + ', '.join(missing) if missing else ''}"
                    f"{'; WRONG ' + ', '.join(findings[rule].sentence for rule in wrong) if wrong else ''}",
                    flush=True,
                )
    print("\n| rule | must have it | found (recall) | findings | right (precision) |\n|---|---|---|---|---|")
    for rule in needed:
        print(f"| `{rule}` | {needed[rule]} | {found_there[rule]} | {found[rule]} | {right[rule]} |")
    print(f"\nsound trainings with an error or a warning: {alarms} of {sound}")


if __name__ == "__main__":
    main()
