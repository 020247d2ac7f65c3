# mypy: allow-untyped-defs, allow-untyped-calls
"""What a traced pass tells of networks of every kind, without a number moving."""

import importlib
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from components.train.machine.graph import trace

SHAPE = (8, 8, 1)


def chain(*parts, shape=SHAPE):
    return keras.Sequential([keras.Input(shape), *parts], name="net")


def of(network, what, shape=SHAPE):
    """Return one field of each variable, by the end of its name."""
    return {each["name"].partition("/")[2]: each[what] for each in trace(network, shape).variables}


@pytest.mark.parametrize(("model", "hidden"), [("convnet", ("conv1", "conv2", "conv3")), ("simple", ("conv", "dense"))])
def test_the_networks_that_ship(model, hidden):
    traced = trace(importlib.import_module(f"components.models.{model}").build((28, 28), 10), (28, 28, 1))
    assert [(each["name"], each["role"], each["activation"]) for each in traced.variables] == [
        (f"{model}/{layer}/{role}", role, "linear" if layer == "logits" else "relu")
        for layer in (*hidden, "logits")
        for role in ("kernel", "bias")
    ]
    assert all(each["connected"] and not each["normalised"] for each in traced.variables)
    assert (traced.ends_in, traced.moves, traced.frozen, traced.adds_losses) == ("", False, [], False)


class Attention(keras.Model):  # type: ignore[misc]
    """A subclassed network with a normalisation, attention, a branch in a function, and a layer that is not used."""

    def __init__(self):
        super().__init__(name="own")
        self.embed = layers.Dense(8, name="embed")
        self.attend = layers.MultiHeadAttention(2, 4, name="attend")
        self.normalise = layers.LayerNormalization(name="normalise")
        self.unused = layers.Dense(3, name="unused")
        self.logits = layers.Dense(3, name="logits", kernel_initializer="zeros")

    def build(self, shape):
        self.weight = self.add_weight(shape=(8,), name="w")
        self.unused.build((None, 8))
        self.call(keras.KerasTensor((2, *shape[1:])))
        self.built = True

    @tf.function
    def either(self, x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.nn.relu(x), lambda: x)

    def call(self, images):
        hidden = self.embed(ops.squeeze(images, -1)) * self.weight
        hidden = self.normalise(hidden + self.attend(hidden, hidden))
        if not isinstance(hidden, keras.KerasTensor):
            hidden = self.either(hidden)
        return self.logits(ops.mean(hidden, axis=1))


def test_a_network_of_ones_own():
    network = Attention()
    network.build((None, *SHAPE))
    traced = trace(network, SHAPE)
    found = {each["name"].split("/", 1)[1]: each for each in traced.variables}
    assert {name: each["role"] for name, each in found.items() if each["connected"]} == {
        "w": "scale", "embed/kernel": "kernel", "embed/bias": "bias",
        **{f"attend/{part}/{role}": role for part in ("query", "key", "value", "attention_output")
           for role in ("kernel", "bias")},
        "normalise/gamma": "scale", "normalise/beta": "bias",
        "logits/kernel": "kernel", "logits/bias": "bias",
    }  # fmt: skip
    assert [name for name, each in found.items() if not each["connected"]] == ["unused/kernel", "unused/bias"]
    assert found["attend/attention_output/bias"]["normalised"]
    assert not found["attend/value/bias"]["normalised"]
    assert found["normalise/beta"]["activation"] == "relu"
    assert found["logits/kernel"]["zero_initialised"]
    assert not found["embed/kernel"]["zero_initialised"]


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
@pytest.mark.parametrize(
    "normalisation",
    [layers.BatchNormalization, layers.LayerNormalization, lambda: layers.GroupNormalization(2),
     layers.RMSNormalization, lambda: layers.LayerNormalization(center=False, scale=False)],
)  # fmt: skip
def test_what_goes_into_a_normalisation(normalisation, policy):
    keras.config.set_dtype_policy(policy)
    network = chain(layers.Conv2D(4, 3, name="conv"), normalisation(), layers.ReLU(), layers.Conv2D(2, 3, name="last"))
    keras.config.set_dtype_policy("float32")
    found = of(network, "normalised")
    assert {name for name, is_so in found.items() if is_so} == {"conv/kernel", "conv/bias"}
    assert set(of(network, "activation").values()) == {"linear", "relu"} if len(found) > 4 else {"linear"}


def test_a_way_past_the_normalisation_counts():
    image = keras.Input(SHAPE)
    hidden = layers.Conv2D(4, 3, name="conv")(image)
    logits = layers.Flatten()(layers.ReLU()(layers.BatchNormalization()(hidden)) + hidden)
    assert not any(of(keras.Model(image, logits), "normalised").values())


@pytest.mark.parametrize(
    ("parts", "activation"),
    [
        ([layers.Dense(4, activation="relu")], "relu"),
        ([layers.Dense(4), layers.ReLU()], "relu"),
        ([layers.Dense(4), layers.Dropout(0.5), layers.Activation("relu")], "relu"),
        ([keras.Sequential([layers.Dense(4, activation="relu")])], "relu"),
        ([layers.Dense(4), layers.Lambda(lambda x: 2 * ops.relu(x))], "relu"),
        ([layers.Dense(4, activation=lambda x: 2 * ops.relu(x))], "relu"),
        ([layers.Dense(4, activation="gelu")], "gelu"),
        ([layers.Dense(4), layers.Activation("silu")], "silu"),
        ([layers.Dense(4), layers.LeakyReLU()], "leaky_relu"),
        ([layers.Dense(4)], "linear"),
    ],
)
def test_the_activation_that_a_layer_goes_through(parts, activation):
    found = of(chain(layers.Flatten(), *parts, layers.Dense(3, name="logits")), "activation")
    assert list(found.values()) == [activation, activation, "linear", "linear"]


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ([layers.Dense(3)], ""),
        ([layers.Dense(3, activation="softmax")], "softmax"),
        ([layers.Dense(3), layers.Softmax()], "softmax"),
        ([layers.Dense(3), layers.Lambda(lambda x: ops.exp(x) / ops.sum(ops.exp(x), 1, keepdims=True))], "softmax"),
        ([layers.Dense(3, activation="softmax"), layers.Lambda(lambda x: ops.clip(x, 1e-6, 1))], "softmax"),
        ([layers.Dense(3, activation="softmax"), layers.Reshape((3,)), layers.Identity()], "softmax"),
        ([keras.Sequential([layers.Dense(3, activation="sigmoid")])], "sigmoid"),
        ([layers.Dense(3, activation="relu")], "relu"),
        ([layers.Dense(3, activation="tanh")], "tanh"),
        ([layers.Dense(3, activation="log_softmax")], ""),
        ([layers.Dense(3), layers.Lambda(lambda x: 10 * ops.tanh(x / 10))], ""),
    ],
)
def test_what_the_output_ends_in(last, name):
    assert trace(chain(layers.Flatten(), *last), SHAPE).ends_in == name


def test_recurrent_layers_are_looked_into():
    found = trace(chain(layers.Reshape((8, 8)), layers.GRU(4), layers.Dense(3)), SHAPE)
    assert [each["activation"] for each in found.variables] == ["tanh"] * 3 + ["linear"] * 2
    assert [each["role"] for each in found.variables] == ["kernel", "kernel", "bias", "kernel", "bias"]
    assert not found.moves


def test_an_embedding_is_no_kernel():
    codes = layers.Lambda(lambda image: ops.cast(image * 255, "int32"))
    network = chain(layers.Flatten(), codes, layers.Embedding(256, 2, name="codes"), layers.Flatten(), layers.Dense(3))
    assert of(network, "role")["codes/embeddings"] == "embedding"
    assert all(of(network, "connected").values())


def counting():
    class Counting(layers.Layer):  # type: ignore[misc]
        def build(self, _):
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            self.count.assign_add(1.0)
            return x

    return Counting()


def frozen_normalisation():
    return layers.BatchNormalization(trainable=False)


@pytest.mark.parametrize(
    ("make", "moves"),
    [
        (layers.BatchNormalization, True),
        (lambda: layers.Dropout(0.5), True),
        (lambda: layers.RandomFlip("horizontal"), True),
        (lambda: layers.Lambda(lambda x: x + tf.random.normal(tf.shape(x))), True),
        (counting, True),
        (frozen_normalisation, False),
        (layers.LayerNormalization, False),
        (lambda: layers.Normalization(mean=0.5, variance=1.0), False),
        (lambda: layers.Dropout(0.0), False),
    ],
)
def test_whether_a_second_look_moves_anything(make, moves):
    assert trace(chain(make(), layers.Flatten(), layers.Dense(3)), SHAPE).moves is moves


def test_what_is_frozen_however_deep():
    inner = chain(layers.Conv2D(2, 3, name="conv"), layers.BatchNormalization(name="normal"))
    inner.layers[0].trainable = False
    network = chain(keras.Sequential([inner], name="outer"), layers.Flatten(), layers.Dense(3))
    assert trace(network, SHAPE).frozen == ["net/conv/kernel", "net/conv/bias"]
    inner.trainable = False
    assert [name.rpartition("/")[2] for name in trace(network, SHAPE).frozen] == ["kernel", "bias", "gamma", "beta"]


def test_losses_that_are_added():
    assert trace(chain(layers.Flatten(), layers.Dense(3, kernel_regularizer="l2")), SHAPE).adds_losses
    network = chain(layers.Flatten(), layers.Dense(3, activity_regularizer="l1"))
    assert trace(network, SHAPE).adds_losses
    assert network.losses == []  # nothing of the graph is left behind


def test_nothing_moves():
    """Neither weights, nor seeds, nor names: what is trained afterwards is the same as without a look."""
    noise = layers.Lambda(lambda x: x + random.random() + keras.random.normal(ops.shape(x)))  # noqa: S311

    def build():
        keras.utils.clear_session()
        keras.utils.set_random_seed(3)
        return chain(layers.Dropout(0.5), layers.BatchNormalization(), noise, layers.Flatten(), layers.Dense(3))

    images = np.ones((2, *SHAPE), np.float32)
    plain = build()
    expected = plain(images, training=True), *plain.weights
    network = build()
    before = random.getstate()
    trace(network, SHAPE)
    assert random.getstate() == before
    for mine, other in zip((network(images, training=True), *network.weights), expected, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert layers.Dense(1).name == "dense_1"


def test_variables_that_replicas_share():
    devices = tf.config.list_logical_devices("CPU")
    with tf.distribute.MirroredStrategy([device.name for device in devices]).scope():
        network = chain(layers.Conv2D(4, 3, name="conv"), layers.BatchNormalization(), layers.Flatten())
    assert of(network, "normalised")["conv/bias"]
