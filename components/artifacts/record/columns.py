"""What is kept of a gradient: the levels, the columns, the statistics and the bins.

`train` computes them in the compiled step, and whoever reads the record names them: both know them from here alone.
"""

import math

# Each level keeps what the ones before it keep, and more.
LEVELS = ("off", "norms", "stats", "hist", "full")

# Every step has these; from level `norms` on, the norm of each variable's gradient follows.
SCALARS = ("loss", "accuracy", "learning_rate")
# After them, where what is minimised is more than the data's loss, or other than it: regularizers, penalties, attacks.
OBJECTIVE = "objective"
GLOBAL_NORM = "global_norm"

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

# What there is of one variable's gradient g, of n numbers, at a step of level `stats`. Where g has a NaN or an
# infinity the moments are what arithmetic makes of it; the counts say how many there are.
STATISTICS = {
    "l1_norm": "sum of |g|",
    "l2_norm": "square root of the sum of g²",
    "max_norm": "largest |g|",
    "mean": "sum of g / n",
    "standard_deviation": "of the n numbers around their mean",
    "minimum": "smallest g",
    "maximum": "largest g",
    **{f"quantile_{round(100 * q):02}": f"{q:.0%} of the numbers are below, to an eighth of it" for q in QUANTILES},
    "zeros": "share of the numbers that are exactly 0",
    "subnormals": "how many are not 0, but below float32's smallest normal number, 2^-126",
    "nans": "how many are NaN",
    "infinities": "how many are infinite",
    "cosine": "cosine of the angle to the gradient of the step before; NaN at step 1 and where one of them is 0",
    "sign_flips": "share of the numbers whose sign bit is not that of the step before; NaN at step 1",
    "weight_norm": "L2 norm of the variable before the update",
    "update_norm": "L2 norm of what the optimizer in fact added to it, after clipping and moments",
    "update_ratio": "update_norm / weight_norm",
    "momentum_norm": "L2 norm of the optimizer's first moment; NaN where it has none",
    "velocity_norm": "L2 norm of Adam's second moment; NaN where there is none",
    "signal": "unbiased estimate of |G|², G being the gradient of all images (arXiv 1812.06162, A.1)",
    "noise": "unbiased estimate of tr Σ, the summed variance of one image's gradient (same place)",
}

# A histogram counts by sign and binary exponent, which are the upper nine bits of a float32: a bin an octave, the same
# bins for every step, variable and run, so that histograms add up. 256 bins for each sign: the first of them holds
# zero and subnormal numbers, the last one infinities and NaN.
EXPONENTS = 256
BINS = 2 * EXPONENTS


def bin_edges() -> list[float]:
    """Return the lower edge of |g| for each exponent; 0 for the first, infinity for the last."""
    return [0.0, *(math.ldexp(1.0, exponent - 127) for exponent in range(1, EXPONENTS - 1)), math.inf]


def layer_of(variable: str) -> str:
    """Return the layer of a variable: `dense` of `simple/dense/kernel`."""
    return variable.split("/")[-2] if "/" in variable else variable


# What a variable does, by parts of the names that Keras gives it; its rank does not tell: an attention's bias has two.
ROLES = {
    "kernel": "kernel", "bias": "bias", "beta": "bias", "gamma": "scale", "scale": "scale", "alpha": "scale",
    "embedding": "embedding",
}  # fmt: skip


def role_of(variable: str) -> str:
    """Return `kernel`, `bias`, `scale` or `embedding`, such as `kernel` for `simple/dense/kernel`; empty if unknown."""
    own = variable.rsplit("/", 1)[-1]
    return next((role for part, role in ROLES.items() if part in own), "")
