"""The sound data sets of the second zoo: none may have an error or a warning."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.spoil import Images, Sets, coloured, every, halved, opposite, without
from components.ingest.component import COMPONENT
from components.ingest.forms import idx
from components.testdata.forms import digits

MNIST = Path(COMPONENT.parameters().model_dump()["cache"]).expanduser() / "mnist"


def small_digits() -> Sets:
    """Return the digits of the tests: 448 to train on, 64 to validate with, 256 to test with."""
    made = digits(512)
    (images, labels), test = made["train"], made["test"]
    return {"train": (images[:448], labels[:448]), "validation": (images[448:], labels[448:]), "test": test}


def mnist(first: int = 0, count: int = 60_000) -> Sets:
    """Return MNIST from the cache, or some of its training images and as large a share of the others."""
    images, labels, test, answers = (
        np.asarray(idx.numbers(MNIST / f"{name}-ubyte", name.split("-")[1]))
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    )
    kept, held = slice(first, first + count * 11 // 12), slice(first + count * 11 // 12, first + count)
    return {
        "train": (images[kept], labels[kept]),
        "validation": (images[held], labels[held]),
        "test": (test[: count // 6], answers[: count // 6]),
    }


def parted(images: Images, labels: npt.NDArray[np.int64]) -> Sets:
    """Return splits of images: of seven parts four to train on, one to validate with, and two to test with."""
    own = labels.astype(np.uint8)
    ends = [0, len(images) * 4 // 7, len(images) * 5 // 7, len(images)]
    parts = zip(("train", "validation", "test"), ends, ends[1:], strict=False)
    return {name: (images[start:end], own[start:end]) for name, start, end in parts}


def fashion(seed: int, count: int = 2100) -> Sets:
    """Return filled shapes that are much alike, as articles of clothing are: each class one outline, of some sizes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 10, count)
    rows, columns = np.mgrid[:28, :28] / 27 - 0.5
    images = np.zeros((count, 28, 28))
    for index, label in enumerate(labels):
        width, height = 0.2 + 0.02 * label + random.normal(0, 0.02), 0.42 - 0.02 * label + random.normal(0, 0.02)
        inside = (np.abs(columns) < width + 0.1 * label / 10 * np.cos(8 * rows)) & (np.abs(rows) < height)
        folds = 0.6 + 0.2 * np.sin((8 + label) * columns + random.normal(0, 1)) + random.normal(0, 0.1, (28, 28))
        images[index] = 255 * inside * np.clip(folds * random.uniform(0.7, 1.2), 0, 1)
    return parted(images.astype(np.uint8), labels)


def scenes(seed: int, size: tuple[int, ...], count: int = 350, roughness: float = 1.5) -> Sets:
    """Return images with the spectrum of photographs, 1/f to the power of `roughness`; a class is a tint."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 5, count)
    height, width, *channels = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]) + 1 / max(size)
    images = np.empty((count, *size), np.uint8)
    for index, label in enumerate(labels):
        shape = (*channels, height, width)
        waves = np.fft.irfft2(np.fft.rfft2(random.normal(0, 1, shape)) / frequency**roughness, s=(height, width))
        waves = (waves - waves.mean()) / waves.std()
        made = np.clip(110 + 8 * label + 45 * waves, 0, 255)
        images[index] = np.moveaxis(made, 0, -1) if channels else made
    return parted(images, labels)


def changed(sets: Sets, *changes: Callable[[Sets, np.random.Generator], None]) -> Sets:
    """Return a data set with what is done to it."""
    for change in changes:
        change(sets, np.random.default_rng(0))
    return sets


def _binary(images: Images, _: np.random.Generator) -> Images:
    return np.where(images > 127, 255, 0).astype(np.uint8)


def _noise(size: tuple[int, ...]) -> Sets:
    random = np.random.default_rng(5)
    return parted(random.integers(0, 256, (420, *size), np.uint8), random.integers(0, 3, 420))


SOUND: dict[str, Callable[[], Sets]] = {
    "digits": small_digits,
    "digits, black on white": lambda: changed(small_digits(), every(opposite)),
    "digits in colour": lambda: changed(small_digits(), coloured),
    "digits of 14×14": lambda: changed(small_digits(), halved),
    "digits in black and white": lambda: changed(small_digits(), every(_binary)),
    "digits, half as many of three classes": lambda: changed(small_digits(), without("train", 2, 5, left=20),
                                                             without("test", 2, 5, left=12)),
    "much alike": lambda: fashion(0),
    "scenes": lambda: scenes(0, (32, 32)),
    "scenes in colour": lambda: scenes(1, (32, 32, 3)),
    "noise of 4×5": lambda: _noise((4, 5)),
    "held out: much alike": lambda: fashion(1, 4200),
    "held out: smooth scenes of 96×64": lambda: scenes(2, (96, 64), 280, 2.2),
    "held out: large scenes in colour": lambda: scenes(3, (200, 200, 3), 140),
    "held out: two classes of digits": lambda: changed(small_digits(), lambda sets, _: _two(sets)),
    "held out: noise of 1×40": lambda: _noise((1, 40)),
    "held out: two hundred images": lambda: parted(*_few(200)),
}  # fmt: skip
FROM_THE_CACHE: dict[str, Callable[[], Sets]] = {
    "MNIST, 6,000 images": lambda: mnist(count=6000),
    "held out: MNIST, 6,000 others": lambda: mnist(30_000, 6000),
    "held out: MNIST": mnist,
}


def _two(sets: Sets) -> None:
    for split, (images, labels) in sets.items():
        sets[split] = images[labels < 2], labels[labels < 2]


def _few(count: int) -> tuple[Images, npt.NDArray[np.int64]]:
    images, labels = small_digits()["train"]
    return images[:count], labels[:count].astype(np.int64)
