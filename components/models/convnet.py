"""A small convolutional network: 29,066 parameters for 28×28 images and 10 classes, a hundredth of `simple`."""

import keras
from keras import layers


def build(image_shape: tuple[int, int], classes: int, *, channels: int = 1) -> keras.Model:
    """Return the network: images, float32 [batch, height, width, channels], to logits, float32 [batch, classes]."""
    return keras.Sequential(
        [
            keras.Input((*image_shape, channels)),
            layers.Conv2D(16, 3, activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(32, 3, activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Conv2D(64, 3, activation="relu", name="conv3"),
            layers.Flatten(name="flatten"),
            layers.Dense(classes, name="logits"),
        ],
        name="convnet",
    )
