"""A deeper convolutional network, batch-normalised (Ioffe & Szegedy 2015, arXiv 1502.03167)."""

import keras
from keras import layers


def build(image_shape: tuple[int, int], classes: int) -> keras.Model:
    """Return the network: images, float32 [batch, height, width, 1], to logits, float32 [batch, classes]."""
    import os

    spec = os.environ.get("NET", "24,24,24s,48,48,48s,dense128")
    image = keras.Input((*image_shape, 1))
    x = image
    drop = float(os.environ.get("DROP", "0.3"))
    mom = float(os.environ.get("MOM", "0.9"))
    for i, p in enumerate(spec.split(",")):
        if p == "pool":
            x = layers.MaxPooling2D()(x)
            continue
        if p == "gap":
            x = layers.GlobalAveragePooling2D()(x)
            continue
        if p == "gmp":
            x = layers.GlobalMaxPooling2D()(x)
            continue
        if p == "drop":
            x = layers.Dropout(drop)(x)
            continue
        if p.startswith("dense"):
            x = layers.Flatten()(x) if len(x.shape) > 2 else x
            x = layers.Dense(int(p[5:]), use_bias=False)(x)
        else:
            same = "p" in p
            x = layers.Conv2D(
                int(p.strip("spb")),
                5 if "s" in p else 3,
                strides=2 if "s" in p else 1,
                padding="same" if "s" in p or same else "valid",
                use_bias=False,
            )(x)
        x = layers.BatchNormalization(momentum=mom)(x)
        x = layers.ReLU()(x)
    x = layers.Flatten()(x) if len(x.shape) > 2 else x
    return keras.Model(image, layers.Dense(classes, name="logits")(x), name="convnet_bn")
