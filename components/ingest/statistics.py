"""What is in a data set, in numbers."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.dataset import Split


def describe(splits: Mapping[str, Split], classes: int) -> dict[str, Any]:
    """Return statistics of each split, and how many images occur more than once within and across splits.

    Images are uint8 [n, height, width], labels uint8 [n]. Mean and standard deviation are of pixels in 0..1; the pixel
    histogram has one bin for each of the 256 values. `repeated` counts the images of a split that are equal to an
    earlier one of it; `across` counts the different images that two splits share.
    """
    digests = {name: [hashlib.sha256(image).digest() for image in images] for name, (images, *_) in splits.items()}
    names = list(splits)
    return {
        "splits": {
            name: {
                "count": len(images),
                "class_counts": np.bincount(labels, minlength=classes).tolist(),
                **_pixels(images),
                "repeated": len(digests[name]) - len(set(digests[name])),
            }
            for name, (images, labels, _) in splits.items()
        },
        "across": {
            f"{first} and {second}": len(set(digests[first]) & set(digests[second]))
            for index, first in enumerate(names)
            for second in names[index + 1 :]
        },
    }


def _pixels(images: npt.NDArray[np.uint8]) -> dict[str, Any]:
    # Everything follows from the histogram, in whole numbers up to the last division: no sum of floats, whose order,
    # and with it the last digit, is up to the processor.
    histogram: list[int] = np.bincount(images.reshape(-1), minlength=256).tolist()
    total = sum(value * count for value, count in enumerate(histogram))
    squares = sum(value**2 * count for value, count in enumerate(histogram))
    return {
        "pixel_mean": total / (255 * images.size),
        "pixel_standard_deviation": math.sqrt(squares * images.size - total**2) / (255 * images.size),
        "pixel_histogram": histogram,
    }
