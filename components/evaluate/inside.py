"""Looking inside: what the gradients at the trained weights say of single images, and of the classes."""

import contextlib
import functools
import hashlib
import json
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.dataset import Images, at_once
from components.artifacts.model import pixels, sentence
from components.contract import artifact, quiet

with quiet.importing():
    import keras
    import tensorflow as tf

BATCH = 500
SUSPECTS = 100
SALIENT = 8  # images shown with their pixels, unless others are chosen
KNOWN_ERRORS = Path(__file__).parent / "mnist_label_errors.json"

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What was seen inside, for metrics.json and for the page."""

    figures: dict[str, Any]
    saliency: dict[int, npt.NDArray[np.uint8]]  # of images, by their number
    missing: dict[str, str]  # what could not be seen, and why


def look(  # noqa: PLR0913 - a network, and what it is shown
    network: keras.Model,
    images: Images,
    labels: Ints,
    logits: Floats,
    chosen: list[int],
    channels: int,
) -> Seen:
    """Look inside a network, at the saliency of the `chosen` images, or else of the most suspected ones.

    What the network's layers make impossible (an operation without a gradient, say) is missing, and all else is there.
    """
    missing: dict[str, str] = {}
    classes = logits.shape[1]
    with _unless(missing, "suspected labels"):
        norms = example_norms(network, images, labels, channels)
    found = suspects(norms, labels, logits) if "suspected labels" not in missing else []
    cosines = np.full((classes, classes), np.nan, np.float32)
    with _unless(missing, "cosines of the classes"):
        cosines = class_cosines(network, images, labels, classes, channels)
    shown: dict[int, npt.NDArray[np.uint8]] = {}
    with _unless(missing, "saliency"):
        numbers = chosen or [each["image"] for each in found[:SALIENT]] or range(min(SALIENT, len(images)))
        shown = {i: saliency(network, images[i : i + 1], channels)[0] for i in numbers}
    figures = {
        "suspected_labels": found,
        "known_label_errors": known_errors(labels, found),
        "class_gradient_cosines": [[artifact.number(value) for value in row] for row in cosines.tolist()],
    }
    return Seen(figures, shown, missing)


@contextlib.contextmanager
def _unless(missing: dict[str, str], what: str) -> Iterator[None]:
    """Note under `what` why the block failed, if it does: the accuracy is not lost to a picture."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever a network's own code raises
        missing[what] = f"cannot be seen in this network: {sentence(error)}"


def example_norms(network: keras.Model, images: Images, labels: Ints, channels: int = 1) -> Floats:
    """Return the norm of each image's own gradient, float32 [n], with respect to the last layer.

    For a dense layer on features h, and p the softmax of its logits, it is |p − y| · √(|h|² + 1) for a label y
    (Goodfellow 2015, arXiv 1510.01799), without the 1 if it has no bias: one pass forward. Where the logits are not a
    dense layer's, it is |p − y|, the gradient with respect to them. A trained network is rarely as wrong as where the
    label is (Paul et al. 2021, arXiv 2107.07075), so a large norm puts the label under suspicion.
    """

    @tf.function  # type: ignore[untyped-decorator]
    def norms(batch: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        with _dense_calls() as calls:
            output = network(pixels(batch, channels), training=False)
        logits = tf.cast(output, tf.float32)
        errors = tf.nn.softmax(logits) - tf.one_hot(answers, logits.shape[1])
        for layer, features, result in calls:
            if result is output and layer.activation is keras.activations.linear:
                squares = tf.reduce_sum(tf.cast(features, tf.float32) ** 2, axis=1)
                return tf.norm(errors, axis=1) * tf.sqrt(int(layer.use_bias) + squares)
        return tf.norm(errors, axis=1)

    batch = at_once(images, BATCH)
    parts = [norms(images[i : i + batch], labels[i : i + batch]).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)


@contextlib.contextmanager
def _dense_calls() -> Iterator[list[tuple[keras.layers.Dense, tf.Tensor, tf.Tensor]]]:
    """Note each dense layer that is called, with its input and output, wherever in a network, of whatever kind, it is.

    Only the call itself shows the input of a layer in a class with its own `call`.
    """
    calls = []
    plain = keras.layers.Dense.call

    def call(layer: keras.layers.Dense, inputs: tf.Tensor, *arguments: Any, **named: Any) -> tf.Tensor:
        output = plain(layer, inputs, *arguments, **named)
        calls.append((layer, inputs, output))
        return output

    keras.layers.Dense.call = call
    try:
        yield calls
    finally:
        keras.layers.Dense.call = plain


def class_cosines(network: keras.Model, images: Images, labels: Ints, classes: int, channels: int = 1) -> Floats:
    """Return the cosines between the mean gradients of the classes, float32 [classes, classes].

    Below 0, a step that helps the one class hurts the other. A class without images, or without a gradient, has NaN.
    """
    variables = [variable.value for variable in network.trainable_variables]
    if not variables:
        return np.full((classes, classes), np.nan, np.float32)

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradient(batch: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.cast(network(pixels(batch, channels), training=False), tf.float32)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits))
        found = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        # An embedding's gradient comes as the rows that it is in.
        parts = [tf.cast(tf.convert_to_tensor(each), tf.float32) for each in found]
        return tf.concat([tf.reshape(each, [-1]) for each in parts], 0)

    rows, batch = [], at_once(images, BATCH)
    for label in range(classes):
        chosen = np.flatnonzero(labels == label)
        parts = (chosen[i : i + batch] for i in range(0, len(chosen), batch))
        sums = (gradient(images[part], labels[part]) for part in parts)  # one after the other: each is a whole gradient
        nothing = tf.fill([sum(int(np.prod(variable.shape)) for variable in variables)], float("nan"))
        rows.append(functools.reduce(operator.add, sums) if len(chosen) else nothing)
    matrix = tf.math.l2_normalize(tf.stack(rows), axis=1, epsilon=0.0)
    cosines: Floats = np.clip(tf.matmul(matrix, matrix, transpose_b=True).numpy(), -1, 1)
    return cosines


def saliency(network: keras.Model, images: npt.NDArray[np.uint8], channels: int = 1) -> npt.NDArray[np.uint8]:
    """Return how much each pixel moves the answer: |∂ largest logit / ∂ pixel|, uint8 [n, height, width].

    The largest of each image is 255 (Simonyan et al. 2013, arXiv 1312.6034, section 3); all are 0 where there is no
    gradient, as in a network that rounds its pixels.
    """
    shades = pixels(images, channels)
    with tf.GradientTape() as tape:
        tape.watch(shades)
        largest = tf.reduce_max(tf.cast(network(shades, training=False), tf.float32), axis=1)
    gradient = tape.gradient(largest, shades, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found = tf.convert_to_tensor(gradient).numpy()
    slopes = np.nan_to_num(np.abs(found.sum(axis=-1) if channels else found), nan=0.0, posinf=0.0)
    brightest = slopes.max(axis=(1, 2), keepdims=True)
    shares = np.divide(slopes, brightest, out=np.zeros_like(slopes), where=brightest > 0)
    grey: npt.NDArray[np.uint8] = np.round(255 * shares).astype(np.uint8)
    return grey


def suspects(norms: Floats, labels: Ints, logits: Floats) -> list[dict[str, Any]]:
    """Return the images with the largest gradients, the largest first, without those that are no number."""
    order = [i for i in np.argsort(-norms, kind="stable") if np.isfinite(norms[i])][:SUSPECTS]
    return [
        {
            "image": int(i),
            "label": int(labels[i]),
            "answer": int(logits[i].argmax()),
            "gradient_norm": float(norms[i]),
        }
        for i in order
    ]


def known_errors(labels: Ints, found: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many of MNIST's known label errors are among the suspects; nothing for other labels than MNIST's."""
    document = json.loads(KNOWN_ERRORS.read_text(encoding="utf-8"))
    if hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest() != document["labels_sha256"]:
        return {}
    known = {row[0] for row in document["images"]}
    return {"known": len(known), "among_suspects": len(known & {each["image"] for each in found})}
