"""A probe: the logits of a few made-up images, from which it can be told whether a model still computes what it did."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from components.artifacts.model.spec import Spec, pixels
from components.contract import quiet

with quiet.importing():
    import keras
    import tensorflow as tf

COUNT = 8
# Of the largest logit: what other processors and other kernels make of the same numbers, and less than one weight's
# worth; in half precision they keep 8 to 11 bits.
TOLERANCE, HALF_TOLERANCE = 1e-3, 5e-2


def images(image_shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """Return the images, uint8 [n, *image_shape]: noise, half of them dark but for a few pixels, as digits are."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (COUNT, *image_shape), np.uint8)
    share = np.where(np.arange(COUNT) % 2, 0.8, 0.0).reshape(-1, *(1 for _ in image_shape))
    dark = random.random(noise.shape) < share
    return np.where(dark, np.uint8(0), noise)


def record(network: keras.Model, spec: Spec, path: Path) -> None:
    """Write the images and the network's logits for them; no logits if it answers otherwise each time."""
    shown = images(spec.image_shape)
    first, second = (logits(network, spec, shown) for _ in range(2))
    tensors = {"images": shown, "logits": first}
    if not np.array_equal(first, second, equal_nan=True):
        del tensors["logits"]
    save_file(tensors, path)


def logits(network: keras.Model, spec: Spec, shown: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the logits of images, uint8 [n, height, width], as float32 [n, classes]."""
    answers = tf.cast(network(pixels(shown, spec.channels), training=False), tf.float32)
    result: npt.NDArray[np.float32] = answers.numpy()
    return result


def recorded(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32] | None]:
    """Return the images and the logits that were recorded; None for a network that answers otherwise each time."""
    tensors = load_file(path)
    return tensors["images"], tensors.get("logits")


def difference(found: npt.NDArray[np.floating], wanted: npt.NDArray[np.floating], network: keras.Model) -> str:
    """Return in words how far `found` is from `wanted`, or nothing if that is within what a processor may change.

    Where `wanted` is no number anything will do: fused kernels make other things of NaN than single ones.
    """
    if found.shape != wanted.shape:
        return f"it gives {found.shape}, not {wanted.shape}"
    known = np.isfinite(wanted)
    if not np.isfinite(found[known]).all():
        return "it gives what is no number"
    worst = float(np.abs(found - wanted)[known].max(initial=0.0))
    largest = max(1.0, float(np.abs(wanted)[known].max(initial=0.0)))
    layers = network._flatten_layers()  # noqa: SLF001 - there is no public way
    halves = any(layer.compute_dtype in ("float16", "bfloat16") for layer in layers)
    tolerance = HALF_TOLERANCE if halves else TOLERANCE
    return f"an answer differs by {worst:.3g}" if worst > tolerance * largest else ""
