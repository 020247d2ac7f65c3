"""Numbers and lists in the words of a report."""

from collections.abc import Sequence

LISTED = 5  # names in a sentence


def percent(share: float) -> str:
    """Return `98.52 %` for 0.9852."""
    return f"{100 * share:.2f} %"


def count(number: int, noun: str, nouns: str = "") -> str:
    """Return `1 image`, or `1,024 images`."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return `a, b and c`; of many names the first LISTED and how many more there are."""
    shown = list(names) if len(names) <= LISTED else [*names[:LISTED], f"{len(names) - LISTED:,} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1] if shown else "")))


def classes(names: Sequence[str]) -> tuple[str, str, str]:
    """Return `class 7`, or `classes 3 and 7`, and the `has` and `is`, or `have` and `are`, that go with it."""
    one = len(names) == 1
    return f"{'class' if one else 'classes'} {listed(names)}", "has" if one else "have", "is" if one else "are"
