"""Rules that look at the values of pixels: blank, inverted, framed, saturated images, and values that are not used."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.findings import Rule
from components.artifacts.words import listed
from components.ingest.look import THUMBNAIL, Look, grey, small
from components.ingest.validation import Data, Evidence

MANY = 0.01  # a share of images that is worth a warning
SHIFTED = 0.5  # standard deviations between the mean pixels of two splits
FEW = 64  # values of 256, at most so many of which are a fraction
FAINT = 8  # values between the least and the greatest one of an image that hardly shows anything
EDGE = 32  # within which the edges of most images are, where images have a ground
MOST = 0.75  # of the images, then
LOOKED_AT = 2000  # images with odd edges, of a split
GLARE = 0.35  # of an image's pixels that are white, more than of most

Numbers = npt.NDArray[Any]


def no_contrast(data: Data) -> Iterator[Evidence]:
    """Find training images that are all of one value."""
    if not data.statistics["splits"]["train"]["pixel_standard_deviation"]:
        yield Evidence("All pixels of the training images are equal.", {}, data.first("train"))


def blank(data: Data) -> Iterator[Evidence]:
    """Find images of one value, or nearly, among others."""
    usual = float(np.median(_range(data.looks["train"])))
    for name, look in data.looks.items():
        if not data.statistics["splits"][name]["pixel_standard_deviation"]:
            continue
        yield from _some(data, name, np.flatnonzero(look.blank), "blank: all their pixels are equal")
        if usual > 8 * FAINT:
            faint = np.flatnonzero(~look.blank & (_range(look) <= FAINT))
            yield from _some(
                data, name, faint, f"nearly blank: their values are within {FAINT} of each other, of most {usual:.0f}"
            )


def _range(look: Look) -> Numbers:
    return look.high.astype(int) - look.low


def _some(data: Data, name: str, found: Numbers, what: str) -> Iterator[Evidence]:
    """Yield that those images of a split are so; it is a warning if they are many."""
    if len(found):
        total = len(data.looks[name])
        if len(found) == 1:
            what = what.replace("their", "its")
        yield Evidence(
            f"{len(found):,} of the {total:,} {name} images {'is' if len(found) == 1 else 'are'} {what}.",
            {"images": len(found), "share": len(found) / total},
            data.at(name, found),
            severity="" if len(found) >= MANY * total else "info",
        )


def inverted_split(data: Data) -> Iterator[Evidence]:
    """Find splits whose mean image is that of training, black for white."""
    for name in _inverted_splits(data):
        yield Evidence(
            f"The {name} images are inverted against the training images: dark is bright in them.",
            {"mean": _mean(data, name), "training_mean": _mean(data, "train")},
            data.first(name),
        )


def _inverted_splits(data: Data) -> list[str]:
    found, train = [], data.looks["train"].mean_image()
    for name in ("validation", "test"):
        opposite = abs(_mean(data, name) + _mean(data, "train") - 1) < 0.1
        apart = abs(_mean(data, name) - _mean(data, "train")) > 0.15
        if opposite and apart and _correlation(data.looks[name].mean_image(), train) < -0.5:
            found.append(name)
    return found


def _mean(data: Data, name: str) -> float:
    return float(data.statistics["splits"][name]["pixel_mean"])


def _correlation(one: Numbers, other: Numbers) -> float:
    """Return the correlation of two images; 0 where one of them is plain."""
    first, second = one - one.mean(), other - other.mean()
    length = np.sqrt(np.square(first).sum() * np.square(second).sum())
    return float((first * second).sum() / length) if length else 0.0


def brightness(data: Data) -> Iterator[Evidence]:
    """Find splits that are brighter or darker than training, and not inverted."""
    deviation, inverted = data.statistics["splits"]["train"]["pixel_standard_deviation"], _inverted_splits(data)
    for name in ("validation", "test"):
        distance = _mean(data, name) - _mean(data, "train")
        if deviation and abs(distance) > SHIFTED * deviation and name not in inverted:
            yield Evidence(
                f"The {name} images are {'brighter' if distance > 0 else 'darker'} than the training images: "
                f"{_mean(data, name):.2f} on average instead of {_mean(data, 'train'):.2f}.",
                {"mean": _mean(data, name), "training_mean": _mean(data, "train")},
                data.first(name),
            )


def inverted(data: Data) -> Iterator[Evidence]:
    """Find single images on a ground that is the opposite of the others', with their insides the opposite as well."""
    for name in data.looks:
        found, _ = _odd_edges(data, name)
        yield from _some(data, name, found, "inverted against the rest: dark is bright in them")


def frame(data: Data) -> Iterator[Evidence]:
    """Find images with a frame that the others do not have."""
    for name, look in data.looks.items():
        _, found = _odd_edges(data, name)
        yield from _some(data, name, found, "framed: their outermost pixels are unlike those of the rest")
        plain = np.flatnonzero(~look.blank & (look.edge_low == look.edge_high))
        if not _grounded(data) and 0 < len(plain) <= 0.2 * len(look):
            for each in _some(data, name, plain, "framed: their outermost pixels are all of one value"):
                yield Evidence(each.sentence, each.figures, each.images, severity="info")


def _grounded(data: Data) -> bool:
    """Tell whether nearly all images have the same ground at their edges."""
    look = data.looks["train"]
    same = (np.abs(look.edges - np.median(look.edges)) <= EDGE).mean() >= MOST
    return bool(same and not look.blank.all())


def _odd_edges(data: Data, name: str) -> tuple[Numbers, Numbers]:
    """Return the images of a split, on another ground than the rest, that are inverted, and those that are framed."""
    nothing = np.zeros(0, np.int64)
    if not _grounded(data) or name in _inverted_splits(data):
        return nothing, nothing
    look, ground = data.looks[name], float(np.median(data.looks["train"].edges))
    suspects = np.flatnonzero((np.abs(look.edges - ground) > 2 * EDGE) & ~look.blank)
    if 2 * len(suspects) > len(look):  # it is the split that is another one, not some of its images
        return nothing, nothing
    suspects = suspects[:LOOKED_AT]
    usual = _inside(data.looks["train"].mean_image()[None].astype(np.uint8))[0]
    flipped = [
        _correlation(_inside(small(data.splits[name].images[each][None], THUMBNAIL))[0], usual) < -0.1
        for each in suspects
    ]
    chosen = np.array(flipped, bool)
    plain = look.edge_high[suspects].astype(int) - look.edge_low[suspects] <= EDGE
    return suspects[chosen & (np.abs(look.edges[suspects] - ground) > 96)], suspects[~chosen & plain]


def _inside(images: npt.NDArray[np.uint8]) -> Numbers:
    """Return the insides of images, grey, without a fifth at each side."""
    _, height, width = images.shape[:3]
    rows, columns = height // 5, width // 5
    return grey(images)[:, rows : height - rows, columns : width - columns].astype(np.float64)


def saturated(data: Data) -> Iterator[Evidence]:
    """Find images far more of whose pixels are at the greatest value than of most images'."""
    usual = float(np.median(data.looks["train"].white)) / data.looks["train"].size
    for name, look in data.looks.items():
        if name in _inverted_splits(data):
            continue
        other, framed = _odd_edges(data, name)
        found = np.flatnonzero((look.white >= (usual + GLARE) * look.size) & ~look.blank)
        yield from _some(
            data, name, np.setdiff1d(found, [*other, *framed]),
            f"saturated: at least {100 * (usual + GLARE):.0f} % of their pixels are white, of most {100 * usual:.0f} %",
        )  # fmt: skip


def values(data: Data) -> Iterator[Evidence]:
    """Find splits that use a small part of the values that a pixel may have."""
    narrow = [name for name, look in data.looks.items() if 0 < look.high.max() - int(look.low.min()) <= FEW]
    if narrow:
        low, high = (
            min(int(data.looks[name].low.min()) for name in narrow),
            max(int(data.looks[name].high.max()) for name in narrow),
        )
        yield Evidence(
            f"The pixels of {listed(narrow)} are {low} to {high}, of 0 to 255"
            f"{': were they scaled to 0 to 1 before they were made whole?' if high <= 1 else '.'}",
            {"low": low, "high": high},
            data.first(narrow[0]),
        )


RULES = (
    Rule("no-contrast", "error", "pixels of all training images", "Check the file of the training images.",
         no_contrast),
    Rule("inverted-split", "warning", "the mean image of each split against that of train",
         "Check whether one of the files is inverted, and invert it.", inverted_split),
    Rule("brightness", "warning", "the mean of each split's pixels against that of train",
         "Check whether one of the files is scaled otherwise.", brightness),
    Rule("pixel-range", "warning", "the least and the greatest pixel of each split",
         "Set `value_range` to the values that are black and white, as 0,1.", values),
    Rule("blank", "warning", "the range of each image's pixels",
         "Take them out, or read them again: nothing can be learned from them.", blank),
    Rule("inverted", "warning", "each image's edge and inside against the mean image", "Invert these images.",
         inverted),
    Rule("frame", "warning", "each image's outermost pixels against those of the rest",
         "Cut the frames off, as a network may learn them instead of what is inside.", frame),
    Rule("saturated", "warning", "how many of each image's pixels are white",
         "Look at how these images were taken or scaled: what was beyond white is lost.", saturated),
)  # fmt: skip
