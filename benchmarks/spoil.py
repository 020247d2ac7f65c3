"""What is done to images and to data sets, to spoil them or to make others of them."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

Images = npt.NDArray[np.uint8]
Random = np.random.Generator
Sets = dict[str, tuple[Images, Images]]  # of each split its images and labels
Change = Callable[[Sets, Random], None]
Effect = Callable[[Images, Random], Images]


# What is done to images.


def jpeg(quality: int) -> Effect:
    """Compress each image and read it again."""

    def one(image: Images) -> Images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return lambda images, _: np.stack([one(image) for image in images])


def noise(deviation: float) -> Effect:
    """Add Gaussian noise."""
    return lambda images, random: np.clip(images + random.normal(0, deviation, images.shape), 0, 255).astype(np.uint8)


def moved(down: int, right: int) -> Effect:
    """Move each image by some pixels."""
    return lambda images, _: np.roll(images, (down, right), axis=(1, 2))


def scaled(factor: float, offset: float = 0) -> Effect:
    """Make images darker, brighter, or of another range."""
    return lambda images, _: np.clip(images * factor + offset, 0, 255).astype(np.uint8)


def opposite(images: Images, _: Random) -> Images:
    """Make black white."""
    return 255 - images


def framed(width: int, value: int) -> Effect:
    """Draw a frame."""

    def draw(images: Images, _: Random) -> Images:
        made = images.copy()
        made[:, :width] = made[:, -width:] = value
        made[:, :, :width] = made[:, :, -width:] = value
        return made

    return draw


def plain(value: int, spread: int = 0) -> Effect:
    """Make images of one value, or of a few."""
    return lambda images, random: random.integers(value, value + spread + 1, images.shape, dtype=np.int64).astype(
        np.uint8
    )


def white(rows: slice, columns: slice) -> Effect:
    """Make a part of each image white."""

    def draw(images: Images, _: Random) -> Images:
        made = images.copy()
        made[:, rows, columns] = 255
        return made

    return draw


# What is done to data sets.


def take(sets: Sets, split: str, kept: npt.NDArray[np.generic]) -> None:
    """Keep some images of a split."""
    images, labels = sets[split]
    sets[split] = images[kept], labels[kept]


def without(split: str, *labels: int, left: int = 0) -> Change:
    """Take out the images of some classes, but for the first few."""

    def change(sets: Sets, _: Random) -> None:
        own = sets[split][1]
        kept = np.ones(len(own), bool)
        for label in labels:
            kept &= (own != label) | (np.cumsum(own == label) <= left)
        take(sets, split, kept)

    return change


def copied(source: str, target: str, share: float, *effects: Effect, shift: int = 0) -> Change:
    """Add some images of one split to another, changed or not, with labels shifted by so much."""

    def change(sets: Sets, random: Random) -> None:
        images, labels = sets[source]
        number = max(1, round(share * len(sets[target][0])))
        chosen = random.permutation(len(images))[:number]
        made, own = images[chosen], (labels[chosen] + shift) % 10
        for effect in effects:
            made = effect(made, random)
        sets[target] = np.concatenate([sets[target][0], made]), np.concatenate([sets[target][1], own])

    return change


def some(split: str, share: float, *effects: Effect) -> Change:
    """Change a share of the images of a split."""

    def change(sets: Sets, random: Random) -> None:
        images, labels = sets[split]
        chosen = random.permutation(len(images))[: max(1, round(share * len(images)))]
        made, changed = images.copy(), images[chosen]
        for effect in effects:
            changed = effect(changed, random)
        made[chosen] = changed
        sets[split] = made, labels

    return change


def every(*effects: Effect, splits: tuple[str, ...] = ("train", "validation", "test")) -> Change:
    """Change all images of some splits."""

    def change(sets: Sets, random: Random) -> None:
        for split in splits:
            some(split, 1, *effects)(sets, random)

    return change


def of_class(label: int, *effects: Effect) -> Change:
    """Change all images of a class."""

    def change(sets: Sets, random: Random) -> None:
        for split, (images, labels) in sets.items():
            made, changed = images.copy(), images[labels == label]
            for effect in effects:
                changed = effect(changed, random)
            made[labels == label] = changed
            sets[split] = made, labels

    return change


def same(label: int) -> Change:
    """Make all training images of a class the first of them."""

    def change(sets: Sets, _: Random) -> None:
        images, labels = sets["train"]
        made = images.copy()
        made[labels == label] = images[labels == label][0]
        sets["train"] = made, labels

    return change


def halved(sets: Sets, _: Random) -> None:
    """Make images half as large."""
    for split, (images, labels) in sets.items():
        sets[split] = np.ascontiguousarray(images[:, ::2, ::2]), labels


def cut(sets: Sets, _: Random) -> None:
    """Cut two rows off."""
    for split, (images, labels) in sets.items():
        sets[split] = np.ascontiguousarray(images[:, 2:]), labels


def coloured(sets: Sets, _: Random) -> None:
    """Give images three channels, each darker than the last."""
    for split, (images, labels) in sets.items():
        sets[split] = np.stack([images, images // 2, images // 4], axis=-1), labels


def nothing(_: Sets, __: Random) -> None:
    """Leave it as it is."""


def together(*changes: Change) -> Change:
    """Do one after the other."""

    def change(sets: Sets, random: Random) -> None:
        for each in changes:
            each(sets, random)

    return change
