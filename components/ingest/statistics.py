"""What is in a data set, in numbers."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from components.ingest.look import Look


def describe(looks: Mapping[str, Look]) -> dict[str, Any]:
    """Return statistics of each split, and how many images occur more than once within and across splits.

    Mean and standard deviation are of pixels in 0..1; the pixel histogram has one bin for each of the 256 values.
    `repeated` counts the images of a split that are equal to an earlier one of it; `across` counts the different images
    that two splits share.
    """
    different = {name: np.unique(look.digests, axis=0) for name, look in looks.items()}
    names = list(looks)
    return {
        "splits": {
            name: {
                "count": len(look),
                "class_counts": look.class_counts.tolist(),
                **_pixels(look),
                "repeated": len(look) - len(different[name]),
            }
            for name, look in looks.items()
        },
        "across": {
            f"{first} and {second}": _shared(different[first], different[second])
            for index, first in enumerate(names)
            for second in names[index + 1 :]
        },
    }


def _shared(these: npt.NDArray[np.uint64], those: npt.NDArray[np.uint64]) -> int:
    return len(these) + len(those) - len(np.unique(np.concatenate([these, those]), axis=0))


def _pixels(look: Look) -> dict[str, Any]:
    # Everything follows from the histogram, in whole numbers up to the last division: no sum of floats, whose order,
    # and with it the last digit, is up to the processor.
    size = len(look) * look.size
    total = sum(value * count for value, count in enumerate(look.histogram))
    squares = sum(value**2 * count for value, count in enumerate(look.histogram))
    return {
        "pixel_mean": total / (255 * size),
        "pixel_standard_deviation": math.sqrt(squares * size - total**2) / (255 * size),
        "pixel_histogram": look.histogram,
    }
