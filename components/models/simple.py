"""The network of TensorFlow's quickstart for experts: 2,770,634 parameters for 28×28 images and 10 classes."""

import keras
from keras import layers


def build(image_shape: tuple[int, int], classes: int, *, channels: int = 1) -> keras.Model:
    """Return the network: images, float32 [batch, height, width, channels], to logits, float32 [batch, classes]."""
    return keras.Sequential(
        [
            keras.Input((*image_shape, channels)),
            layers.Conv2D(32, 3, activation="relu", name="conv"),
            layers.Flatten(name="flatten"),
            layers.Dense(128, activation="relu", name="dense"),
            layers.Dense(classes, name="logits"),
        ],
        name="simple",
    )
