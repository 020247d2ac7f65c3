"""A deeper convolutional network, batch-normalised: 209,474 parameters for 28×28 images and 10 classes.

Three convolutions, of which the last halves the image, twice; each is normalised (Ioffe & Szegedy 2015, arXiv
1502.03167). It is the network of the preset `best`, which learns it from augmented images.
"""

from typing import Any

import keras
from keras import layers

# What is normalised by at evaluation is a mean over some of the last steps, of which a short run has few.
MOMENTUM = 0.95


def build(image_shape: tuple[int, int], classes: int, *, channels: int = 1) -> keras.Model:
    """Return the network: images, float32 [batch, height, width, channels], to logits, float32 [batch, classes]."""
    image = hidden = keras.Input((*image_shape, channels))
    for block, filters in enumerate((24, 48), 1):
        hidden = _normalised(layers.Conv2D(filters, 3, use_bias=False, name=f"conv{block}a"), hidden)
        hidden = _normalised(layers.Conv2D(filters, 3, use_bias=False, name=f"conv{block}b"), hidden)
        halving = layers.Conv2D(filters, 5, strides=2, padding="same", use_bias=False, name=f"conv{block}c")
        hidden = _normalised(halving, hidden)
    hidden = layers.Flatten(name="flatten")(hidden)
    hidden = _normalised(layers.Dense(128, use_bias=False, name="dense"), hidden)
    return keras.Model(image, layers.Dense(classes, name="logits")(hidden), name="convnet_bn")


def _normalised(layer: keras.Layer, hidden: Any) -> Any:
    hidden = layers.BatchNormalization(momentum=MOMENTUM, name=f"{layer.name}_norm")(layer(hidden))
    return layers.ReLU(name=f"{layer.name}_relu")(hidden)
