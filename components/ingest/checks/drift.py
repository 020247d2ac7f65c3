"""Rules that look for drift: training images that are distributed otherwise than a reference's.

What is found is large as well as significant: among many images a small difference is significant, and no matter.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from components.artifacts.findings import Rule
from components.artifacts.words import listed, percent
from components.ingest.validation import Data, Evidence

CHANCE = 0.001  # the p-value below which a difference is hardly chance
ASSOCIATED = 0.1  # Cramér's V, from which it is more than negligible (Cohen 1988, w)
APART = 0.1  # Kolmogorov's D: the share of the images by which two distributions differ
CLASS_APART = 0.2  # the same, of a class
ENOUGH = 20  # images of a class

Numbers = npt.NDArray[Any]


def class_shares(data: Data) -> Iterator[Evidence]:
    """Find classes that are shared out otherwise, by Pearson's chi-squared test and Cramér's V."""
    reference = data.reference.schema if data.reference else {}
    before = np.array(reference.get("splits", {}).get("train", {}).get("class_counts", ()), np.int64)
    now = data.looks["train"].class_counts
    if reference.get("classes") != data.schema["classes"] or len(before) != len(now):
        return
    table = np.stack([before, now])[:, (before + now) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return
    from scipy.stats import chi2_contingency  # noqa: PLC0415 - only a data set with a reference needs it

    tested = chi2_contingency(table, correction=False)
    effect = float(np.sqrt(tested.statistic / table.sum()))
    if tested.pvalue < CHANCE and effect >= ASSOCIATED:
        shares = table / table.sum(axis=1, keepdims=True)
        distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
        yield Evidence(
            f"The classes are shared out otherwise than in the reference: {percent(distance)} of the training images "
            f"would have to change (Cramér's V {effect:.2f}, {_p(tested.pvalue)}).",
            {"cramers_v": effect, "share": distance, "p": float(tested.pvalue)},
        )


def pixels(data: Data) -> Iterator[Evidence]:
    """Find images that are brighter or darker, or of more or less contrast: the two-sample test of Kolmogorov."""
    if data.reference is None or "train" not in data.reference.looks:
        return
    before, now = data.reference.looks["train"], data.looks["train"]
    for what, these, those in (
        ("brightness", before.means, now.means),
        ("contrast", before.contrasts, now.contrasts),
    ):
        distance, chance = _apart(these, those)
        if chance < CHANCE and distance >= APART:
            yield Evidence(
                f"The {what} of the training images has drifted: {np.mean(those) / 255:.3f} on average instead of "
                f"{np.mean(these) / 255:.3f} (D {distance:.2f}, {_p(chance)}).",
                {"d": distance, "p": chance, "mean": float(np.mean(those)), "reference_mean": float(np.mean(these))},
                data.at("train", np.argsort(np.abs(those - np.mean(these)), kind="stable")[::-1]),
            )


def class_pixels(data: Data) -> Iterator[Evidence]:
    """Find classes whose brightness has drifted, of so many classes no more by chance than of one."""
    if data.reference is None or "train" not in data.reference.looks:
        return
    before, now = data.reference.looks["train"], data.looks["train"]
    if data.reference.schema.get("classes") != data.schema["classes"]:
        return
    drifted: dict[int, tuple[float, float]] = {}
    for label in range(len(data.class_names)):
        these, those = before.means[before.labels == label], now.means[now.labels == label]
        if min(len(these), len(those)) >= ENOUGH:
            distance, chance = _apart(these, those)
            if chance * len(data.class_names) < CHANCE and distance >= CLASS_APART:
                drifted[label] = distance, chance
    if drifted:
        worst = max(drifted, key=lambda label: drifted[label][0])
        names = [data.class_names[label] for label in drifted]
        yield Evidence(
            f"The brightness of {'class' if len(names) == 1 else 'classes'} {listed(names)} has drifted, most of all "
            f"that of {data.class_names[worst]} (D {drifted[worst][0]:.2f}, {_p(drifted[worst][1])}).",
            {"classes": len(drifted), "d": drifted[worst][0], "p": drifted[worst][1]},
            data.at("train", np.flatnonzero(now.labels == worst)),
        )


def _apart(these: Numbers, those: Numbers) -> tuple[float, float]:
    """Return Kolmogorov's D of two samples, and the chance that it is so large if they are of one distribution."""
    from scipy.stats import ks_2samp  # noqa: PLC0415 - only a data set with a reference needs it

    tested = ks_2samp(these, those, method="asymp")
    return float(tested.statistic), float(tested.pvalue)


def _p(chance: float) -> str:
    return f"p {chance:.1g}" if chance >= 1e-9 else "p below 1e-9"


RULES = (
    Rule("drift-classes", "warning", "shares of the classes against the reference's (chi-squared, Cramér's V)",
         "Look at where the images come from; if the shares are to stay, draw as many of each class.", class_shares),
    Rule("drift-pixels", "warning",
         "each image's mean and standard deviation against the reference's (Kolmogorov-Smirnov)",
         "Look at how the images were taken or scaled; a model that was trained on the reference may need training "
         "again.", pixels),
    Rule("drift-class-pixels", "warning", "the same of each class, corrected for their number (Bonferroni)",
         "Look at how the images of these classes were taken, and at their labels.", class_pixels),
)  # fmt: skip
