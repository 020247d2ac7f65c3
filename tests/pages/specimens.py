"""Pages of every kind, each made by the real steps: good and bad runs, long names, many classes, other sizes."""

import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.animals import BROKEN
from benchmarks.data_sound import scenes, small_digits
from benchmarks.networks import NETWORKS
from benchmarks.spoil import copied, every, framed, moved, noise, opposite, plain, scaled, some
from benchmarks.zoo import enter
from components.compare import command as compare
from components.conftest import DIGITS, SHORT, SMALL, make
from components.contract.artifact import sha256
from components.contract.declaration import Component
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.gate.component import COMPONENT as GATE
from components.ingest.component import COMPONENT as INGEST
from components.ingest.forms import idx
from components.ingest.known import KNOWN
from components.ingest.known.declaration import Download, File
from components.ingest.known.mnist import FILES
from components.study import report as study
from components.study.conftest import done, spec_of
from components.train.component import COMPONENT as TRAIN

Arrays = dict[str, npt.NDArray[np.uint8]]

LONG = tuple(f"class number {i}, whose_name_is_longer_than_any_figure_has_room_for" for i in range(10))
MANY = 40


def specimens(folder: Path) -> dict[str, Path]:
    """Make the pages in `folder`; return them by what they show."""
    pages: dict[str, Path] = {}

    def step(component: Component, name: str, values: Mapping[str, Any], **inputs: Path) -> Path:
        made = make(component, values, inputs, folder / name)
        if component is not TRAIN:
            pages[name] = made / "report" / "report.html"
        return made

    def training(name: str, data: Path, **values: Any) -> dict[str, Path]:
        made = step(TRAIN, f"train-{name}", values, dataset=data)
        step(EXPORT, f"export-{name}", {}, gradients=made / "gradients")
        return {"dataset": data, "trained_model": made / "trained_model"}

    digits = step(INGEST, "ingest", SMALL) / "dataset"
    healthy = training("healthy", digits, **SHORT, gradient_level="full", stats_every=2)
    augmented = training("augmented", digits, **SHORT, augment="rotate,elastic,shift,erase,mixup")
    strict = {"min_accuracy": 0.99, "min_recall": 0.5, "max_calibration_error": 0.01}
    step(EVALUATE, "evaluate-failed", strict, **healthy)
    for name, model in (("first", healthy), ("next", augmented)):
        judged = make(EVALUATE, {"min_accuracy": 0.01}, model, folder / f"judged-{name}")
        step(GATE, f"gate-{name}", {"registry": str(folder / "registry")}, **model, metrics=judged / "metrics")
    pages["compare"] = _compared(folder, {"first": "healthy", "next": "augmented"})
    with _known(_write(folder / "odd", _odd())) as name:
        odd = step(INGEST, "ingest-odd", {"source": name, "cache": str(folder), **_SIZE})
    step(EVALUATE, "evaluate-named", {}, **healthy | {"dataset": odd / "dataset"})

    (folder / "study").mkdir()
    spec = spec_of(trials=24, seeds=5)
    study.write(folder / "study", "ours", spec, done(spec), 'make run ARGS="--learning-rate 0.003"')
    pages["study"] = folder / "study/index.html"

    compared = {"source": str(_write_npz(folder / "compared.npz")), "reference": str(digits)}
    step(INGEST, "ingest-compared", compared)
    step(INGEST, "ingest-colour", {"source": str(_write_npz(folder / "colour.npz", colour=True))})

    enter(NETWORKS)
    random = _write(folder / "many", _many())
    many = step(INGEST, "ingest-many", {"source": str(random), **_SIZE, "classes": MANY}) / "dataset"
    guess = training("loss", many, model="zoo-plain", epochs=1, batch_size=64, gradient_level="off")
    step(EVALUATE, "evaluate-many", {"min_accuracy": 0.001}, **guess)

    for name, animal in (("diverged", "logarithm of 0"), ("deep", "eight layers of sigmoids"), ("dead", "dead ReLU")):
        values = {"batch_size": 32, "epochs": 3, "diverged": "publish", "stats_every": 2}
        slow = {"optimizer": "sgd", "learning_rate": 1e-6} if name == "dead" else {}
        training(name, digits, **values | dict(BROKEN[animal].parameters) | slow)
    return pages


def _compared(folder: Path, trained: Mapping[str, str]) -> Path:
    """Compare the runs that were judged; `trained` are the names of their trainings."""
    for judged, name in trained.items():
        for made in ("ingest/dataset", f"train-{name}", f"export-{name}/gradient_tables", f"judged-{judged}/metrics"):
            shutil.copytree(folder / made, folder / "runs" / name / made)
    with contextlib.redirect_stdout(io.StringIO()):
        compare.main([*(str(folder / "runs" / name) for name in trained.values()), f"--page={folder / 'compare.html'}"])
    return folder / "compare.html"


_SIZE = {"validation_size": 64}


def _digits() -> Arrays:
    return {file: idx.numbers(DIGITS / f"{file}.gz", "images" if "images" in file else "labels") for file in FILES}


def _write(folder: Path, arrays: Arrays) -> Path:
    folder.mkdir(parents=True)
    for file, array in arrays.items():
        idx.write(folder / file, array)
    return folder


def _write_npz(path: Path, *, colour: bool = False) -> Path:
    """Write digits with something of everything that validation finds, or large scenes in colour."""
    random = np.random.default_rng(0)
    sets = scenes(0, (200, 200, 3), 210) if colour else small_digits()
    if not colour:
        for change in (
            copied("train", "test", 0.1, moved(0, 1)), copied("train", "train", 0.03, noise(4), shift=2),
            some("train", 0.02, opposite), some("test", 0.02, plain(0)), some("train", 0.03, framed(2, 255)),
            copied("test", "train", 0.05), every(scaled(0.6, 60)),
        ):  # fmt: skip
            change(sets, random)
    names = {"train": "train", "validation": "val", "test": "test"}
    arrays = {
        f"{letter}_{names[split]}": array
        for split, pair in sets.items()
        for letter, array in zip("xy", pair, strict=True)
    }
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


@contextlib.contextmanager
def _known(folder: Path) -> Iterator[str]:
    """Make a known data set, whose classes have long names, of what is in a folder; yield its name."""
    files = tuple(File(name, f"sha256:{sha256(folder / name)}") for name in FILES)
    downloads = (Download(folder.name, mirrors=(), files=files),)
    KNOWN[folder.name] = replace(KNOWN["mnist"], name=folder.name, class_names=LONG, downloads=downloads)
    try:
        yield folder.name
    finally:
        del KNOWN[folder.name]  # other tests look at all there are


def _odd() -> Arrays:
    """Return digits with everything odd: a class that is missing, a rare one, repeated and leaked images."""
    arrays = _digits()
    images, labels, test, _ = arrays.values()
    kept = np.flatnonzero((labels != 7) & ((labels != 3) | (np.cumsum(labels == 3) <= 3)))
    kept = np.concatenate([kept, kept[:40]])
    arrays[FILES[0]], arrays[FILES[1]] = (
        np.concatenate([images[kept], test[:30]]),
        np.concatenate([labels[kept], arrays[FILES[3]][:30]]),
    )
    return arrays


def _many() -> Arrays:
    """Return noise of 24 × 40 pixels in many classes, one of which is never tested."""
    random = np.random.default_rng(0)
    arrays = {}
    for file, count in zip(FILES, (600, 600, 300, 300), strict=True):
        size = (count, 24, 40) if "images" in file else count
        arrays[file] = random.integers(0, 256 if "images" in file else MANY - (count == 300), size, np.uint8)
    return arrays
