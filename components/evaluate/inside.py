"""Looking inside: what the gradients at the trained weights say of single images, and of the classes."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import quiet

with quiet.importing():
    import keras
    import tensorflow as tf

BATCH = 500
SUSPECTS = 100
KNOWN_ERRORS = Path(__file__).parent / "mnist_label_errors.json"

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


def example_norms(network: keras.Model, images: npt.NDArray[np.uint8], labels: Ints) -> Floats:
    """Return the norm of each image's own gradient, float32 [n], with respect to the last layer.

    For a dense layer on features h, and p the softmax of its logits, it is |p − y| · √(|h|² + 1) for a label y
    (Goodfellow 2015, arXiv 1510.01799): one pass forward. For another last layer it is |p − y|, the gradient with
    respect to the logits. A trained network is rarely as wrong as where the label is (Paul et al. 2021, arXiv
    2107.07075), so a large norm puts the label under suspicion.
    """
    last = network.layers[-1]
    dense = isinstance(last, keras.layers.Dense)
    both = keras.Model(network.inputs, [last.input if dense else network.outputs[0], network.outputs[0]])

    @tf.function  # type: ignore[untyped-decorator]
    def norms(pixels: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        features, logits = (tf.cast(each, tf.float32) for each in both(_normalised(pixels), training=False))
        errors = tf.nn.softmax(logits) - tf.one_hot(answers, logits.shape[1])
        scale = tf.sqrt(1 + tf.reduce_sum(features**2, axis=1)) if dense else 1.0
        return tf.norm(errors, axis=1) * scale

    parts = [norms(images[i : i + BATCH], labels[i : i + BATCH]).numpy() for i in range(0, len(images), BATCH)]
    return np.concatenate(parts)


def class_cosines(network: keras.Model, images: npt.NDArray[np.uint8], labels: Ints, classes: int) -> Floats:
    """Return the cosines between the mean gradients of the classes, float32 [classes, classes].

    Below 0, a step that helps the one class hurts the other. A class without images, or without a gradient, has NaN.
    """
    variables = [variable.value for variable in network.trainable_variables]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def gradient(pixels: tf.Tensor, answers: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = tf.cast(network(_normalised(pixels), training=False), tf.float32)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits))
        found = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return tf.concat([tf.reshape(each, [-1]) for each in found], 0)

    rows = []
    for label in range(classes):
        chosen = np.flatnonzero(labels == label)
        parts = [chosen[i : i + BATCH] for i in range(0, len(chosen), BATCH)]
        nothing = [tf.fill([sum(int(np.prod(variable.shape)) for variable in variables)], float("nan"))]
        rows.append(
            tf.reduce_sum(tf.stack([gradient(images[part], labels[part]) for part in parts] or nothing), axis=0)
        )
    matrix = tf.math.l2_normalize(tf.stack(rows), axis=1, epsilon=0.0)
    cosines: Floats = np.clip(tf.matmul(matrix, matrix, transpose_b=True).numpy(), -1, 1)
    return cosines


def saliency(network: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return how much each pixel moves the answer: |∂ largest logit / ∂ pixel|, uint8 [n, height, width].

    The largest of each image is 255 (Simonyan et al. 2013, arXiv 1312.6034, section 3).
    """
    pixels = _normalised(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        largest = tf.reduce_max(tf.cast(network(pixels, training=False), tf.float32), axis=1)
    slopes = np.abs(tape.gradient(largest, pixels).numpy()[..., 0])
    brightest = slopes.max(axis=(1, 2), keepdims=True)
    shares = np.divide(slopes, brightest, out=np.zeros_like(slopes), where=brightest > 0)
    grey: npt.NDArray[np.uint8] = np.round(255 * shares).astype(np.uint8)
    return grey


def suspects(norms: Floats, labels: Ints, logits: Floats) -> list[dict[str, Any]]:
    """Return the images with the largest gradients, the largest first."""
    order = np.argsort(-norms, kind="stable")[:SUSPECTS]
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


def _normalised(images: Any) -> tf.Tensor:
    """Return uint8 [n, height, width] as float32 [n, height, width, 1] in 0..1."""
    return tf.cast(images, tf.float32)[..., tf.newaxis] / 255.0
