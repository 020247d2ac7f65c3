"""What a network takes and gives."""

import re
from dataclasses import dataclass, field
from typing import Any

from components.contract import quiet
from components.contract.errors import BadInput

with quiet.importing():
    import keras
    import tensorflow as tf

CHANNELS = (1, 0, 3)  # in the order in which a network is tried


@dataclass(frozen=True)
class Spec:
    """What is said of a network in model.json.

    `model` is the choice of --model that built it, with `parameters` as further arguments of `build` and `precision`
    as Keras's dtype policy. `image_shape` is height and width, and 3 where images are in colour. `channels` is what
    the network takes: 0 for [n, h, w], 1 for [n, h, w, 1], 3 for [n, h, w, 3], colours or the grey three times.
    """

    model: str
    image_shape: tuple[int, ...]
    classes: int
    channels: int
    parameters: dict[str, Any] = field(default_factory=dict)
    precision: str = "float32"


def pixels(images: Any, channels: int) -> tf.Tensor:
    """Return images as a network takes them: float32 in 0..1, with that many channels.

    They are uint8 [n, height, width], or [n, height, width, 3] for a network that takes colours.
    """
    shades = tf.cast(images, tf.float32)
    if channels == 0 or shades.shape.rank == 4:
        return shades / 255.0
    shades = shades[..., tf.newaxis] / 255.0
    return shades if channels == 1 else tf.repeat(shades, channels, axis=-1)


def channels_of(network: keras.Model, image_shape: tuple[int, ...]) -> int:
    """Return the `channels` of a network: from its input's shape, else by trying; raise `BadInput` if none fits.

    A network without an input's shape is a class with `call`; what it is called with builds it.
    """
    shape = getattr(network, "input_shape", None)  # which raises AttributeError where there is none
    tried, possible = [], CHANNELS if len(image_shape) == 2 else (3,)
    for channels in possible:
        given = shape_of(image_shape, channels)
        if shape is not None:
            if _fits(shape, given):
                return channels
        else:
            try:
                network(pixels(tf.zeros((2, *image_shape), tf.uint8), channels), training=False)
            except Exception as error:  # noqa: BLE001 - whatever a network says of what it does not take
                tried.append(f"for {given}: {sentence(error)}")
            else:
                return channels
    wanted = " or ".join(str(shape_of(image_shape, channels)) for channels in sorted(possible))
    remedy = "" if len(image_shape) == 2 else ", or set `colour` to grey in ingest"
    said = f"takes {shape}" if shape is not None else f"takes none of these ({'; '.join(tried)})"
    raise BadInput(
        f"the model {network.name} {said}, but images come as {wanted}; give it one of these as its Input{remedy}"
    )


def shape_of(image_shape: tuple[int, ...], channels: int) -> tuple[int | None, ...]:
    """Return the shape of a batch of images as a network takes them."""
    return (None, *image_shape[:2], channels) if channels else (None, *image_shape[:2])


def _fits(shape: Any, given: tuple[int | None, ...]) -> bool:
    """Return whether an input of that shape takes what is given; None is any size."""
    return (
        isinstance(shape, tuple)
        and len(shape) == len(given)
        and all(size in {None, number} for size, number in zip(shape[1:], given[1:], strict=True))
    )


def sentence(error: BaseException) -> str:
    """Return the first line of what an exception says, without what Keras puts around it; else the exception's name."""
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return lines[0] if lines else type(error).__name__
