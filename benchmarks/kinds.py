"""Networks of the failure zoo that are of another kind than those which the rules' limits were set on."""

from collections.abc import Callable
from typing import Any

Build = Callable[[tuple[int, int], int], Any]


def chain(parts: Callable[[Any], list[Any]], last: str = "glorot_uniform") -> Build:
    """Return a builder of `parts`, made of what keras.layers has, and a last layer of logits."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers

        logits = layers.Dense(classes, name="logits", kernel_initializer=last)
        return keras.Sequential([keras.Input((*image_shape, 1)), *parts(layers), logits], name="zoo")

    return build


def nested(parts: Callable[[Any], list[Any]], *, trainable: bool = True) -> Build:
    """Return a builder of `parts` two networks deep."""

    def inner(layers: Any) -> list[Any]:
        import keras

        part = keras.Sequential(parts(layers), name="part")
        part.trainable = trainable
        return [keras.Sequential([part], name="whole"), layers.Flatten()]

    return chain(inner)


def residual(image_shape: tuple[int, int], classes: int) -> Any:
    """Build a residual network whose branches give nothing at first: their last scale begins as zeros."""
    import keras
    from keras import layers

    image = keras.Input((*image_shape, 1))
    hidden = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, 2)(image)))
    for _ in range(2):
        branch = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(hidden)))
        branch = layers.Conv2D(8, 3, padding="same")(branch)
        hidden = layers.ReLU()(layers.Add()([hidden, layers.BatchNormalization(gamma_initializer="zeros")(branch)]))
    logits = layers.Dense(classes)(layers.Flatten()(layers.MaxPooling2D()(hidden)))
    return keras.Model(image, logits, name="zoo")


def attention(image_shape: tuple[int, int], classes: int) -> Any:
    """Build two blocks of a transformer over the rows of an image."""
    import keras
    from keras import layers

    image = keras.Input((*image_shape, 1))
    rows = layers.Dense(16)(layers.Reshape(image_shape)(image))
    for _ in range(2):
        normal = layers.LayerNormalization()(rows)
        rows = layers.Add()([rows, layers.MultiHeadAttention(2, 8)(normal, normal)])
        wide = layers.Dense(32, activation="gelu")(layers.LayerNormalization()(rows))
        rows = layers.Add()([rows, layers.Dense(16)(wide)])
    return keras.Model(image, layers.Dense(classes)(layers.Flatten()(rows)), name="zoo")


def own(*, unused: bool) -> Build:
    """Return a builder of a class of one's own, with weights of its own names."""

    def build(image_shape: tuple[int, int], classes: int) -> Any:
        import keras
        from keras import layers, ops

        class Own(keras.Model):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__(name="zoo")
                self.flatten, self.logits = layers.Flatten(), layers.Dense(classes, name="logits")
                pixels = image_shape[0] * image_shape[1]
                self.w = self.add_weight(shape=(pixels, 32), name="w")
                self.b = self.add_weight(shape=(32,), name="b", initializer="zeros")
                self.logits.build((None, 32))
                if unused:
                    self.second = layers.Dense(8, name="second")
                    self.second.build((None, 32))

            def call(self, images: Any) -> Any:
                return self.logits(ops.relu(ops.matmul(self.flatten(images), self.w) + self.b))

        image = keras.Input((*image_shape, 1))
        return keras.Model(image, Own()(image), name="zoo")

    return build


def _dense(layers: Any, *widths: int, **options: Any) -> list[Any]:
    return [layers.Flatten(), *(layers.Dense(width, **options) for width in widths)]


def _codes(layers: Any) -> Any:
    import keras

    return layers.Lambda(lambda image: keras.ops.cast(image * 15, "int32"))


def _late(_: Any) -> Any:
    import keras

    return keras.initializers.Constant(-100.0)


NETWORKS: dict[str, Build] = {
    "zoo-nested-dead": nested(
        lambda layers: _dense(layers, 32, activation="relu", bias_initializer=_late(layers))
    ),
    "zoo-layer-dead": chain(
        lambda layers: [*_dense(layers, 32, bias_initializer=_late(layers)), layers.ReLU()]
    ),
    "zoo-nested-frozen": nested(lambda layers: [layers.Conv2D(8, 3, 2, activation="relu")], trainable=False),
    "zoo-zeros": chain(lambda layers: _dense(layers, 32, 32, activation="relu", kernel_initializer="zeros"), "zeros"),
    "zoo-zeros-sigmoid": chain(
        lambda layers: _dense(layers, 32, activation="sigmoid", kernel_initializer="zeros"), "zeros"
    ),
    "zoo-zeros-hidden": chain(
        lambda layers: [*_dense(layers, 32, activation="relu", kernel_initializer="zeros"), layers.Dense(32, "relu")]
    ),
    "zoo-nested-pixels": nested(lambda layers: [layers.Rescaling(255.0), layers.Conv2D(8, 3, 2, activation="relu")]),
    "zoo-unused": own(unused=True),
    "zoo-nested-sigmoid": nested(lambda layers: _dense(layers, *[32] * 10, activation="sigmoid")),
    "zoo-batchnorm": chain(
        lambda layers: [
            layers.Conv2D(8, 3, 2), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(16, 3, 2),
            layers.BatchNormalization(), layers.ReLU(), layers.Flatten(),
        ]
    ),
    "zoo-residual": residual,
    "zoo-attention": attention,
    "zoo-gru": chain(lambda layers: [layers.Reshape((14, 56)), layers.GRU(24)]),
    "zoo-lstm": chain(lambda layers: [layers.Reshape((14, 56)), layers.LSTM(24)]),
    "zoo-embedding": chain(
        lambda layers: [
            layers.MaxPooling2D(2), layers.Flatten(), _codes(layers), layers.Embedding(16, 4), layers.Flatten(),
        ]
    ),
    "zoo-separable": chain(
        lambda layers: [
            layers.SeparableConv2D(8, 3, 2, activation="relu"), layers.DepthwiseConv2D(3, activation="relu"),
            layers.Flatten(),
        ]
    ),
    "zoo-dropout": chain(
        lambda layers: [
            layers.Flatten(), layers.Dropout(0.2), layers.Dense(128, "relu"), layers.Dropout(0.5),
            layers.Dense(128, "relu"), layers.Dropout(0.5),
        ]
    ),
    "zoo-groupnorm": chain(
        lambda layers: [
            layers.Conv2D(8, 3, 2), layers.GroupNormalization(8), layers.Activation("silu"), layers.Flatten(),
        ]
    ),
    "zoo-gelu": chain(lambda layers: _dense(layers, 32, 32, activation="gelu")),
    "zoo-leaky": chain(lambda layers: [*_dense(layers, 32), layers.LeakyReLU(), layers.Dense(32), layers.PReLU()]),
    "zoo-preprocessing": chain(
        lambda layers: [
            layers.Rescaling(255.0), layers.Normalization(mean=33.0, variance=78.0**2),
            layers.RandomTranslation(0.1, 0.1), layers.Conv2D(8, 3, 2, activation="relu"), layers.Flatten(),
        ]
    ),
    "zoo-zero-last": chain(lambda layers: _dense(layers, 32, activation="relu"), "zeros"),
    "zoo-subclassed": own(unused=False),
    "zoo-transfer": nested(
        lambda layers: [layers.Conv2D(8, 3, 2), layers.BatchNormalization(), layers.ReLU()], trainable=False
    ),
}  # fmt: skip
