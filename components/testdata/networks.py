# mypy: allow-untyped-defs, allow-untyped-calls, allow-subclassing-any, allow-untyped-decorators
# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN202, ANN204, ARG001, ARG002, ARG005, D102, D401, INP001, PLW0108
"""Networks of many kinds, as people write them: each a `build(image_shape, classes)` that is a choice of `--model`."""

import contextlib
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from components.artifacts.model import Spec, channels_of
from components.models import MODELS

Shape = tuple[int, int]


class Quickstart(keras.Model):
    """The class of TensorFlow's quickstart for experts."""

    def __init__(self, classes):
        super().__init__()
        self.conv1 = layers.Conv2D(4, 3, activation="relu")
        self.flatten = layers.Flatten()
        self.d1 = layers.Dense(8, activation="relu")
        self.d2 = layers.Dense(classes)

    def call(self, x):
        return self.d2(self.d1(self.flatten(self.conv1(x))))


class Compiled(Quickstart):
    """One whose call is compiled by its own decorator."""

    @tf.function
    def call(self, x):
        return self.d2(self.d1(self.flatten(self.conv1(x))))


class Stack(keras.Model):
    """One whose constructor takes what no configuration can hold, and which takes [n, height, width]."""

    def __init__(self, activation, sizes):
        super().__init__()
        self.flatten = layers.Flatten()
        self.parts = [layers.Dense(size) for size in sizes]
        self.activation = activation

    def call(self, x, training=False):
        x = self.flatten(x)
        for part in self.parts[:-1]:
            x = self.activation(part(x))
        return self.parts[-1](x)


class Rows(keras.Model):
    """One that takes only [n, height, width], and says so only when it is called."""

    def __init__(self, classes):
        super().__init__()
        self.lstm = layers.LSTM(6)
        self.out = layers.Dense(classes)

    def call(self, x):
        return self.out(self.lstm(x))


class Colour(keras.Model):
    """One that takes only three channels, as it has a pretrained part that does."""

    def __init__(self, classes):
        super().__init__()
        self.base = keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()])
        self.out = layers.Dense(classes)

    def call(self, x):
        return self.out(self.base(x))


class Gain(layers.Layer):
    """A layer with a weight, and no `get_config`."""

    def build(self, shape):
        self.gain = self.add_weight(shape=(shape[-1],), initializer="ones", name="gain")

    def call(self, x):
        return x * self.gain


@keras.saving.register_keras_serializable("tests")
class Shift(layers.Layer):
    """A registered layer with a configuration."""

    def __init__(self, by=0.5, **named):
        super().__init__(**named)
        self.by = by

    def call(self, x):
        return x + self.by

    def get_config(self):
        return super().get_config() | {"by": self.by}


class Through(layers.Layer):
    """A layer whose argument is a function, which Keras refuses to describe."""

    def __init__(self, function, **named):
        super().__init__(**named)
        self.function = function

    def call(self, x):
        return self.function(x)


class Tied(layers.Layer):
    """A last layer that is not Dense: the logits are the similarities to the rows of a table."""

    def __init__(self, classes, **named):
        super().__init__(**named)
        self.classes = classes

    def build(self, shape):
        self.table = self.add_weight(shape=(self.classes, shape[-1]), name="table")

    def call(self, x):
        return tf.matmul(x, self.table, transpose_b=True)


class Dice(layers.Layer):
    """A layer that rolls dice whenever it is called."""

    def __init__(self, **named):
        super().__init__(**named)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, x):
        return x + keras.random.normal(tf.shape(x), stddev=0.1, seed=self.seeds)


class Constant(layers.Layer):
    """A layer that keeps a variable of TensorFlow's, of which Keras knows nothing."""

    def __init__(self, **named):
        super().__init__(**named)
        self.factor = tf.Variable(2.0, trainable=False)

    def call(self, x):
        return x * self.factor


class Unpooled(layers.Layer):
    """A layer with gradients at no pixel: the brightest of each row."""

    def call(self, x):
        return tf.one_hot(tf.argmax(x, axis=2), x.shape[2])


@tf.custom_gradient
def straight_through(x):
    """Round, with the gradient of what was not rounded."""
    return tf.round(x * 3.0) / 3.0, lambda upstream: upstream


def bent(x):
    """An activation of one's own."""
    return (x + tf.sqrt(x * x + 4.0)) / 2.0


def _sequence(*parts, channels=1):
    def build(shape: Shape, classes: int) -> keras.Model:
        given = (*shape, channels) if channels else shape
        made = [part() if isinstance(part, types.FunctionType | type) else part for part in parts]
        return keras.Sequential([keras.Input(given), *made, layers.Flatten(), layers.Dense(classes)])

    return build


def nested(shape: Shape, classes: int) -> keras.Model:
    """Transfer learning: a frozen part, a head that is a model, and another model in that."""
    base = keras.Sequential([keras.Input((*shape, 1)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten()])
    base.trainable = False
    size = base.output_shape[-1]
    inner = keras.Sequential([keras.Input((size,)), layers.Dense(8), layers.ReLU(), layers.Dense(classes)])
    head = keras.Sequential([keras.Input((size,)), inner])
    images = keras.Input((*shape, 1))
    return keras.Model(images, head(base(images)))


def attention(shape: Shape, classes: int) -> keras.Model:
    """Rows that attend to rows."""
    images = keras.Input(shape)
    rows = layers.Dense(8)(images)
    rows = layers.LayerNormalization()(rows + layers.MultiHeadAttention(2, 4)(rows, rows))
    return keras.Model(images, layers.Dense(classes)(layers.GlobalAveragePooling1D()(rows)))


def residual(shape: Shape, classes: int) -> keras.Model:
    """Batch normalisation, dropout, a branch, and no Dense layer at the end."""
    images = keras.Input((*shape, 1))
    x = layers.Conv2D(6, 3, padding="same")(images)
    x = x + layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)))
    return keras.Model(images, layers.GlobalAveragePooling2D()(layers.Conv2D(classes, 1)(layers.Dropout(0.5)(x))))


def embedding(shape: Shape, classes: int) -> keras.Model:
    """Shades of grey as words."""
    images = keras.Input(shape)
    words = layers.Embedding(16, 4)(layers.Lambda(lambda x: tf.cast(x * 15.0, tf.int32))(images))
    return keras.Model(images, layers.Dense(classes)(layers.Flatten()(words)))


def closure(shape: Shape, classes: int) -> keras.Model:
    """A lambda around what is known only here."""
    mask = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(*shape, 1)
    return _sequence(layers.Lambda(lambda x: x * mask))(shape, classes)


def local(shape: Shape, classes: int) -> keras.Model:
    """A class that exists only while this function runs."""

    class Half(layers.Layer):
        def call(self, x):
            return x / 2

    return _sequence(Half(), layers.Flatten(), layers.Dense(4))(shape, classes)


def late(shape: Shape, classes: int) -> keras.Model:
    """A Sequential that has no Input, so that it is built when it is called."""
    return keras.Sequential([layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(classes)])


def half(shape: Shape, classes: int) -> keras.Model:
    """Computed in half precision."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        return Quickstart(classes)
    finally:
        keras.config.set_dtype_policy("float32")


def frozen(shape: Shape, classes: int) -> keras.Model:
    """Nothing but the bias of the last layer learns."""
    network = _sequence(layers.Conv2D(2, 3))(shape, classes)
    network.layers[0].trainable = False
    return network


NETWORKS: dict[str, Callable[[Shape, int], keras.Model]] = {
    "quickstart": lambda shape, classes: Quickstart(classes),
    "compiled": lambda shape, classes: Compiled(classes),
    "stack": lambda shape, classes: Stack(lambda x: tf.nn.relu(x) * 2, (6, 5, classes)),
    "rows": lambda shape, classes: Rows(classes),
    "colour": lambda shape, classes: Colour(classes),
    "nested": nested,
    "attention": attention,
    "residual": residual,
    "embedding": embedding,
    "closure": closure,
    "local": local,
    "late": late,
    "half": half,
    "frozen": frozen,
    "flat-input": _sequence(layers.Flatten, channels=0),
    "three-channels": _sequence(lambda: layers.Conv2D(2, 3), channels=3),
    "gain": _sequence(Gain),
    "shift": _sequence(lambda: Shift(0.25)),
    "through": _sequence(lambda: Through(lambda x: x * 3.0)),
    "tied": lambda shape, classes: keras.Sequential([keras.Input((*shape, 1)), layers.Flatten(), Tied(classes)]),
    "dice": _sequence(Dice),
    "constant": _sequence(Constant),
    "unpooled": _sequence(Unpooled, channels=0),
    "bent": _sequence(lambda: layers.Conv2D(2, 3, activation=bent)),
    "lambda": _sequence(lambda: layers.Lambda(lambda x: 1.0 - x)),
    "augmented": _sequence(
        lambda: layers.Rescaling(2.0, -1.0), lambda: layers.RandomFlip(), lambda: layers.RandomRotation(0.1),
        lambda: layers.RandomZoom(0.1), lambda: layers.RandomContrast(0.1), lambda: layers.GaussianNoise(0.1),
    ),
    "straight-through": _sequence(lambda: layers.Activation(straight_through)),
    "normalised": _sequence(lambda: layers.Normalization(mean=0.13, variance=0.09)),
    "looked-up": _sequence(
        lambda: layers.Rescaling(3.0), lambda: layers.Discretization([0.5, 1.5]), lambda: layers.Embedding(3, 2),
        channels=0,
    ),
    "table": _sequence(
        lambda: layers.Lambda(lambda x: tf.cast(x * 3.0, tf.int64)), lambda: layers.IntegerLookup(vocabulary=[0, 1, 2]),
        lambda: layers.Embedding(4, 2), channels=0,
    ),
    "float64": lambda shape, classes: keras.Sequential(
        [keras.Input((*shape, 1)), layers.Flatten(), layers.Dense(classes, dtype="float64")]
    ),
    "float16": lambda shape, classes: keras.Sequential(
        [keras.Input((*shape, 1)), layers.Flatten(), layers.Dense(classes, dtype="float16")]
    ),
    "no-bias": lambda shape, classes: keras.Sequential(
        [keras.Input((*shape, 1)), layers.Flatten(), layers.Dense(classes, use_bias=False)]
    ),
}  # fmt: skip


@contextlib.contextmanager
def entered() -> Iterator[None]:
    """Make each of them a choice of `--model`, as if it were the `build` of a file in components/models."""
    for name, build in NETWORKS.items():
        module: Any = types.ModuleType(f"networks_{name}")
        vars(module).update({key: value for key, value in globals().items() if not key.startswith("_")})
        module.build = build
        sys.modules[module.__name__] = module
        MODELS.add(name, module.__name__)
    try:
        yield
    finally:
        for name in NETWORKS:
            MODELS.remove(name)


def made(name: str, shape: Shape, classes: int) -> tuple[keras.Model, Spec]:
    """Return one of them as if it had been trained, the same each time: its weights are not those it began with."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    network = NETWORKS[name](shape, classes)
    spec = Spec(name, shape, classes, channels_of(network, shape))
    random = np.random.default_rng(1)
    for variable in network.trainable_variables:
        variable.assign(variable + 0.3 * random.normal(size=variable.shape))
    return network, spec
