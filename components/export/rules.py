"""The rules: pure functions from a record to what they find in it, and the table of them.

Their limits were set on the failure zoo (benchmarks/zoo.py), which says how often each of them is right.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from components.export import noise
from components.export.diagnosis import Evidence, Rule
from components.export.record import Record
from components.step.gradients import GLOBAL_NORM, layer_of

Floats = npt.NDArray[np.floating]


def not_finite(record: Record) -> Iterator[Evidence]:
    """Find the first step with NaN or infinity in a gradient, and the variables that had it then."""
    bad = ~np.isfinite(record.norms)
    losses = ~np.isfinite(record.column("loss"))
    rows = np.flatnonzero(bad.any(axis=1) | losses)
    if not len(rows):
        return
    first = int(rows[0])
    names = [variable.name for variable, is_bad in zip(record.variables, bad[first], strict=False) if is_bad]
    step = int(record.steps[first])
    where = f"the gradient of {names[-1]} and {len(names) - 1} more" if len(names) > 1 else "".join(names) or "the loss"
    yield Evidence(
        f"From step {step} on there are NaN or infinities, first in {where}.",
        {"variables": len(names), "steps": len(rows)},
        step,
        int(record.steps[rows[-1]]),
        names[-1] if len(names) == 1 else "",
    )


def exploding(record: Record) -> Iterator[Evidence]:
    """Find a global norm whose running median rises far above its beginning, or that begins far too large."""
    norm = record.column(GLOBAL_NORM).astype(np.float64) if record.level != "off" else np.empty(0)
    norm = norm[np.isfinite(norm)]
    if len(norm) < 3:
        return
    window = min(5, len(norm) // 3) if len(norm) < 250 else len(norm) // 50
    hop = -(-window // 10)  # so that a long run takes no more memory than ten of it
    running = np.median(np.lib.stride_tricks.sliding_window_view(norm, window)[::hop], axis=1)
    begin, high = float(running[0]), float(running.max())
    if begin > 0 and high > 30 * begin and high > 1:
        first = hop * int(np.argmax(running > 30 * begin))
        last = hop * int(np.flatnonzero(running > 30 * begin)[-1]) + window - 1
        yield Evidence(
            f"The gradient's norm rose from {begin:.2g} to {high:.3g}, {high / begin:.3g} times as much.",
            {"at_first": begin, "at_most": high},
            int(record.steps[first]),
            int(record.steps[last]),
        )
    elif begin > 100:
        yield Evidence(
            f"The gradient's norm is {begin:.3g} from the start; about 1 is usual.",
            {"at_first": begin, "at_most": high},
            1,
            int(record.steps[min(window, len(norm)) - 1]),
        )


def vanishing(record: Record) -> Iterator[Evidence]:
    """Find a kernel whose gradient, number by number, is a tiny share of the largest kernel's, though not nothing."""
    kernels = [i for i, variable in enumerate(record.variables) if variable.is_kernel]
    if len(kernels) < 2 or not record.norms.shape[1]:
        return
    sizes = np.sqrt([record.variables[i].size for i in kernels])
    rms = record.norms[:, kernels].astype(np.float64) / sizes
    rms = rms[np.isfinite(rms).all(axis=1)]
    if not len(rms):
        return
    largest = rms.max(axis=1)
    shares = np.median(np.divide(rms, largest[:, None], out=np.ones_like(rms), where=largest[:, None] > 0), axis=0)
    for i, share in zip(kernels, shares, strict=True):
        if 0 < share < 1e-4:
            yield Evidence(
                f"The gradient of {record.variables[i].name} is {share:.1g} of that of the strongest layer.",
                {"share_of_largest": float(share)},
                1,
                int(record.steps[-1]),
                record.variables[i].name,
            )


def dead_relu(record: Record) -> Iterator[Evidence]:
    """Find a bias in front of a ReLU whose gradient is mostly 0, step after step: units that are never active."""
    relu = [
        i
        for i, variable in enumerate(record.variables)
        if variable.activation == "relu" and not variable.is_kernel and variable.connected
    ]
    late = record.stats_steps > record.steps[-1] / 2
    if late.sum() < 2:
        late = np.ones(len(record.stats_steps), bool)
    if not late.any():
        return
    for i in relu:
        # A share that every late step reaches: at the least so many units are dead at each of them.
        share = float(record.stat("zeros")[late, i].min())
        if share >= 0.5:
            name = record.variables[i].name
            yield Evidence(
                f"At least {share:.0%} of the ReLU units of {layer_of(name)} never get a gradient.",
                {"share_of_units": share},
                int(record.stats_steps[late][0]),
                int(record.stats_steps[-1]),
                name,
            )


def no_gradient(record: Record) -> Iterator[Evidence]:
    """Find a variable that the loss does not depend on, or whose gradient is nothing at every step."""
    last = int(record.steps[-1])
    always = (record.norms == 0).all(axis=0) if record.norms.shape[1] else np.zeros(len(record.variables), bool)
    for variable, is_zero in zip(record.variables, always, strict=True):
        if not variable.connected:
            yield Evidence(f"The loss does not depend on {variable.name}.", {}, 1, last, variable.name)
        elif is_zero:
            yield Evidence(f"The gradient of {variable.name} is 0 at every step.", {}, 1, last, variable.name)


def frozen(record: Record) -> Iterator[Evidence]:
    """Find variables of layers that are set not to learn."""
    for name in record.settings["frozen"]:
        yield Evidence(f"{name} is frozen: its layer is set not to learn.", {}, 1, int(record.steps[-1]), name)


def update_ratio(record: Record) -> Iterator[Evidence]:
    """Find a kernel that moves by much more or much less a step than about a thousandth of its own length.

    Too large is judged at the beginning, before the weights have grown to fit; too small over the first half, as a
    schedule that ends at 0 is to end at 0.
    """
    ratios, steps = record.stat("update_ratio"), record.stats_steps
    first = max(5, int((steps <= record.steps[-1] / 10).sum()))
    half = max(1, int((steps <= record.steps[-1] / 2).sum()))
    for i, variable in enumerate(record.variables):
        if not variable.is_kernel or not variable.connected or not np.isfinite(ratios[:half, i]).any():
            continue
        begin, middle = _median(ratios[:first, i]), _median(ratios[:half, i])
        if begin > 0.06 or 0 < middle < 1e-5:
            kind, ratio, count = ("large", begin, first) if begin > 0.06 else ("small", middle, half)
            yield Evidence(
                f"A step changes {variable.name} by {ratio:.1g} of its length, which is {kind}: 0.001 is usual.",
                {"median_update_ratio": ratio},
                int(steps[0]),
                int(steps[min(count, len(steps)) - 1]),
                variable.name,
            )


def _median(values: Floats) -> float:
    """Return the median of the finite ones."""
    return float(np.median(values[np.isfinite(values)]))


def plateau(record: Record) -> Iterator[Evidence]:
    """Find a loss that is still high and has stopped falling."""
    loss = record.column("loss").astype(np.float64)
    if len(loss) < 30 or not np.isfinite(loss).all():
        return
    fifth = len(loss) // 5
    middle, end = np.median(loss[2 * fifth : 3 * fifth]), np.median(loss[-fifth:])
    chance = math.log(record.settings["classes"])
    if end > chance / 2 and middle - end < 0.02 * middle:
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
    cosines = record.stat("cosine")[late][:, kernels]
    # Each kernel counts as much as its gradient: the angle of the whole gradient, nearly.
    weights = np.nan_to_num(np.square(record.stat("l2_norm")[late][:, kernels].astype(np.float64)), posinf=0.0)
    known = np.isfinite(cosines) & (weights > 0)
    rows = known.any(axis=1)
    if rows.sum() < 3:
        return
    whole = (np.where(known, cosines, 0) * weights)[rows].sum(axis=1) / (weights * known)[rows].sum(axis=1)
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
    best = max((epoch["validation_accuracy"] for epoch in record.epochs), default=0.0)
    others = (not_finite, exploding, dead_relu, no_gradient, vanishing, update_ratio, oscillation)
    if abs(level - chance) < 0.1 * chance and best < 2 / record.settings["classes"]:
        if any(next(rule(record), None) for rule in others):
            return
        yield Evidence(
            f"The loss stays at {level:.3g}, which is guessing, though every layer learns; {best:.0%} of the "
            "validation images are right.",
            {"median_loss": level, "loss_of_guessing": chance, "best_validation_accuracy": float(best)},
            int(record.steps[half]),
            int(record.steps[-1]),
        )


def unnormalised_input(record: Record) -> Iterator[Evidence]:
    """Find a first kernel whose gradient is far above its bias's, which it is by about the size of the inputs.

    For inputs x and errors δ at the first layer, the kernel's gradient sums x·δ and the bias's sums δ.
    """
    if len(record.variables) < 2 or not record.norms.shape[1]:
        return
    kernel, bias = record.variables[:2]
    if not kernel.is_kernel or bias.is_kernel or layer_of(kernel.name) != layer_of(bias.name):
        return
    early = record.norms[: max(1, len(record.steps) // 5), :2].astype(np.float64)
    early = early[np.isfinite(early).all(axis=1) & (early > 0).all(axis=1)]
    if not len(early):
        return
    ratio = float(np.median((early[:, 0] / np.sqrt(kernel.size)) / (early[:, 1] / np.sqrt(bias.size))))
    if ratio > 10:
        yield Evidence(
            f"Number by number, the gradient of {kernel.name} is {ratio:.0f} times that of its bias, so what comes in "
            "is of about that size; 0 to 1 is usual.",
            {"kernel_to_bias": ratio},
            1,
            len(early),
            kernel.name,
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


RULES = (
    Rule("not-finite", "error", "norms and loss of every step",
         "Lower learning_rate, or look for a logarithm, root or quotient of 0 in the network; in float16, give a "
         "loss_scale.", not_finite),
    Rule("exploding", "error", "running median of the global norm",
         "Lower learning_rate, give clip_norm, or initialise the weights smaller.", exploding),
    Rule("no-gradient", "error", "what the tape is connected to; norms of every step",
         "Use the layer's output in the loss, or take the layer out of the network.", no_gradient),
    Rule("vanishing", "warning", "each kernel's gradient against the largest",
         "Use ReLU instead of sigmoid or tanh, fewer layers, or larger initial weights.", vanishing),
    Rule("dead-relu", "warning", "share of zeros in the gradients of biases before a ReLU",
         "Lower learning_rate, start biases at 0, or use leaky_relu.", dead_relu),
    Rule("update-ratio", "warning", "norm of the applied update against that of the weights",
         "Change learning_rate by the factor that is missing to 0.001.", update_ratio),
    Rule("plateau", "warning", "loss of the last fifth against the middle fifth",
         "See the other findings first; else raise learning_rate, or use another model.", plateau),
    Rule("oscillation", "warning", "cosine between the gradients of successive steps",
         "Lower learning_rate, or raise momentum or the batch size.", oscillation),
    Rule("shuffled-labels", "warning", "loss and validation accuracy against those of guessing",
         "Check that labels and images are in the same order.", shuffled_labels),
    Rule("unnormalised-input", "warning", "the first kernel's gradient against its bias's",
         "Scale what the network is given to 0..1, or to mean 0 and standard deviation 1.", unnormalised_input),
    Rule("frozen", "info", "layers that are set not to learn",
         "Nothing, if that is meant; else set layer.trainable.", frozen),
    Rule("batch-size", "info", "the gradient noise scale (arXiv 1812.06162)",
         "Far below it, larger batches save steps at hardly any more images; far above it, smaller ones save images.",
         batch_size),
)  # fmt: skip
