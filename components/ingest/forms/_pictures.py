"""Pictures in files, by Pillow: PNG, JPEG, BMP, GIF, TIFF, WebP, PGM."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from components.contract.errors import BadInput
from components.ingest.forms._bounds import PIXELS
from components.ingest.forms._heads import brief, disguise

ENDINGS = r"\.(?:png|jpe?g|bmp|gif|tiff?|webp|p[bgp]m)"
STRIP = 512  # rows of a picture
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
Image.MAX_IMAGE_PIXELS = None  # beyond which Pillow warns; here it is a sentence
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


class Pictures:
    """Decodes pictures, and counts those of which something is not as in the file."""

    def __init__(self) -> None:
        self.transparent = 0

    def __call__(self, content: bytes, origin: str) -> npt.NDArray[Any]:
        """Return the pixels, [height, width] or [height, width, 3], uint8, or uint16, int32 or float32 as in the file.

        Black and white is 0 and 255; a palette is looked up, and grey if all of its colours are; transparent parts are
        laid on white, as viewers do; the camera's orientation is applied. Raises `BadInput` for what is no picture, is
        damaged, has several pages, or is too large.
        """
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                self._check(image, origin)
                image.load()
                return self._pixels(image)
        except UnidentifiedImageError:
            what = disguise(content) or f"starts with {content[:8].hex()}"
            raise BadInput(f"{origin} is no picture that can be read ({', '.join(_FORMATS)}): it {what}") from None
        except _UNREADABLE as error:
            raise BadInput(f"{origin} is a damaged picture: {brief(error)}") from None

    def say(self) -> None:
        """Print what has been counted."""
        if self.transparent:
            print(f"transparent parts of {self.transparent:,} pictures were laid on white")

    def _check(self, image: Image.Image, origin: str) -> None:
        if image.width * image.height > PIXELS:
            raise BadInput(f"{origin} has {image.width}×{image.height} pixels, more than {PIXELS:,}; make it smaller")
        if image.format != "MPO" and (pages := getattr(image, "n_frames", 1)) > 1:
            raise BadInput(
                f"{origin} has {pages} pages or frames, expected one picture; save each as a file of its own"
            )
        tile = getattr(image, "tile", ())
        if image.mode in ("RGB", "RGBA", "LA") and tile and ";16" in str(tile[0][3]):
            raise BadInput(
                f"{origin} has colours of 16 bits, of which only 8 would be read; save it with 8 bits, or in grey"
            )

    def _pixels(self, image: Image.Image) -> npt.NDArray[Any]:
        if (
            image.mode == "L"
            and "transparency" not in image.info
            and "exif" not in image.info
            and image.format != "TIFF"
        ):
            return np.asarray(image)  # nearly all, in a third of the time
        ImageOps.exif_transpose(image, in_place=True)
        palette = image.mode in ("P", "PA")
        if image.has_transparency_data:
            image = self._on_white(image)
        elif palette:
            image = image.convert("RGB")
        elif image.mode == "1":
            image = image.convert("L")
        elif image.mode not in ("L", "RGB", "I", "F") and not image.mode.startswith("I;16"):
            image = image.convert("RGB")  # CMYK, YCbCr, LAB, HSV
        pixels = np.asarray(image)
        if palette and pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
            return pixels[..., 0]
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)

    def _on_white(self, image: Image.Image) -> Image.Image:
        grey = image.mode in ("1", "L", "LA")
        laid, transparent = Image.new("L" if grey else "RGB", image.size), False
        for top in range(0, image.height, STRIP):  # not all at once, as there are several images in between
            part = image.crop((0, top, image.width, min(top + STRIP, image.height))).convert("RGBA")
            transparent |= part.getchannel("A").getextrema() != (255, 255)
            on_white = Image.alpha_composite(Image.new("RGBA", part.size, "white"), part).convert("RGB")
            laid.paste(on_white.getchannel(0) if grey else on_white, (0, top))
        self.transparent += transparent
        return laid
