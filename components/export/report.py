"""The page that shows a training and its gradients: what is wrong with it first, then everything else."""

import math
from pathlib import Path

import numpy as np
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.record.columns import GLOBAL_NORM
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record
from components.export import figures
from components.export.diagnosis import Finding, verdict

FINDINGS = 30  # that are shown; all are in diagnosis.json
VARIABLES = 200  # rows of a table


def write_report(path: Path, record: Record, scale: NoiseScale | None, findings: list[Finding]) -> None:
    """Write the page."""
    sections = [
        page.Section("Diagnosis", _conclusion(record, scale, findings), _findings(record, scale, findings)),
        page.Section(
            "Loss and accuracy", "Of each step's images before the update, and of the validation split.",
            page.pair(figures.by_epoch(record, "loss"), figures.by_epoch(record, "accuracy")),
        ),
    ]  # fmt: skip
    if record.level != "off":
        sections += [
            page.Section(
                "Gradients, variable by step",
                "The root mean square of the numbers of each variable's gradient, in powers of ten. A dark row has "
                "small gradients; where nothing is drawn, there is none, or no number.",
                figures.heat_of_norms(record),
            ),
            page.Section(
                "Gradient norm by layer",
                "The length of each layer's gradient at each step. A layer that stays far below the others is "
                "starved; one that climbs may diverge.",
                figures.norms_by_layer(record),
            ),
        ]  # fmt: skip
    if len(record.stats_steps):
        sections.append(
            page.Section(
                "Update ratio", "By how much of its length a step changes each kernel, after clipping and the "
                "optimizer's moments. The green band, around a thousandth, is usual.",
                figures.update_ratios(record),
            )
        )  # fmt: skip
    if scale is not None:
        sections.append(
            page.Section(
                "Gradient noise scale", "How many images a batch needs until noise and signal of its gradient are "
                "alike (McCandlish et al. 2018, arXiv 1812.06162). It grows as the loss falls.",
                page.pair(figures.noise_scale(record, scale), _noise_table(record, scale)),
            )
        )  # fmt: skip
    if next(record.histograms(), None) is not None:
        sections.append(
            page.Section(
                "Histograms of the gradients", "Left to right: steps. Bottom to top: octaves of |g|. Bright: many of "
                "the variable's numbers are there.",
                figures.histograms(record),
            )
        )  # fmt: skip
    sections.append(page.Section("Learning rate", "As the schedule gave it.", figures.learning_rate(record)))
    if record.level != "off":
        title = "Gradient norm by variable"
        sections.append(page.Section(title, "Over all steps, and the median of the last epoch.", _norm_table(record)))
    if record.epochs:
        sections.append(page.Section("Epochs", "What the training printed.", _epoch_table(record)))
    page.write(path, "Training and gradients", _facts(record, scale, findings), sections)


def _facts(record: Record, scale: NoiseScale | None, findings: list[Finding]) -> list[tuple[str, str]]:
    facts = [("diagnosis", verdict(findings))]
    if record.epochs:
        last = record.epochs[-1]
        facts += [
            ("validation accuracy", f"{100 * last['validation_accuracy']:.2f} %"),
            ("validation loss", f"{last['validation_loss']:.4f}"),
            ("training loss", f"{last['train_loss']:.4f}"),
        ]
    facts += [("epochs", str(len(record.epochs))), ("steps", f"{len(record.steps):,}")]
    if scale is not None and math.isfinite(scale.overall):
        facts.append(("noise scale", f"{scale.overall:,.0f} images"))
    return facts


def _conclusion(record: Record, scale: NoiseScale | None, findings: list[Finding]) -> str:
    """Return the sentences on top."""
    serious = [finding for finding in findings if finding.severity != "info"]
    if record.level == "off":
        text = "No gradients were kept (gradient_level off), so only the loss was looked at."
    elif serious:
        text = f"{len(serious)} of the findings below want{'s' * (len(serious) == 1)} something done."
    else:
        text = "None of the rules for errors and warnings found anything."
    if scale is not None and math.isfinite(scale.overall):
        batch = record.settings["images_per_step"]
        ratio = scale.overall / batch
        place = f"{ratio:.1f}× below" if ratio >= 1 else f"{1 / ratio:.1f}× above"
        most = f"{scale.high:,.0f}" if math.isfinite(scale.high) else "any number"
        text += (
            f" In the second half of the run the gradient noise scale was about {scale.overall:,.0f} images "
            f"({scale.low:,.0f} to {most}); the batch of {batch} is {place} it."
        )
    return text


def _findings(record: Record, scale: NoiseScale | None, findings: list[Finding]) -> Markup:
    notes = []
    for finding in findings[:FINDINGS]:
        steps, values, label = figures.of_finding(record, scale, finding.rule, finding.variable)
        picture = figures.small(steps, values, label, finding.first_step, finding.last_step)
        place = f"steps {finding.first_step:,} to {finding.last_step:,}"
        notes.append(
            page.note(finding.severity, finding.rule, finding.sentence, f"{finding.remedy} ({place})", picture)
        )
    if len(findings) > FINDINGS:
        notes.append(Markup("<p>{} more are in diagnosis.json.</p>").format(len(findings) - FINDINGS))
    return Markup("").join(notes)


def _noise_table(record: Record, scale: NoiseScale) -> Markup:
    rows = []
    for index, variable in enumerate(record.variables[:VARIABLES]):
        known = scale.by_variable[np.isfinite(scale.by_variable[:, index]), index]
        shown = (f"{known[0]:,.0f}", f"{np.median(known):,.0f}", f"{known[-1]:,.0f}") if len(known) else ("–",) * 3
        rows.append((variable.name, *shown))
    return page.table(("variable", "first", "median", "last"), rows)


def _norm_table(record: Record) -> Markup:
    final = slice(-record.settings["steps_per_epoch"], None)
    rows = []
    for name in (GLOBAL_NORM, *(variable.name for variable in record.variables[:VARIABLES])):
        values = record.column(name)
        shown = (np.median(values), values.min(), values.max(), np.median(values[final]))
        rows.append((name, *(f"{value:.3g}" for value in shown)))
    return page.table(("variable", "median", "smallest", "largest", "last epoch"), rows)


def _epoch_table(record: Record) -> Markup:
    names = list(record.epochs[0])
    shown = record.epochs if len(record.epochs) <= VARIABLES else record.epochs[:: len(record.epochs) // VARIABLES]
    rows = [[epoch["epoch"], *(f"{epoch[name]:.4f}" for name in names if name != "epoch")] for epoch in shown]
    return page.table([name.replace("_", " ") for name in names], rows)
