"""What is measured of a trained network: accuracy, under attack too, slopes, privacy, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.train.component import STEPS

RARE = 8  # the class of which effects.py keeps few images


@dataclass(frozen=True)
class Trained:
    """What came of a training, and images, float32 [n, 28, 28, 1] in 0..1, and labels to measure it with."""

    network: Any
    said: Mapping[str, float]  # what train said of it
    images: Any
    labels: Any

    def logits(self, images: Any) -> np.ndarray[Any, Any]:
        """Return the logits, float32 [n, classes]."""
        return np.concatenate([self.network(part, training=False) for part in np.array_split(images, 10)])

    def accuracy(self, images: Any) -> float:
        """Return how many of the first test images, changed or not, are told right, in %."""
        return float(100 * np.mean(self.logits(images).argmax(1) == self.labels[: len(images)]))

    def slopes(self, images: Any) -> np.ndarray[Any, Any]:
        """Return the gradient of each image's loss over its pixels, in the shape of the images."""
        import tensorflow as tf

        found = []
        for part, labels in zip(np.array_split(images, 4), np.array_split(self.labels[: len(images)], 4), strict=True):
            pixels = tf.constant(part)
            with tf.GradientTape() as tape:
                tape.watch(pixels)
                logits = self.network(pixels, training=False)
                value = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            found.append(tape.gradient(value, pixels).numpy())
        return np.concatenate(found)

    def under_attack(self, size: float, steps: int) -> float:
        """Return the accuracy, in %, on the first 1,000 test images under FGSM (1 step) or PGD (more)."""
        images = changed = self.images[:1000]
        length = size if steps == 1 else 2.5 * size / steps
        for _ in range(steps):
            changed = changed + length * np.sign(self.slopes(changed))
            changed = np.clip(changed, np.maximum(images - size, 0), np.minimum(images + size, 1))
        return self.accuracy(changed)


def clean(trained: Trained) -> dict[str, float]:
    """Return the accuracy on the test images."""
    return {"test accuracy, %": trained.accuracy(trained.images)}


def attacks(trained: Trained) -> dict[str, float]:
    """Return the accuracy under the attack that is trained against."""
    return clean(trained) | {
        "under FGSM 0.1, %": trained.under_attack(0.1, 1),
        "under PGD 0.1 of 20 steps, %": trained.under_attack(0.1, 20),
    }


def flatness(trained: Trained) -> dict[str, float]:
    """Return the mean norm of the slope over the pixels, and the accuracy under a small attack."""
    norms = np.sqrt((trained.slopes(trained.images) ** 2).sum(axis=(1, 2, 3)))
    return clean(trained) | {"mean slope": float(norms.mean()), "under FGSM 0.1, %": trained.under_attack(0.1, 1)}


def privacy(trained: Trained) -> dict[str, float]:
    """Return ε, and the most that a wrong label of one of 64 images moves the sum of their gradients, in dp_clip."""
    import tensorflow as tf

    from components.train.machine.objective import Objective

    network, images, labels = trained.network, trained.images[:64], trained.labels[:64].astype(np.int32)
    cross_entropy: Any = tf.nn.sparse_softmax_cross_entropy_with_logits
    loss = Objective(network, cross_entropy, [], 1.0, adds=False)
    clipped, plain = STEPS.load("dp-sgd").gradients, STEPS.load("plain").gradients
    bare = {"seed": tf.constant([0, 0]), "calls": 1, "dp_clip": 1.0, "dp_noise": 0.0}
    ways = {
        "each clipped": lambda labels: clipped(network, loss, images, labels, **bare)[2],
        "mean clipped": lambda labels: tf.clip_by_global_norm(plain(network, loss, images, labels)[2], 1.0)[0],
    }
    most = {}
    for name, way in ways.items():
        gradients = tf.function(way, autograph=False)
        before = gradients(tf.constant(labels))
        wrong = [np.where(np.arange(64) == i, (labels + 1) % 10, labels).astype(np.int32) for i in range(64)]
        after = [gradients(tf.constant(each)) for each in wrong]
        moved = [float(tf.linalg.global_norm([a - b for a, b in zip(before, each, strict=True)])) for each in after]
        most[f"influence, {name}"] = 64 * max(moved)
    return {"ε": trained.said.get("dp_epsilon", np.inf)} | clean(trained) | most


def recall(trained: Trained) -> dict[str, float]:
    """Return how many images of the rare class are found."""
    rare = trained.labels == RARE
    found = trained.logits(trained.images[rare]).argmax(1) == RARE
    return clean(trained) | {f"recall of class {RARE}, %": float(100 * found.mean())}


def calibration(trained: Trained) -> dict[str, float]:
    """Return the expected calibration error (Guo et al. 2017, arXiv 1706.04599, eq. 3) in 15 bins."""
    logits = trained.logits(trained.images).astype(np.float64)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    sure, right = chances.max(1), logits.argmax(1) == trained.labels
    gaps = [abs(np.sum((sure - right)[np.ceil(15 * sure) == i])) for i in range(1, 16)]
    return clean(trained) | {"calibration error, %": float(100 * sum(gaps) / len(right))}
