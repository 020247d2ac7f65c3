"""Rules that look at the gradients themselves: pure functions from a record to what they find in it."""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from components.artifacts.record.columns import GLOBAL_NORM, layer_of
from components.artifacts.record.reader import Record, Variable
from components.export.diagnosis import Evidence

# Of fewer images in a step, a unit that lives may well see none.
FEW_IMAGES = 16


def not_finite(record: Record) -> Iterator[Evidence]:
    """Find the first step with NaN or infinity in a gradient, and the variables that had it then."""
    bad = np.concatenate([~np.isfinite(rows).all(axis=1) for rows in record.norms.blocks()])
    rows = np.flatnonzero(bad | ~np.isfinite(record.column("loss")))
    if not len(rows):
        return
    first = int(rows[0])
    at_first = np.isfinite(record.norms.row(first))
    names = [variable.name for variable, is_finite in zip(record.variables, at_first, strict=False) if not is_finite]
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
    if record.level == "off":
        return
    norm = record.column(GLOBAL_NORM).astype(np.float64)
    finite = np.isfinite(norm)
    norm, steps = norm[finite], record.steps[finite]
    if len(norm) < 3:
        return
    window = min(5, len(norm) // 3) if len(norm) < 250 else len(norm) // 50
    hop = -(-window // 10)  # so that a long run takes no more time than ten of it
    running = np.array([np.median(part) for part in np.lib.stride_tricks.sliding_window_view(norm, window)[::hop]])
    begin, high = float(running[0]), float(running.max())
    if begin > 0 and high > 30 * begin and high > 1:
        first = hop * int(np.argmax(running > 30 * begin))
        last = hop * int(np.flatnonzero(running > 30 * begin)[-1]) + window - 1
        yield Evidence(
            f"The gradient's norm rose from {begin:.2g} to {high:.3g}, {high / begin:.3g} times as much.",
            {"at_first": begin, "at_most": high},
            int(steps[first]),
            int(steps[last]),
        )
    elif begin > 100:
        yield Evidence(
            f"The gradient's norm is {begin:.3g} from the start; about 1 is usual.",
            {"at_first": begin, "at_most": high},
            int(steps[0]),
            int(steps[window - 1]),
        )


def vanishing(record: Record) -> Iterator[Evidence]:
    """Find a kernel whose gradient, number by number, is a tiny share of the largest kernel's, though not nothing."""
    kernels = [i for i, variable in enumerate(record.variables) if variable.is_kernel]
    if len(kernels) < 2 or not record.norms.width:
        return
    known, largest = np.ones(len(record.steps), bool), np.zeros(len(record.steps))
    for i in kernels:
        rms = _rms(record, i)
        known &= np.isfinite(rms)
        np.fmax(largest, rms, out=largest)
    if not known.any():
        return
    largest = largest[known]
    for i in kernels:
        rms = _rms(record, i)[known]
        rms[largest == 0] = 1
        share = np.median(np.divide(rms, largest, out=rms, where=largest > 0), overwrite_input=True)
        if 0 < share < 1e-4:
            yield Evidence(
                f"The gradient of {record.variables[i].name} is {share:.1g} of that of the strongest layer.",
                {"share_of_largest": float(share)},
                1,
                int(record.steps[-1]),
                record.variables[i].name,
            )


def _rms(record: Record, i: int) -> npt.NDArray[np.float64]:
    """Return the root mean square of the numbers of a variable's gradient at each step, float64 [n]."""
    norms: npt.NDArray[np.float64] = record.norms.column(i).astype(np.float64)
    return norms / math.sqrt(record.variables[i].size)


def zero_weights(record: Record) -> Iterator[Evidence]:
    """Find kernels that began as zeros and cannot leave them, or whose units cannot become different.

    A single one, at the end of the network or of a residual branch, is sound: it learns at once, and what comes before
    it from the second step on.
    """
    kernels = [(i, variable) for i, variable in enumerate(record.variables) if variable.is_kernel]
    every = len(kernels) > 1 and all(variable.zero_initialised for _, variable in kernels)
    zero = record.unmoved
    for i, variable in kernels:
        if variable.zero_initialised and variable.connected and (every or zero[i]):
            why = "and its gradient is 0 at every step" if zero[i] else "like all the others, so its units stay alike"
            sentence = f"{variable.name} began as zeros, {why}."
            yield Evidence(sentence, {"kernels": len(kernels)}, 1, int(record.steps[-1]), variable.name)


def dead_relu(record: Record) -> Iterator[Evidence]:
    """Find a bias in front of a ReLU whose gradient is mostly 0, step after step: units that are never active.

    Where zero weights are to blame, they are named instead.
    """
    if any(zero_weights(record)):
        return
    late = record.stats_steps > record.steps[-1] / 2
    if late.sum() < 2:
        late = np.ones(len(record.stats_steps), bool)
    shown = record.stats_steps[late] if late.any() else record.steps
    for i in _that_stand_for_units(record):
        variable = record.variables[i]
        if variable.activation not in ("relu", "relu6") or not variable.connected:
            continue
        share = _dead(record, i, late)
        if share >= 0.5:
            much = "All" if share == 1 else f"At least {100 * share:.0f} %"
            yield Evidence(
                f"{much} of the ReLU units of {layer_of(variable.name)} never get a gradient.",
                {"share_of_units": share},
                int(shown[0]),
                int(shown[-1]),
                variable.name,
            )


def _that_stand_for_units(record: Record) -> list[int]:
    """Return of each layer its biases, or its last kernel where it has none."""
    layers: dict[str, list[int]] = {}
    for i, variable in enumerate(record.variables):
        layers.setdefault(_layer(variable), []).append(i)
    found = []
    for own in layers.values():
        biases = [i for i in own if record.variables[i].role == "bias"]
        found += biases or [i for i in own if record.variables[i].is_kernel][-1:]
    return sorted(found)


def _dead(record: Record, i: int, late: npt.NDArray[np.bool_]) -> float:
    """Return a share of a layer's units that is dead at the least."""
    if not late.any():
        return float(record.unmoved[i])
    # A share that every late step reaches: at the least so many units are dead at each of them.
    share = float(record.stat("zeros").column(i)[late].min())
    # A number of a kernel may be 0 because its pixel is.
    counts = record.variables[i].role == "bias" and record.settings["images_per_step"] >= FEW_IMAGES
    return share if counts or share == 1 else 0.0


def no_gradient(record: Record) -> Iterator[Evidence]:
    """Find a variable that the loss does not depend on, or whose gradient is nothing at every step.

    Where zero weights or dead units are to blame for nothing, they are named instead; and a bias may have no gradient
    by mathematics, such as that of an attention's keys: then the rest of its layer has one.
    """
    last = int(record.steps[-1])
    zero = record.unmoved
    blamed = any(zero_weights(record)) or any(each.figures["share_of_units"] == 1 for each in dead_relu(record))
    learning = {_layer(variable) for variable, is_zero in zip(record.variables, zero, strict=True) if not is_zero}
    for variable, is_zero in zip(record.variables, zero, strict=True):
        if not variable.connected:
            yield Evidence(f"The loss does not depend on {variable.name}.", {}, 1, last, variable.name)
        elif is_zero and not blamed and not (variable.role == "bias" and _layer(variable) in learning):
            yield Evidence(f"The gradient of {variable.name} is 0 at every step.", {}, 1, last, variable.name)


def _layer(variable: Variable) -> str:
    """Return the path of a variable's layer."""
    return variable.name.rpartition("/")[0]


def frozen(record: Record) -> Iterator[Evidence]:
    """Find variables of layers that are set not to learn."""
    for name in record.settings["frozen"]:
        yield Evidence(f"{name} is frozen: its layer is set not to learn.", {}, 1, int(record.steps[-1]), name)


def unnormalised_input(record: Record) -> Iterator[Evidence]:
    """Find a first kernel whose gradient is far above its bias's, which it is by about the size of the inputs.

    For inputs x and errors δ at the first layer, the kernel's gradient sums x·δ and the bias's sums δ. A bias that a
    normalisation takes out again has none by mathematics, but for rounding; so has one whose gradient is a thousandth,
    such as that of an attention's keys, as pixels are at most 255.
    """
    if len(record.variables) < 2 or not record.norms.width:
        return
    kernel, bias = record.variables[:2]
    if not kernel.is_kernel or bias.role != "bias" or _layer(kernel) != _layer(bias) or bias.normalised:
        return
    fifth = max(1, len(record.steps) // 5)
    early = np.column_stack([record.norms.column(i)[:fifth] for i in (0, 1)]).astype(np.float64)
    early = early[np.isfinite(early).all(axis=1) & (early > 0).all(axis=1)]
    if not len(early):
        return
    ratio = float(np.median((early[:, 0] / np.sqrt(kernel.size)) / (early[:, 1] / np.sqrt(bias.size))))
    if 10 < ratio < 1000:
        yield Evidence(
            f"Number by number, the gradient of {kernel.name} is {ratio:.0f} times that of its bias, so what comes in "
            "is of about that size; 0 to 1 is usual.",
            {"kernel_to_bias": ratio},
            1,
            int(record.steps[fifth - 1]),
            kernel.name,
        )
