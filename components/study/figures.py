"""The pictures of a study's page."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from components.artifacts import page
from components.study.plan import Job, Outcomes, Spec, rungs
from components.study.space import Choice, Dimension

BEST, OTHERS = page.PALETTE[1], page.PALETTE[0]
FAINT, STRONG = 0.12, 0.9  # the worst trial and the best of the others


def coordinates(spec: Spec, values: Sequence[Mapping[str, Any]], found: Mapping[int, float], best: int) -> Markup:
    """Return parallel coordinates: a line for each trial over what is varied, and what came of it on the right."""
    made, axes = page.figure(height=0.9 + 0.72 * len(spec.space))
    at = {trial: [height(each, values[trial][each.name]) for each in spec.space] for trial in found}
    low, high = min(found.values()), max(found.values())
    order = sorted(found, key=lambda trial: (trial == best, found[trial] if spec.higher else -found[trial]))
    rows = range(len(spec.space) + 1)
    for place, trial in enumerate(order):
        came = (found[trial] - low) / (high - low) if high > low else 0.5
        strength = FAINT + (STRONG - FAINT) * place / max(1, len(order) - 1)
        style = {"color": BEST, "linewidth": 2.4, "label": "the best"} if trial == best else {"color": OTHERS}
        alpha = 1 if trial == best else strength
        axes.plot([*at[trial], came], rows, alpha=alpha, **{"linewidth": 0.9} | style)
    names = [*(each.name for each in spec.space), spec.measure]
    axes.set_yticks(rows, [page.short(name.replace("_", " "), 22) for name in names])
    axes.set_xticks([])
    axes.set(xlim=(-0.03, 1.03), ylim=(len(spec.space) + 0.15, -0.45))
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    marks = [*map(_marks, spec.space), [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]]
    for row in rows:
        axes.axhline(row, color="#888888", linewidth=0.8)
        for along, text in marks[row]:
            side = "left" if along == 0 else "right" if along == 1 else "center"
            axes.text(along, row - 0.07, page.short(text), fontsize=8.5, ha=side, va="bottom")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02))
    described = f"{len(found)} trials as lines over {len(spec.space)} varied parameters and what came of each"
    return page.svg(made, described)


def importance(found: Mapping[str, float]) -> Markup:
    """Return bars of how much each parameter matters."""
    made, axes = page.figure(height=0.9 + 0.32 * len(found))
    names = list(found)[::-1]
    axes.barh([page.short(name.replace("_", " "), 22) for name in names], [100 * found[name] for name in names])
    axes.set(xlabel="share of what matters, %", xlim=(0, 100))
    axes.grid(visible=False, axis="y")
    return page.svg(made, "; ".join(f"{name} {100 * share:.0f} %" for name, share in found.items()))


def curves(spec: Spec, outcomes: Outcomes, best: int) -> Markup:
    """Return what came of each trial at each rung that it reached."""
    made, axes = page.figure()
    at = [rung.epochs for rung in rungs(spec)]
    for trial in sorted({job.trial for job in outcomes}, key=lambda trial: trial == best):
        known = [
            (at[rung], outcomes[Job(trial, rung)].value) for rung in range(len(at)) if Job(trial, rung) in outcomes
        ]
        points = [(epoch, value) for epoch, value in known if value is not None]
        if points:
            style = {"color": BEST, "linewidth": 2.0, "label": "the best"} if trial == best else {"color": OTHERS}
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, alpha=1 if trial == best else 0.45, **style)
    axes.set(xlabel="epoch", ylabel=spec.measure.replace("_", " "), xticks=at)
    axes.legend()
    return page.svg(made, f"{spec.measure} of each trial at epochs {', '.join(map(str, at))}")


def height(each: Dimension, value: Any) -> float:
    """Return where a value is on its axis, from 0 to 1."""
    if isinstance(each, Choice):
        return each.values.index(value) / (len(each.values) - 1)
    low, high, at = (np.log(x) if each.log else float(x) for x in (each.low, each.high, value))
    return float((at - low) / (high - low))


def _marks(each: Dimension) -> list[tuple[float, str]]:
    ends = each.values if isinstance(each, Choice) else (each.low, each.high)
    return [(height(each, value), f"{value:g}" if isinstance(value, float) else str(value)) for value in ends]
