"""What a data set is fit for, in words: the answer that the report begins with."""

from collections.abc import Iterator, Sequence

from components.artifacts.findings import at_least, verdict
from components.artifacts.page import Answer
from components.artifacts.words import count
from components.ingest.validation import SOUND, Data, Finding

LOOKED_AT = "Looked at: classes, pixels, and images that are equal or nearly so, within and across the splits"


def answer(data: Data, findings: Sequence[Finding], fail_on: str) -> Answer:
    """Say whether the data set is sound, what is in it, and what to do; the most severe finding comes first."""
    worst, serious = verdict(findings, SOUND), at_least(findings, "warning")
    total = sum(len(look) for look in data.looks.values())
    if serious:
        start = "This is wrong" if worst == "error" else "Look at this before training"
        headline = f"{start}: {serious[0].sentence[0].lower()}{serious[0].sentence[1:]}"
    else:
        headline = f"Sound: nothing odd in {count(total, 'image')}."
    why = [_contents(data), *(each.sentence for each in serious[1:])]
    if not serious:
        why.append(f"{LOOKED_AT}{'; and the reference' if data.reference else ''}.")
        if findings:
            why.append("What was found is little, and told below.")
    return Answer(worst if serious else "good", headline, why, list(_advice(findings, fail_on)))


def _contents(data: Data) -> str:
    train, validation, test = (len(data.looks[name]) for name in ("train", "validation", "test"))
    colour = " in colour" if data.schema["channels"] == 3 else ""
    return (
        f"{count(train, 'image')} to train on, {validation:,} to validate with and {test:,} to test with, of "
        f"{'×'.join(map(str, data.schema['shape']))} pixels{colour}, in "
        f"{count(len(data.class_names), 'class', 'classes')}."
    )


def _advice(findings: Sequence[Finding], fail_on: str) -> Iterator[str]:
    serious = at_least(findings, "warning")
    yield from dict.fromkeys(each.remedy for each in serious)
    if not serious:
        yield "Nothing needs doing: train."
    if fail_on != "never" and at_least(findings, fail_on):
        yield f"The run ends here, as `fail_on` is {fail_on}: the data set is not published."
