"""From images of any type, size and colour to bytes of one size and colour, as the parameters say, never silently."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from components.contract.errors import BadInput
from components.ingest.component import IngestParameters

Bytes = npt.NDArray[np.uint8]
_LUMA = (19595, 38470, 7471)  # ITU-R 601-2 in 65536ths, as Pillow's and JPEG's grey


class Shaper:
    """Brings images to bytes, uint8 [n, height, width] or [n, height, width, 3], all of the first one's shape."""

    def __init__(self, parameters: IngestParameters) -> None:
        self.parameters = parameters
        self.range = _range(parameters.value_range)
        self.size = _size(parameters.size)
        self.shape: tuple[int, ...] = ()  # of what has come out so far
        self.resized = 0
        self._first = ""  # the image whose shape all others must have
        if parameters.fit != "exact" and self.size is None:
            raise BadInput(f"fit: {parameters.fit} needs a size to fit to; set `size`, as 28x28")

    def __call__(self, images: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], origins: Sequence[str]) -> Bytes:
        """Return the images so; raise `BadInput` that names the first one which cannot be."""
        if isinstance(images, np.ndarray) and images.ndim in (3, 4) and not self._must_fit(images.shape[1:3]):
            return self._same(self._shaded(images, origins), origins)
        shaped = []
        for image, origin in zip(images, origins, strict=True):
            shaped.append(self._same(self._shaded(image[np.newaxis], [origin]), [origin]))
        return np.concatenate(shaped)

    def _shaded(self, images: npt.NDArray[Any], origins: Sequence[str]) -> Bytes:
        if images.ndim not in (3, 4):
            raise BadInput(
                f"{origins[0]}: an image has {images.ndim - 1} dimensions, {list(images.shape[1:])}; expected height "
                "and width, or height, width and colour"
            )
        if images.ndim == 4 and images.shape[-1] not in (1, 3):
            raise BadInput(
                f"{origins[0]}: an image has shape {list(images.shape[1:])}; expected 1 or 3 channels, which come last"
            )
        shaded = self._coloured(self._scaled(images, origins))
        if self.parameters.transpose:
            shaded = shaded.swapaxes(1, 2)
        if self._must_fit(shaded.shape[1:3]):
            shaded = np.stack([self._fitted(image, origins[0]) for image in shaded])
        return 255 - shaded if self.parameters.invert else shaded

    def _scaled(self, images: npt.NDArray[Any], origins: Sequence[str]) -> Bytes:
        """Put the range of values to 0 … 255."""
        if self.range is None:
            if images.dtype == np.uint8:
                return images
            raise BadInput(
                f"{origins[0]}: pixels are {images.dtype.name} from {float(images.min()):g} to "
                f"{float(images.max()):g}, not bytes; set `value_range` to what is to become black and white, as "
                f"{_guess(images)}"
            )
        low, high = self.range
        wrong = ~((images >= low) & (images <= high))  # NaN, too
        if wrong.any():
            which = int(np.flatnonzero(wrong.reshape(len(images), -1).any(axis=1))[0])
            raise BadInput(
                f"{origins[which]}: a pixel is {images[which][wrong[which]][0]:g}, outside `value_range`, which is "
                f"{self.parameters.value_range}; set it to the smallest and largest value that there is"
            )
        scaled: Bytes = np.rint((images.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8)
        return scaled

    def _coloured(self, images: Bytes) -> Bytes:
        if images.ndim == 4 and images.shape[-1] == 1:
            images = images[..., 0]
        if images.ndim == 4 and self.parameters.colour == "grey":
            red, green, blue = (images[..., i].astype(np.uint32) * _LUMA[i] for i in range(3))
            return ((red + green + blue + 0x8000) >> 16).astype(np.uint8)
        if images.ndim == 3 and self.parameters.colour == "rgb":
            return np.repeat(images[..., np.newaxis], 3, axis=-1)
        return images

    def _must_fit(self, shape: Sequence[int]) -> bool:
        return self.size is not None and tuple(shape) != self.size

    def _fitted(self, image: Bytes, origin: str) -> Bytes:
        """Return an image, uint8 [height, width] or [height, width, 3], at the size that is wanted."""
        assert self.size is not None
        (high, wide), (height, width) = image.shape[:2], self.size
        fit = self.parameters.fit
        if fit == "exact" or (fit == "pad" and (high > height or wide > width)):
            which = "stretch, contain or pad" if fit == "exact" else "stretch or contain, as it does not shrink"
            raise BadInput(
                f"{origin}: the image is {high}×{wide}, and `size` is {height}×{width}; set `fit` to {which}"
            )
        self.resized += 1
        if fit == "stretch":
            return _resized(image, height, width)
        if fit == "contain":
            scale = min(height / high, width / wide)
            image = _resized(image, max(1, round(high * scale)), max(1, round(wide * scale)))
            high, wide = image.shape[:2]
        padded = np.full((height, width, *image.shape[2:]), self.parameters.background, np.uint8)
        top, left = (height - high) // 2, (width - wide) // 2
        padded[top : top + high, left : left + wide] = image
        return padded

    def _same(self, images: Bytes, origins: Sequence[str]) -> Bytes:
        """Return the images; raise `BadInput` unless they have the shape of all before them."""
        shape = images.shape[1:]
        if not self.shape:
            if 0 in shape:
                raise BadInput(f"{origins[0]}: the image is empty, {shape_of(shape)}")
            self.shape, self._first = shape, origins[0]
        if shape == self.shape:
            return images
        if shape[:2] != self.shape[:2]:
            raise BadInput(
                f"{origins[0]}: the image is {shape_of(shape)}, but {self._first} is {shape_of(self.shape)}; set "
                f"`size` to one size, as {'x'.join(map(str, self.shape[:2]))}, and `fit` to how they come to it"
            )
        kinds = ["in colour" if len(each) == 3 else "grey" for each in (shape, self.shape)]
        raise BadInput(
            f"{origins[0]}: the image is {kinds[0]}, but {self._first} is {kinds[1]}; set `colour` to grey or rgb"
        )


def shape_of(shape: Sequence[int]) -> str:
    """Return `28×28`, or `28×28 in colour`."""
    return "×".join(map(str, shape[:2])) + (" in colour" if len(shape) == 3 else "")


def _resized(image: Bytes, height: int, width: int) -> Bytes:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def _range(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        low, high = (float(word) for word in text.split(","))
    except ValueError:
        low = high = float("nan")
    if not (np.isfinite([low, high]).all() and low < high):
        raise BadInput(f"value_range: {text!r} is not two numbers, the smaller first, as 0,1")
    return low, high


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    words = text.lower().replace("×", "x").split("x")
    if len(words) > 2 or not all(re.fullmatch(r"\s*[0-9]{1,4}\s*", word) and 0 < int(word) <= 4096 for word in words):
        raise BadInput(f"size: {text!r} is neither one number of pixels, as 28, nor HEIGHTxWIDTH, up to 4096")
    return int(words[0]), int(words[-1])


def _guess(images: npt.NDArray[Any]) -> str:
    """Return the range that values of this type and size usually have."""
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind in "ui" and high > 255:
        return f"0,{np.iinfo(images.dtype).max}"
    if images.dtype.kind == "b" or (low >= 0 and high <= 1):
        return "0,1"
    return "-1,1" if low >= -1 and high <= 1 else "0,255"
