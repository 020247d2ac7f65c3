"""Take the pictures of the pages: `make pictures` (needs chromium).

README.md and gradients.md show those of the last `make run`; gallery.md those of runs that go wrong, which are made
here, from a few thousand images of MNIST, by the real steps.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image
from playwright.sync_api import Page

from benchmarks.animals import BROKEN, Arrays
from benchmarks.networks import NETWORKS
from benchmarks.zoo import enter
from components.conftest import make
from components.contract.declaration import Component
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.ingest.component import COMPONENT as INGEST
from components.ingest.forms import idx
from components.ingest.known import KNOWN
from components.ingest.known.mnist import FILES
from components.train.component import COMPONENT as TRAIN
from tests.browser import browser

DOCS = Path(__file__).parent
REPORTS = DOCS.parent / "run/reports"
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = FILES
SOURCE = "my-digits"
DEFAULTS = {
    "model": "zoo-plain", "validation_size": 500, "batch_size": 32, "epochs": 3, "diverged": "publish",
    "stats_every": 4,
}  # fmt: skip
# Only the sections that are named are left, and the first of many findings.
LEAVE = """wanted => {
  for (const each of document.querySelectorAll("section"))
    if (!wanted.includes(each.querySelector("h2").textContent)) each.remove()
  for (const each of document.querySelectorAll(".notes > :nth-child(n+3)")) each.remove()
}"""


@dataclass(frozen=True)
class Case:
    """A run that goes wrong, and which sections of which page show it."""

    page: str  # of ingest, export or evaluate
    sections: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[Arrays, np.random.Generator], None] | None = None  # of the four files


def shuffled(arrays: Arrays, random: np.random.Generator) -> None:
    """Put the training labels in another order than the images."""
    random.shuffle(arrays[TRAIN_LABELS])


def without_sevens(arrays: Arrays, _: np.random.Generator) -> None:
    """Take the sevens out of the training images, and most of the fours."""
    labels = arrays[TRAIN_LABELS]
    kept = (labels != 7) & ((labels != 4) | (np.cumsum(labels == 4) <= 12))
    arrays[TRAIN_IMAGES], arrays[TRAIN_LABELS] = arrays[TRAIN_IMAGES][kept], labels[kept]


def leaked(arrays: Arrays, _: np.random.Generator) -> None:
    """Copy test images into training, and some training images twice."""
    for images, labels in ((TEST_IMAGES, TEST_LABELS), (TRAIN_IMAGES, TRAIN_LABELS)):
        arrays[TRAIN_IMAGES] = np.concatenate([arrays[TRAIN_IMAGES], arrays[images][:100]])
        arrays[TRAIN_LABELS] = np.concatenate([arrays[TRAIN_LABELS], arrays[labels][:100]])


def nearly_leaked(arrays: Arrays, _: np.random.Generator) -> None:
    """Copy training images into test, moved by a pixel and darker, a few of them with another label."""
    copies = np.roll(arrays[TRAIN_IMAGES][:60], 1, axis=2) // 4 * 3
    labels = arrays[TRAIN_LABELS][:60].copy()
    labels[:6] = (labels[:6] + 1) % 10
    arrays[TEST_IMAGES] = np.concatenate([arrays[TEST_IMAGES], copies])
    arrays[TEST_LABELS] = np.concatenate([arrays[TEST_LABELS], labels])


def inverted(arrays: Arrays, _: np.random.Generator) -> None:
    """Make the test images black on white."""
    arrays[TEST_IMAGES] = 255 - arrays[TEST_IMAGES]


def mislabelled(arrays: Arrays, random: np.random.Generator) -> None:
    """Give some test images another label."""
    chosen = random.choice(len(arrays[TEST_LABELS]), 12, replace=False)
    arrays[TEST_LABELS][chosen] = (arrays[TEST_LABELS][chosen] + 5) % 10


def broken(animal: str, *sections: str) -> Case:
    """Return one of the failure zoo's trainings, as export shows it."""
    return Case("export", sections, BROKEN[animal].parameters)


LAST_RUN = {
    "evaluate": ("The worst mistakes", "Suspected labels"),
    "export": (
        "Loss",
        "Accuracy",
        "Gradients, variable by step",
        "Gradient norm by layer",
        "Histograms of the gradients",
    ),
}
CASES = {
    "not-a-number": broken("logarithm of 0", "Findings"),
    "rate-too-high": broken("learning rate too high, no ReLU", "Loss", "Gradient norm by layer"),
    "rate-too-low": broken("learning rate too low", "Loss", "Update ratio"),
    "vanishing": broken("eight layers of sigmoids", "Gradients, variable by step", "Gradient norm by layer"),
    "dead-units": broken("dead ReLU", "Findings"),
    "unconnected": broken("other: a layer that is not used", "Findings"),
    "small-batch": broken("batch of 2", "Gradient noise scale", "Noise scale by variable"),
    "labels-shuffled": Case("export", ("Loss", "Accuracy"), change=shuffled),
    "guessing": Case("evaluate", ("Confusion matrix", "Confidence"), {"min_accuracy": 0.9}, shuffled),
    "class-missing": Case("evaluate", ("Confusion matrix", "Classes"), {"min_recall": 0.8}, without_sevens),
    "test-mislabelled": Case("evaluate", ("Suspected labels",), {"model": "convnet", "epochs": 15}, mislabelled),
    "data-incomplete": Case("ingest", ("Classes", "Splits"), change=without_sevens),
    "data-leaks": Case("ingest", ("Classes", "Splits"), change=leaked),
    "data-near": Case("ingest", ("Findings", "Nearly equal images"), change=nearly_leaked),
    "data-inverted": Case("ingest", ("Pixels", "Splits"), change=inverted),
}


def report(case: Case, folder: Path) -> Path:
    """Run the steps up to the one whose page it is; return that page."""
    paths = KNOWN["mnist"].obtain(Path(INGEST.parameters().cache))
    arrays = {file: idx.numbers(path, "images" if "images" in file else "labels") for file, path in paths.items()}
    arrays = {file: array[: 1000 if "t10k" in file else 2500].copy() for file, array in arrays.items()}
    if case.change:
        case.change(arrays, np.random.default_rng(0))
    (folder / SOURCE).mkdir()
    for file, array in arrays.items():
        idx.write(folder / SOURCE / file, array)

    def step(component: Component, **inputs: Path) -> Path:
        values = {**DEFAULTS, "source": SOURCE, **case.parameters}
        own = {name: value for name, value in values.items() if name in component.parameters.model_fields}
        return make(component, own, inputs, folder / component.name)

    made = step(INGEST)
    if case.page != INGEST.name:
        data = made / "dataset"
        trained = step(TRAIN, dataset=data)
        if case.page == EXPORT.name:
            made = step(EXPORT, gradients=trained / "gradients")
        else:
            made = step(EVALUATE, dataset=data, trained_model=trained / "trained_model")
    return made / "report" / "report.html"


def take(window: Page, page: Path, sections: tuple[str, ...], target: Path) -> None:
    """Take a picture of a page's head and those sections, in few colours."""
    window.goto(page.resolve().as_uri())
    window.evaluate(LEAVE, list(sections))
    shown = Image.open(io.BytesIO(window.locator("body").screenshot()))
    shown.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target.relative_to(DOCS)}: {window.locator('.headline').inner_text()}")


@contextlib.contextmanager
def window(width: int) -> Iterator[Page]:
    """Open a window of that width."""
    with browser() as running:
        yield running.new_page(viewport={"width": width, "height": 800})


def main() -> None:
    """Take all pictures."""
    enter(NETWORKS)
    with window(1000) as wide:
        for name, sections in LAST_RUN.items():
            take(wide, REPORTS / f"{name}.html", sections, DOCS / f"{name}.png")
        wide.set_viewport_size({"width": 900, "height": 600})
        for name, case in CASES.items():
            with tempfile.TemporaryDirectory() as scratch:
                with contextlib.chdir(scratch), contextlib.redirect_stdout(io.StringIO()):
                    page = report(case, Path(scratch))
                take(wide, page, case.sections, DOCS / "gallery" / f"{name}.png")


if __name__ == "__main__":
    main()
