"""The networks of the failure zoo, each a function that builds it as a file in components/models does."""

from typing import Any

from benchmarks import kinds


def convolutional(first: Any, bias: float = 0.0, weights: str = "glorot_uniform", last: Any = None) -> Any:
    """Return a builder of a small convolutional network: `first` before it, `last` after its second layer."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        start = keras.initializers.Constant(bias)
        image = keras.Input((*image_shape, 1))
        hidden = first(image) if first else image
        hidden = layers.Conv2D(8, 3, 2, activation="relu", name="conv1", kernel_initializer=weights)(hidden)
        hidden = layers.Conv2D(
            16, 3, 2, activation="relu", name="conv2", kernel_initializer=weights, bias_initializer=start
        )(hidden)
        hidden = last(hidden) if last else hidden
        logits = layers.Dense(classes, name="logits", kernel_initializer=weights)(layers.Flatten()(hidden))
        return keras.Model(image, logits, name="zoo")

    return build


def dense(activation: str, depth: int, trainable: tuple[bool, ...] = ()) -> Any:
    """Return a builder of a chain of dense layers."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        chain: list[Any] = [keras.Input((*image_shape, 1)), layers.Flatten()]
        chain += [layers.Dense(32, activation=activation, name=f"hidden{i}") for i in range(depth)]
        for layer, learns in zip(chain[2:], trainable, strict=False):
            layer.trainable = learns
        return keras.Sequential([*chain, layers.Dense(classes, name="logits")], name="zoo")

    return build


def logarithm(image: Any) -> Any:
    """Take the logarithm of pixels, many of which are 0."""
    import keras

    return keras.ops.log(image)


def stop(hidden: Any) -> Any:
    """Let no gradient through."""
    import keras

    return keras.ops.stop_gradient(hidden)


def times(factor: float) -> Any:
    """Return a function that scales the images."""
    return lambda image: image * factor


NETWORKS = {
    "zoo-plain": convolutional(None),
    "zoo-logarithm": convolutional(logarithm),
    "zoo-pixels": convolutional(times(255.0)),
    "zoo-huge-weights": convolutional(None, weights="ones"),
    "zoo-dead": convolutional(None, bias=-10.0),
    "zoo-stopped": convolutional(None, last=stop),
    "zoo-sigmoid": dense("sigmoid", 8),
    "zoo-frozen": dense("relu", 2, trainable=(False, True)),
    "zoo-tanh": dense("tanh", 2),
    "zoo-relu": dense("relu", 4),
    "zoo-linear": dense("linear", 3),
} | kinds.NETWORKS
