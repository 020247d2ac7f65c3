"""Rules that look at how the network learns: its loss, its updates, its batches."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from components.artifacts.record import noise
from components.artifacts.record.reader import Record
from components.export.checks.gradients import dead_relu, exploding, no_gradient, not_finite, vanishing, zero_weights
from components.export.diagnosis import Evidence


def update_ratio(record: Record) -> Iterator[Evidence]:
    """Find a kernel that moves by much more or much less a step than about a thousandth of its own length.

    Too large is judged at the beginning, before the weights have grown to fit; too small over the first half, as a
    schedule that ends at 0 is to end at 0. A kernel that began as zeros has no length to be judged by at first.
    """
    ratios, steps = record.stat("update_ratio"), record.stats_steps
    first = max(5, int((steps <= record.steps[-1] / 10).sum()))
    half = max(1, int((steps <= record.steps[-1] / 2).sum()))
    for i, variable in enumerate(record.variables):
        if not variable.is_kernel or not variable.connected:
            continue
        ratio_of = ratios.column(i)
        if not np.isfinite(ratio_of[:half]).any():
            continue
        begin, middle = _median(ratio_of[:first]), _median(ratio_of[:half])
        large = begin > 0.06 and not variable.zero_initialised
        if large or 0 < middle < 1e-5:
            kind, ratio, count = ("large", begin, first) if large else ("small", middle, half)
            yield Evidence(
                f"A step changes {variable.name} by {ratio:.1g} of its length, which is {kind}: 0.001 is usual.",
                {"median_update_ratio": ratio},
                int(steps[0]),
                int(steps[min(count, len(steps)) - 1]),
                variable.name,
            )


def _median(values: npt.NDArray[np.floating]) -> float:
    """Return the median of the finite ones."""
    return float(np.median(values[np.isfinite(values)]))


def plateau(record: Record) -> Iterator[Evidence]:
    """Find a loss that is still high and has stopped falling, though the answers are not right.

    With smoothed or weighted labels a loss stays high where a network has learned everything; with much dropout that of
    the training does while that of the validation, which has none, still falls.
    """
    loss = record.column("loss").astype(np.float64)
    if len(loss) < 30 or not np.isfinite(loss).all():
        return
    fifth = len(loss) // 5
    middle, end = np.median(loss[2 * fifth : 3 * fifth]), np.median(loss[-fifth:])
    chance = math.log(record.settings["classes"])
    learned = np.median(record.column("accuracy")[-fifth:]) > 0.8
    validation = [epoch["validation_loss"] for epoch in record.epochs[-2:] if math.isfinite(epoch["validation_loss"])]
    falls = len(validation) == 2 and validation[1] < 0.98 * validation[0]
    if min([end, *validation]) > chance / 2 and middle - end < 0.02 * middle and not (learned or falls):
        yield Evidence(
            f"The loss stays at {end:.3g}; guessing has {chance:.3g}.",
            {"loss_at_three_fifths": float(middle), "loss_at_the_end": float(end), "loss_of_guessing": chance},
            int(record.steps[2 * fifth]),
            int(record.steps[-1]),
        )


def oscillation(record: Record) -> Iterator[Evidence]:
    """Find gradients that point back where the ones before came from."""
    late = record.stats_steps > record.steps[-1] / 4
    kernels = [i for i, variable in enumerate(record.variables) if variable.is_kernel]
    # Each kernel counts as much as its gradient: the angle of the whole gradient, nearly.
    parts, at = [], 0
    for cosine, norm in zip(record.stat("cosine").blocks(), record.stat("l2_norm").blocks(), strict=True):
        shown = late[at : at + len(cosine)]
        cosines, norms = (np.ascontiguousarray(rows[shown][:, kernels]) for rows in (cosine, norm))
        weights = np.nan_to_num(np.square(norms.astype(np.float64)), posinf=0.0)
        known = np.isfinite(cosines) & (weights > 0)
        rows = known.any(axis=1)
        parts.append((np.where(known, cosines, 0) * weights)[rows].sum(axis=1) / (weights * known)[rows].sum(axis=1))
        at += len(cosine)
    whole = np.concatenate([np.empty(0), *parts])
    if len(whole) < 3:
        return
    middle = float(np.median(whole))
    if middle < -0.25:
        yield Evidence(
            f"Each gradient points against the one before: the cosine between them is {middle:.2f}.",
            {"median_cosine": middle},
            int(record.stats_steps[late][0]),
            int(record.stats_steps[-1]),
        )


def shuffled_labels(record: Record) -> Iterator[Evidence]:
    """Find a loss that stays at chance although weights move: labels that have nothing to do with the images.

    A network that is dead, frozen, exploding, or hardly moved, also stays there; those have rules of their own.
    """
    loss = record.column("loss").astype(np.float64)
    images = len(loss) * record.settings["images_per_step"]
    if not np.isfinite(loss).all() or images < 2000 or record.level == "off":
        return
    chance, half = math.log(record.settings["classes"]), len(loss) // 2
    level = float(np.median(loss[half:]))
    scores = [epoch["validation_accuracy"] for epoch in record.epochs]
    best = max((score for score in scores if math.isfinite(score)), default=0.0)
    others = (not_finite, exploding, zero_weights, dead_relu, no_gradient, vanishing, update_ratio, oscillation)
    if abs(level - chance) < 0.1 * chance and best < 2 / record.settings["classes"]:
        if any(next(rule(record), None) for rule in others):
            return
        yield Evidence(
            f"The loss stays at {level:.3g}, which is guessing, though every layer learns; {100 * best:.0f} % of the "
            "validation images are right.",
            {"median_loss": level, "loss_of_guessing": chance, "best_validation_accuracy": float(best)},
            int(record.steps[half]),
            int(record.steps[-1]),
        )


def batch_size(record: Record) -> Iterator[Evidence]:
    """Find a batch far from the gradient noise scale, at which one more image in it brings half as much."""
    scale = noise.measure(record)
    if scale is None or len(scale.steps) < 10 or not math.isfinite(scale.low):
        return
    batch, low, high = record.settings["images_per_step"], scale.low, scale.high
    figures = {"images_per_step": float(batch), "noise_scale_at_least": low}
    first, last = int(record.steps[len(record.steps) // 2]), int(record.steps[-1])
    if batch < low / 4:
        yield Evidence(
            f"Batch {batch} is at least {low / batch:.0f} times below the noise scale, which is {low:,.0f} images or "
            "more.",
            figures, first, last,
        )  # fmt: skip
    elif batch > high * 4:
        yield Evidence(
            f"Batch {batch} is at least {batch / high:.0f} times above the noise scale, which is {high:,.0f} images or "
            "fewer.",
            figures, first, last,
        )  # fmt: skip
