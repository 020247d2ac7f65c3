"""The page that shows what is in the data set: the answer in words, what was found, then the images, then numbers."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from components.artifacts import page
from components.artifacts.findings import verdict
from components.ingest import charts, samples
from components.ingest.answer import answer
from components.ingest.validation import SOUND, Data, Finding

FINDINGS = 12  # that are shown; all are in findings.json


def write_report(path: Path, source: str, data: Data, findings: Sequence[Finding], fail_on: str) -> None:
    """Write the page; `fail_on` is the severity that ends the step."""
    by_split = data.statistics["splits"]
    sections = [*_findings(data, findings), *_near(data, findings), *_drift(data)]
    cut = f" The first {samples.CLASSES} of {len(data.class_names)} classes." * (
        len(data.class_names) > samples.CLASSES
    )
    sections += [
        page.Section(
            "A look at it", "The first training images of each class." + cut, samples.by_class(data), wide=True
        ),
        page.Section(
            "Classes", "The share of each class in each split; a good split keeps them alike.",
            charts.classes({name: (split["class_counts"], split["count"]) for name, split in by_split.items()},
                           data.class_names),
        ),
        page.Section(
            "Pixels", "How often each value from black (0) to white (255) occurs in the training images; the scale is "
            "logarithmic.",
            charts.pixels(by_split["train"]),
        ),
        page.Section(
            "Splits", "Pixels are in 0 to 1. Repeated: images equal to an earlier one of the same split. Shared: "
            "different images that two splits have; any in test makes its verdict too kind.",
            _splits(by_split) + _shared(data.statistics["across"]),
        ),
    ]  # fmt: skip
    page.write(path, f"Data set: {source}", answer(data, findings, fail_on), _facts(data, findings), sections)


def _facts(data: Data, findings: Sequence[Finding]) -> list[tuple[str, str]]:
    train = data.statistics["splits"]["train"]
    return [
        ("validation", verdict(findings, SOUND)),
        *((f"{name} images", f"{len(look):,}") for name, look in data.looks.items()),
        ("classes", str(len(data.class_names))),
        ("pixels", "×".join(map(str, data.schema["shape"])) + (", colour" if data.schema["channels"] == 3 else "")),
        ("training mean ± sd", f"{train['pixel_mean']:.4f} ± {train['pixel_standard_deviation']:.4f}"),
    ]


def _findings(data: Data, findings: Sequence[Finding]) -> Iterator[page.Section]:
    """Yield the section of what was found, if anything was."""
    if not findings:
        return
    notes = [
        page.note(each.severity, each.rule, each.sentence, each.remedy, samples.of_finding(data, each))
        for each in findings[:FINDINGS]
    ]
    more = f" {len(findings) - FINDINGS} more are in findings.json." if len(findings) > FINDINGS else ""
    yield page.Section(
        "Findings", "What the rules found, the worst first; and what to do about each." + more,
        Markup('<div class="notes">{}</div>').format(Markup("").join(notes)), wide=True,
    )  # fmt: skip


def _near(data: Data, findings: Sequence[Finding]) -> Iterator[page.Section]:
    """Yield the section of images that are nearly equal, side by side."""
    pairs = [pair for each in findings if each.rule.startswith("near-") for pair in each.pairs]
    pairs = list(dict.fromkeys(pairs))
    if pairs:
        shown = min(len(pairs), samples.PAIRS)
        first = f" The first {shown} pairs of {len(data.near):,}." if len(data.near) > shown else ""
        yield page.Section(
            "Nearly equal images", "Two images that differ by brightness, noise, compression, or a pixel's move, and "
            "where each came from." + first,
            samples.side_by_side(data, pairs[:shown]), wide=True,
        )  # fmt: skip


def _drift(data: Data) -> Iterator[page.Section]:
    """Yield what the reference is like, beside this data set."""
    if data.reference is None:
        return
    counts = data.reference.schema.get("splits", {}).get("train", {}).get("class_counts", ())
    if data.reference.schema.get("classes") == data.schema["classes"] and sum(counts):
        own = data.statistics["splits"]["train"]
        yield page.Section(
            "Classes, against the reference", "The share of each class in the training images, here and there.",
            charts.classes({"this data set": (own["class_counts"], own["count"]), "reference": (counts, sum(counts))},
                           data.class_names),
        )  # fmt: skip
    before = data.reference.looks.get("train")
    if before is not None:
        now = data.looks["train"]
        yield page.Section(
            "Mean images, against the reference", "The mean of all training images, here and there; then how bright "
            "the images are.",
            samples.means(now, before) + charts.brightness(now.means, before.means),
        )  # fmt: skip


def _splits(by_split: Mapping[str, Any]) -> Markup:
    rows = [
        (name, f"{split['count']:,}", f"{split['pixel_mean']:.4f}", f"{split['pixel_standard_deviation']:.4f}",
         f"{split['repeated']:,}")
        for name, split in by_split.items()
    ]  # fmt: skip
    return page.table("Splits", ("split", "images", "mean", "sd", "repeated"), rows)


def _shared(across: Mapping[str, int]) -> Markup:
    return page.table("Shared images", ("splits", "shared"), [(pair, f"{shared:,}") for pair, shared in across.items()])
