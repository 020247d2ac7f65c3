"""Rules that hold the data set's schema against that of a reference."""

from collections.abc import Iterator
from typing import Any

from components.artifacts.findings import Rule
from components.artifacts.words import listed
from components.ingest.validation import Data, Evidence


def shape(data: Data) -> Iterator[Evidence]:
    """Find images of another size, channels or type than the reference's."""
    for name, word in (("shape", "pixels"), ("channels", "channels"), ("dtype", "type")):
        expected, came = _both(data, name)
        if expected is not None and expected != came:
            yield Evidence(f"The images have {_said(came)} {word}, and those of the reference {_said(expected)}.", {})


def classes(data: Data) -> Iterator[Evidence]:
    """Find classes that are others than the reference's, or in another order."""
    expected, came = _both(data, "classes")
    if expected is None or expected == came:
        return
    if sorted(map(str, expected)) == sorted(came):
        yield Evidence(
            f"The classes are those of the reference in another order: {listed(came)} instead of "
            f"{listed([str(each) for each in expected])}.",
            {"classes": len(came)},
        )
        return
    added = [each for each in came if each not in expected]
    gone = [str(each) for each in expected if each not in came]
    parts = [f"{listed(names)} {'is' if len(names) == 1 else 'are'} {how}" for names, how in
             ((added, "new"), (gone, "gone")) if names]  # fmt: skip
    yield Evidence(
        f"The classes are not those of the reference: {', and '.join(parts)}.",
        {"classes": len(came), "new": len(added), "gone": len(gone)},
    )


def pixels(data: Data) -> Iterator[Evidence]:
    """Find a range of pixel values that is not nearly the reference's."""
    expected, came = _both(data, "range")
    if expected is None:
        return
    span = max(1, expected[1] - expected[0])
    if max(abs(came[0] - expected[0]), abs(came[1] - expected[1])) > span / 4:
        yield Evidence(
            f"The pixels are {came[0]} to {came[1]}, and those of the reference {expected[0]} to {expected[1]}.",
            {"low": came[0], "high": came[1], "reference_low": expected[0], "reference_high": expected[1]},
        )


def _both(data: Data, name: str) -> tuple[Any, Any]:
    """Return what the reference's schema says, or None, and what this data set's does."""
    return data.reference.schema.get(name) if data.reference else None, data.schema[name]


def _said(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)


RULES = (
    Rule("schema-shape", "error", "shape, channels and type against the reference's",
         "Bring the images to the reference's (`size`, `colour`), or give another `reference`.", shape),
    Rule("schema-classes", "error", "names and order of the classes against the reference's",
         "Bring the labels to the reference's classes and order, or give another `reference`.", classes),
    Rule("schema-range", "warning", "the range of the pixels against the reference's",
         "Scale the pixels as those of the reference are.", pixels),
)  # fmt: skip
