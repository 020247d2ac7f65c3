"""The page that shows a training and its gradients: the answer in words, what is wrong, then everything else."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.findings import verdict
from components.artifacts.record.columns import GLOBAL_NORM
from components.artifacts.record.noise import NoiseScale
from components.artifacts.record.reader import Record
from components.artifacts.words import percent
from components.export import figures, heat
from components.export.answer import answer
from components.export.diagnosis import HEALTHY, Finding
from components.export.line import band

FINDINGS = 30  # that are shown; all are in diagnosis.json
VARIABLES = 200  # rows of a table
SHEET_WIDTH, SMALL = 400, 48  # pixels on the page; images up to the latter are shown twice as large


def write_report(path: Path, record: Record, scale: NoiseScale | None, findings: list[Finding], fail_on: str) -> None:
    """Write the page; `fail_on` is the severity that ends the step."""
    sections = [*_findings(record, scale, findings), *_course(record)]
    if record.level != "off":
        sections += _norms(record)
    if len(record.stats_steps):
        sections.append(
            page.Section(
                "Update ratio", "By how much of its length a step changes each kernel, after clipping and the "
                "optimizer's moments. The green band, around a thousandth, is usual."
                + band(record.stats_steps) + _some_kernels(record),
                figures.update_ratios(record),
            )
        )  # fmt: skip
    if scale is not None:
        sections += _noise(record, scale)
    if record.level != "off":
        sections.append(
            page.Section(
                "Gradient norm by variable", "Over all steps, and the median of the last epoch."
                + figures.first(VARIABLES, len(record.variables), "variables"),
                _norm_table(record),
            )
        )  # fmt: skip
    if record.epochs:
        sections.append(page.Section("Epochs", "What the training printed.", _epoch_table(record)))
    sections += _sheet(record)
    if record.histogram_count:
        sections.append(
            page.Section(
                "Histograms of the gradients", "How large the numbers of a gradient are: from left to right by step, "
                "from bottom to top by octave of |g|. The brighter, the more of the variable's numbers are there; "
                "where nothing is drawn, none is." + _some_kernels(record),
                heat.histograms(record), wide=True,
            )
        )  # fmt: skip
    page.write(
        path, "Training and gradients", answer(record, findings, fail_on), _facts(record, scale, findings), sections
    )


def _facts(record: Record, scale: NoiseScale | None, findings: list[Finding]) -> list[tuple[str, str]]:
    facts = [("diagnosis", verdict(findings, HEALTHY))]
    if record.epochs:
        last = record.epochs[-1]
        facts += [
            ("validation accuracy", percent(last["validation_accuracy"])),
            ("validation loss", f"{last['validation_loss']:.4f}"),
            ("training loss", f"{last['train_loss']:.4f}"),
        ]
    facts += [("epochs", str(len(record.epochs))), ("steps", f"{len(record.steps):,}")]
    if scale is not None and math.isfinite(scale.overall):
        facts.append(("noise scale", f"{scale.overall:,.0f} images" if scale.overall >= 1 else "below 1 image"))
    return facts


def _findings(record: Record, scale: NoiseScale | None, findings: list[Finding]) -> Iterator[page.Section]:
    """Yield the section of what was found, if anything was."""
    if not findings:
        return
    notes = []
    for finding in findings[:FINDINGS]:
        steps, values, label = figures.of_finding(record, scale, finding.rule, finding.variable)
        drawn = figures.small(steps, values, label, finding.first_step, finding.last_step)
        place = f"steps {finding.first_step:,} to {finding.last_step:,}"
        notes.append(page.note(finding.severity, finding.rule, finding.sentence, f"{finding.remedy} ({place})", drawn))
    more = f" {len(findings) - FINDINGS} more are in diagnosis.json." if len(findings) > FINDINGS else ""
    yield page.Section(
        "Findings", "What the rules found, the worst first; and what to do about each." + more,
        Markup('<div class="notes">{}</div>').format(Markup("").join(notes)), wide=True,
    )  # fmt: skip


def _course(record: Record) -> list[page.Section]:
    """Return the sections on how the training went."""
    bands = band(record.steps)
    return [
        page.Section(
            "Loss", "Of each step's images before the update, and of the validation split after each epoch." + bands,
            figures.by_epoch(record, "loss"),
        ),
        page.Section(
            "Accuracy",
            "Of each step's images before the update, and of the validation split after each epoch." + bands,
            figures.by_epoch(record, "accuracy"),
        ),
        page.Section("Learning rate", "As the schedule gave it.", figures.learning_rate(record)),
    ]  # fmt: skip


def _sheet(record: Record) -> Iterator[page.Section]:
    """Yield the section of what the training saw, if images were augmented."""
    sheet = record.sheet()
    if sheet is None:
        return
    given, augmented = sheet
    width = given.shape[2]
    scale = 2 if width <= SMALL else 1
    columns = max(1, SHEET_WIDTH // (scale * (width + 1)))
    pairs = [part[i : i + columns] for i in range(0, len(given), columns) for part in (given, augmented)]
    blocks = [page.contact_sheet(part, min(columns, len(given))) for part in pairs]
    names = str(record.settings["augment"]).replace(",", ", ")
    described = f"{len(given)} training images in pairs of rows: as they are, and below as they were learned from"
    yield page.Section(
        "What training saw",
        f"{len(given)} images of the first step in pairs of rows: above as they are, below after `{names}`. Each step "
        "changes its images anew; those of validation and test stay as they are. Where one can no longer tell what is "
        "below, the augmentation is too strong.",
        page.picture(np.concatenate(blocks), described, scale),
    )


def _norms(record: Record) -> list[page.Section]:
    layers, apart = len(figures.layers(record)), heat.rows_for_a_name(len(record.variables))
    return [
        page.Section(
            "Gradients, variable by step",
            "The root mean square (RMS) of the numbers of each variable's gradient. A dark row has small gradients; "
            "where nothing is drawn, there is none, or no number."
            + figures.first(heat.MOST, len(record.variables), "variables")
            + (f" One row of {apart} has its name." if apart > 1 else ""),
            heat.of_norms(record),
        ),
        page.Section(
            "Gradient norm by layer",
            "The length of each layer's gradient. A layer that stays far below the others is starved; one that climbs "
            "may diverge." + band(record.steps) + figures.some(layers, "layers"),
            figures.norms_by_layer(record),
        ),
    ]


def _some_kernels(record: Record) -> str:
    kernels = sum(variable.role in ("kernel", "embedding") for variable in record.variables)
    return figures.some(kernels or len(record.variables), "kernels" if kernels else "variables")


def _noise(record: Record, scale: NoiseScale) -> list[page.Section]:
    text = (
        "How many images a batch needs until noise and signal of its gradient are alike (McCandlish et al. 2018, arXiv "
        "1812.06162). It grows as the loss falls."
    )
    if math.isfinite(scale.overall):
        batch = record.settings["images_per_step"]
        ratio = scale.overall / batch
        place = f"{ratio:.1f}× below it" if ratio >= 1 else f"{1 / ratio:.1f}× above it"
        if 0.8 < ratio < 1.25:
            place = "about as many"
        most = f"{scale.high:,.0f}" if math.isfinite(scale.high) else "any number"
        text += (
            f" In the second half of the run it was about {scale.overall:,.0f} images ({scale.low:,.0f} to {most}); "
            f"the {batch:,} images of a step are {place}."
        )
    by_variable = "In images; where there is a dash, chance hid the signal." + figures.first(
        VARIABLES, len(record.variables), "variables"
    )
    return [
        page.Section("Gradient noise scale", text, figures.noise_scale(record, scale)),
        page.Section("Noise scale by variable", by_variable, _noise_table(record, scale)),
    ]


def _noise_table(record: Record, scale: NoiseScale) -> Markup:
    rows = []
    for index, variable in enumerate(record.variables[:VARIABLES]):
        values = scale.values.column(1 + index)
        known = values[np.isfinite(values)]
        shown = (f"{known[0]:,.0f}", f"{np.median(known):,.0f}", f"{known[-1]:,.0f}") if len(known) else ("–",) * 3
        rows.append((variable.name, *shown))
    return page.table("Noise scale by variable", ("variable", "first", "median", "last"), rows)


def _norm_table(record: Record) -> Markup:
    final = slice(-record.settings["steps_per_epoch"], None)
    rows = []
    for name in (GLOBAL_NORM, *(variable.name for variable in record.variables[:VARIABLES])):
        values = record.column(name)
        shown = (np.median(values), values.min(), values.max(), np.median(values[final]))
        rows.append((name, *(f"{value:.3g}" for value in shown)))
    return page.table("Gradient norm by variable", ("variable", "median", "smallest", "largest", "last epoch"), rows)


def _epoch_table(record: Record) -> Markup:
    names = list(record.epochs[0])
    shown = record.epochs if len(record.epochs) <= VARIABLES else record.epochs[:: len(record.epochs) // VARIABLES]
    rows = [[epoch["epoch"], *(f"{epoch[name]:.4f}" for name in names if name != "epoch")] for epoch in shown]
    return page.table("Epochs", [name.replace("_", " ") for name in names], rows)
