"""How a training went, in words: the answer that the report begins with."""

import math
from collections.abc import Iterator, Sequence

from components.artifacts.findings import at_least, verdict
from components.artifacts.page import Answer
from components.artifacts.record.reader import Record
from components.artifacts.words import count, listed, percent
from components.export.diagnosis import HEALTHY, Finding

SAID = {"error": ("error",), "warning": ("warning",), "info": ("piece of advice", "pieces of advice")}
FEW_STEPS = 30  # below which some rules see nothing


def answer(record: Record, findings: Sequence[Finding], fail_on: str) -> Answer:
    """Say whether the training is healthy, why, and what to do next; `findings` are sorted, the most severe first."""
    worst, found = verdict(findings, HEALTHY), list(findings)
    serious = at_least(found, "warning")
    if serious:
        start = "Something is wrong" if worst == "error" else "Not healthy"
        headline = f"{start}. {serious[0].sentence}"
    elif record.level == "off":
        headline = "Only the loss was looked at, and nothing is wrong with it: no gradients were kept."
    else:
        headline = "Healthy: no rule found an error or a warning."
    tone = worst if serious else "info" if record.level == "off" else "good"
    return Answer(tone, headline, list(_why(record, found)), list(_advice(record, found, fail_on)))


def _why(record: Record, findings: list[Finding]) -> Iterator[str]:
    if findings:
        kinds = [
            count(number, *words)
            for severity, words in SAID.items()
            if (number := sum(finding.severity == severity for finding in findings))
        ]
        yield f"Found: {listed(kinds)}{', the worst first below' if len(findings) > 1 else ''}."
    yield from _learned(record)
    seen = f"{count(len(record.steps), 'step')} of {count(len(record.variables), 'variable')}"
    yield f"Looked at: {seen}, {len(record.stats_steps):,} of the steps with statistics."
    if record.level == "off":
        yield "Of the gradients nothing was kept, so what is wrong with them is not known."
    elif not len(record.stats_steps):
        yield "No statistics were kept, so updates, single dead units, and the batch size were not looked at."
    if len(record.steps) < FEW_STEPS:
        yield f"In fewer than {FEW_STEPS} steps some rules see nothing."


def _learned(record: Record) -> Iterator[str]:
    """Say how far it came, by its validation images."""
    if not record.epochs:
        yield "It ended before its first epoch did."
        return
    last = record.epochs[-1]
    if not math.isfinite(last["validation_accuracy"]):
        yield f"After {count(len(record.epochs), 'epoch')} the validation accuracy is no number."
        return
    right = percent(last["validation_accuracy"])
    yield f"After {count(len(record.epochs), 'epoch')} {right} of the validation images are right."
    losses = [each["validation_loss"] for each in record.epochs]
    known = [loss for loss in losses if math.isfinite(loss)]
    if math.isfinite(losses[-1]) and losses[-1] > 1.05 * min(known):
        yield (
            f"The validation loss was lowest after epoch {record.epochs[losses.index(min(known))]['epoch']} "
            f"({min(known):.4f}), and is {losses[-1]:.4f} at the end."
        )


def _advice(record: Record, findings: list[Finding], fail_on: str) -> Iterator[str]:
    serious = at_least(findings, "warning")
    if serious:
        yield serious[0].remedy
        if len({finding.rule for finding in serious}) > 1:
            yield "The other findings may be consequences of this one: mend it first, and train again."
    elif record.level != "off":
        yield f"Nothing needs doing.{' There is advice below.' if findings else ''}"
    if fail_on != "never" and at_least(findings, fail_on):
        yield f"The run ends here, as `fail_on` is {fail_on}: the tables are not published."
    if record.level == "off":
        yield "Set `gradient_level` to norms or more, so that the gradients are looked at."
    elif not len(record.stats_steps):
        yield (
            "Set `gradient_level` to stats or more, so that everything is looked at."
            if record.level == "norms"
            else "Set `stats_every` or `geometric`, so that everything is looked at."
        )
