"""The page of the gate: the verdict and its reasons first, then both models beside each other."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.artifacts import page
from components.artifacts.page import Answer
from components.artifacts.words import count, percent
from components.gate.component import GateParameters
from components.gate.decide import BLESSED, REJECTED, Decision, points

TONES = {"blessed": "good", "rejected": "error", "unjudged": "info"}

Figures = Mapping[str, Any]


def write_report(path: Path, parameters: GateParameters, figures: Figures, decision: Decision, version: int) -> None:
    """Write the page; `figures` are evaluate's, and `version` is what the model is in the registry, 0 for none."""
    baseline = decision.baseline
    facts = [
        ("verdict", decision.verdict),
        ("version", str(version) if version else "none"),
        ("accuracy", percent(figures["accuracy"])),
    ]
    if baseline:
        low, high = (_points(each) for each in baseline["interval"])
        facts += [
            (f"version {baseline['version']}", percent(baseline["accuracy"])),
            ("difference, points", _points(baseline["difference"])),
            ("95 % interval", f"{low} to {high}"),
        ]
    sections = [page.Section("Checks", "What the verdict follows from.", _checks(decision.checks))]
    if baseline:
        sections += list(_comparison(parameters, baseline))
    page.write(path, "Held against the blessed model", answer(parameters, decision, version), facts, sections)


def answer(parameters: GateParameters, decision: Decision, version: int) -> Answer:
    """Say what the verdict is, why, and what to do next."""
    failed = [check["what"] for check in decision.checks if not check["passed"]]
    name = parameters.model_name
    headline = {
        BLESSED: f"Blessed{f', as version {version} of {name}' if version else ''}.",
        REJECTED: f"Rejected: {'; '.join(failed)}.",
    }.get(decision.verdict, "Unjudged, as no threshold was given.")
    why = [f"{check['what'][:1].upper()}{check['what'][1:]}." for check in decision.checks if check["passed"]]
    return Answer(TONES[decision.verdict], headline, [*why, *decision.notes], list(_advice(parameters, decision)))


def _advice(parameters: GateParameters, decision: Decision) -> Iterator[str]:
    baseline = decision.baseline
    failed = [check for check in decision.checks if not check["passed"]]
    if decision.verdict == BLESSED:
        yield "Nothing needs doing: what waits for a blessed model may go on."
    elif not failed:
        yield "Set `min_accuracy`, `min_recall` or `max_calibration_error`, so that the model is judged."
    elif not baseline:
        yield "See the report of evaluate for what the model mistakes."
    elif baseline["p_worse_by_margin"] < baseline["significance"]:
        yield f"Keep version {baseline['version']}; the table of the classes shows where this model is worse."
    elif baseline["interval"][1] < 0:
        yield f"Keep version {baseline['version']}: it is better."
    else:
        yield (
            "This may be chance. Judge on more test images, or, if a model that is worse by more than "
            f"{points(parameters.margin)} will do, raise `margin`; these images can show "
            f"{100 * baseline['smallest']:.2f} points."
        )


def _checks(checks: Sequence[Figures]) -> Markup:
    if not checks:
        return Markup("<p>There are none.</p>")
    rows = [(check["what"], "met" if check["passed"] else "not met") for check in checks]
    return page.table("Checks", ("check", ""), rows)


def _comparison(parameters: GateParameters, baseline: Figures) -> Iterator[page.Section]:
    other = f"version {baseline['version']}"
    yield page.Section(
        "Difference of accuracy", "This model less the blessed one, in points, with its 95 % interval (Tango 1998). "
        "The whole interval has to be right of the dashed line, the margin.",
        _drawn(parameters, baseline),
    )  # fmt: skip
    cells = [
        ("this model right", f"{baseline['both']:,}", f"{baseline['only_ours']:,}"),
        ("this model wrong", f"{baseline['only_theirs']:,}", f"{baseline['neither']:,}"),
    ]
    yield page.Section(
        "Image by image", f"Of {count(baseline['n'], 'test image')}, how many each model gets right. Those that only "
        f"one gets right decide: McNemar's exact test that both are as good has p = {baseline['p_two_sided']:.3g}.",
        page.table("Image by image", ("", f"{other} right", f"{other} wrong"), cells),
    )  # fmt: skip
    rows = [
        (each["name"], f"{each['images']:,}", percent(each["recall"]), percent(each["baseline_recall"]),
         f"{each['p_worse']:.3g}")
        for each in baseline["classes"] if each["images"]
    ]  # fmt: skip
    yield page.Section(
        "Classes", "How many of a class's images are found. p: how likely so many are lost if both models are as good "
        "at this class.",
        page.table("Classes", ("class", "images", "this model", other, "p"), rows),
    )  # fmt: skip


def _drawn(parameters: GateParameters, baseline: Figures) -> Markup:
    figure, axes = page.figure(height=1.5)
    low, high = (100 * each for each in baseline["interval"])
    middle = 100 * baseline["difference"]
    axes.errorbar([middle], [0], xerr=[[middle - low], [high - middle]], fmt="o", capsize=4, label="this model")
    axes.axvline(0, color="#888888", linewidth=1)
    axes.axvline(-parameters.margin, color=page.PALETTE[3], linestyle="--", linewidth=1, label="margin")
    axes.set_yticks([])
    axes.set_xlabel(f"points of accuracy above version {baseline['version']}")
    axes.margins(x=0.2)
    figure.legend(loc="outside upper center", ncols=2)
    return page.svg(
        figure, f"The difference is {middle:.2f} points, with a 95 % interval from {low:.2f} to {high:.2f}; the margin "
        f"is at {-parameters.margin:.2f}",
    )  # fmt: skip


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"
