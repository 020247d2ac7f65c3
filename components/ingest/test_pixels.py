# mypy: allow-untyped-defs, allow-untyped-calls
"""From images of any type, size and colour to bytes of one shape."""

import numpy as np
import pytest

from components.contract.errors import BadInput
from components.ingest.component import IngestParameters
from components.ingest.pixels import Shaper

GREY = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
COLOUR = np.dstack([np.full((2, 2), value, np.uint8) for value in (255, 0, 10)])[np.newaxis]


def shaped(images, **parameters):
    origins = [f"file {i}" for i in range(len(images))]
    return Shaper(IngestParameters.checked(parameters))(images, origins)


def test_bytes_of_one_size_are_left_as_they_are():
    assert shaped(GREY) is GREY
    assert shaped(COLOUR).shape == (1, 2, 2, 3)
    assert shaped([GREY[0], GREY[0]]).tolist() == np.concatenate([GREY, GREY]).tolist()
    assert shaped(GREY[..., np.newaxis]).tolist() == GREY.tolist()


@pytest.mark.parametrize(
    ("values", "value_range", "bytes_"),
    [
        (np.array([0, 0.5, 1], np.float32), "0,1", [0, 128, 255]),
        (np.array([-1, 0, 1], np.float64), "-1,1", [0, 128, 255]),
        (np.array([0, 257, 65535], np.uint16), "0,65535", [0, 1, 255]),
        (np.array([False, True, True]), "0,1", [0, 255, 255]),
        (np.array([0, 1, 15], np.uint8), "0,15", [0, 17, 255]),
    ],
)
def test_the_range_is_put_to_0_to_255(values, value_range, bytes_):
    assert shaped(values.reshape(1, 1, 3), value_range=value_range).reshape(-1).tolist() == bytes_


def test_colour_and_grey():
    assert shaped(COLOUR, colour="grey").tolist() == [[[77, 77], [77, 77]]]  # 0.299 · 255 + 0.114 · 10, rounded
    assert shaped(GREY, colour="rgb").tolist() == np.stack([GREY] * 3, axis=-1).tolist()
    assert shaped([GREY[0, :2, :2], COLOUR[0]], colour="rgb").shape == (2, 2, 2, 3)


def test_turned_and_inverted():
    assert shaped(GREY, transpose=True).tolist() == GREY.swapaxes(1, 2).tolist()
    assert shaped(GREY, invert=True).tolist() == (255 - GREY).tolist()
    assert shaped(COLOUR, transpose=True, invert=True)[0, 0, 0].tolist() == [0, 255, 245]


def test_padded_stretched_and_contained():
    one = np.full((1, 2, 4), 200, np.uint8)
    assert shaped(one, size="4", fit="pad", background=7).tolist() == [[[7] * 4, [200] * 4, [200] * 4, [7] * 4]]
    assert shaped(one, size="4x2", fit="stretch").tolist() == [[[200] * 2] * 4]
    assert shaped(one, size="4x2", fit="contain").tolist() == [[[0, 0], [200, 200], [0, 0], [0, 0]]]
    assert shaped([one[0], COLOUR[0]], size="2x4", fit="contain", colour="rgb").shape == (2, 2, 4, 3)
    assert shaped(one, size="2×4").tolist() == one.tolist()


@pytest.mark.parametrize(
    ("images", "parameters", "message"),
    [
        ([GREY[0], GREY[0, :2]], {},
         "file 1: the image is 2×4, but file 0 is 3×4; set `size` to one size, as 3x4, and `fit`"),
        ([GREY[0, :2, :2], COLOUR[0]], {},
         "file 1: the image is in colour, but file 0 is grey; set `colour` to grey or rgb"),
        (GREY, {"size": "2"}, "file 0: the image is 3×4, and `size` is 2×2; set `fit` to stretch, contain or pad"),
        (GREY, {"size": "2", "fit": "pad"}, "set `fit` to stretch or contain, as it does not shrink"),
        (GREY / 255, {}, "file 0: pixels are float64 from 0 to 0.0431373, not bytes; set `value_range` to what"),
        (GREY.astype(np.uint16) * 100, {}, "`value_range` to what is to become black and white, as 0,65535"),
        (np.concatenate([GREY, GREY]) / 6, {"value_range": "0,1"},
         "file 0: a pixel is 1.16667, outside `value_range`, which is 0,1"),
        (np.full((1, 1, 1), np.nan), {"value_range": "0,1"}, "file 0: a pixel is nan, outside"),
        ([np.zeros(3, np.uint8)], {}, "file 0: an image has 1 dimensions, [3]; expected height and width"),
        (np.zeros((1, 3, 4, 4), np.uint8), {},
         "file 0: an image has shape [3, 4, 4]; expected 1 or 3 channels, which come last"),
        (np.zeros((1, 0, 4), np.uint8), {}, "file 0: the image is empty, 0×4"),
        (GREY, {"fit": "pad"}, "fit: pad needs a size to fit to; set `size`, as 28x28"),
        (GREY, {"size": "28,28"}, "size: '28,28' is neither one number of pixels, as 28, nor HEIGHTxWIDTH, up to 4096"),
        (GREY, {"value_range": "1,0"}, "value_range: '1,0' is not two numbers, the smaller first, as 0,1"),
        (GREY, {"value_range": "0,inf"}, "value_range: '0,inf' is not two numbers"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(images, parameters, message):
    with pytest.raises(BadInput) as error:
        shaped(images, **parameters)
    assert message in str(error.value)
