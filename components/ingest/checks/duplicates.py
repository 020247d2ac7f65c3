"""Rules that look for images that are there more than once: equal, or nearly."""

from collections.abc import Iterator, Sequence

from components.artifacts.findings import Rule
from components.artifacts.words import count
from components.ingest.validation import At, Data, Evidence

MANY = 0.01  # a share of images, repeated or leaked, that is worth a warning

Pairs = Sequence[tuple[At, At]]


def shared(data: Data) -> Iterator[Evidence]:
    """Find images that two splits have, the test split's first."""
    across = data.statistics["across"]
    for pair, number in sorted(across.items(), key=lambda each: not each[0].endswith("test")):
        first, second = pair.split(" and ")
        if number:
            yield Evidence(
                f"{count(number, 'different image')} of the {second} split {_is(number)} also in the {first} split"
                f"{_too_kind(data, second, number)}",
                {"images": number},
                pairs=_across(data, first, second),
                severity=_severity(data, second, number),
            )


def _across(data: Data, first: str, second: str) -> Pairs:
    """Return, of each image that two splits share, its first place in each."""
    pairs = []
    for group in data.copies:
        splits = [at.split for at in group]
        if first in splits and second in splits:
            pairs.append((group[splits.index(first)], group[splits.index(second)]))
    return pairs


def repeated(data: Data) -> Iterator[Evidence]:
    """Find images that are equal to an earlier one of the same split."""
    for name, split in data.statistics["splits"].items():
        if number := split["repeated"]:
            groups = [[at for at in group if at.split == name] for group in data.copies]
            yield Evidence(
                f"{number:,} of the {split['count']:,} {name} images {'repeats' if number == 1 else 'repeat'} an "
                "earlier one of that split.",
                {"images": number},
                pairs=[(group[0], group[1]) for group in groups if len(group) > 1],
                severity=_severity(data, name, number),
            )


def conflicting(data: Data) -> Iterator[Evidence]:
    """Find equal images whose labels are different: one of them must be wrong, unless they are blank."""
    pairs = []
    for group in data.copies:
        other = next((at for at in group if data.label(at) != data.label(group[0])), None)
        if other and not data.looks[other.split].blank[other.number]:
            pairs.append((group[0], other))
    if pairs:
        share = len(pairs) / sum(len(look) for look in data.looks.values())
        yield Evidence(
            f"{count(len(pairs), 'image')} {_is(len(pairs))} there more than once with different labels: class "
            f"{data.where(pairs[0][0]).label} and class {data.where(pairs[0][1]).label}, for one.",
            {"images": len(pairs)},
            pairs=pairs,
            severity="error" if share >= MANY else "",
        )


def near_shared(data: Data) -> Iterator[Evidence]:
    """Find images that another split nearly has, the test split's first."""
    names = list(data.looks)
    for first, second in sorted(
        ((first, second) for i, first in enumerate(names) for second in names[i + 1 :]),
        key=lambda each: each[1] != "test",
    ):
        pairs = [pair for pair in data.near if (pair[0].split, pair[1].split) == (first, second)]
        number = len({pair[1] for pair in pairs})
        if number:
            yield Evidence(
                f"{count(number, 'image')} of the {second} split {_is(number)} nearly equal to one of the {first} "
                f"split{_too_kind(data, second, number)}{_not_compared(data)}",
                {"images": number},
                pairs=pairs,
                severity=_severity(data, second, number),
            )


def near_repeated(data: Data) -> Iterator[Evidence]:
    """Find images that are nearly equal to an earlier one of the same split."""
    for name, look in data.looks.items():
        pairs = [pair for pair in data.near if pair[0].split == pair[1].split == name]
        number = len({pair[1] for pair in pairs})
        if number:
            yield Evidence(
                f"{number:,} of the {len(look):,} {name} images {_is(number)} nearly equal to an earlier one of that "
                f"split.{_not_compared(data)}",
                {"images": number},
                pairs=pairs,
                severity=_severity(data, name, number),
            )


def near_conflicting(data: Data) -> Iterator[Evidence]:
    """Find nearly equal images whose labels are different."""
    pairs = [pair for pair in data.near if data.label(pair[0]) != data.label(pair[1])]
    if pairs:
        yield Evidence(
            f"{count(len(pairs), 'pair')} of nearly equal images {'has' if len(pairs) == 1 else 'have'} different "
            f"labels: class {data.where(pairs[0][0]).label} and class {data.where(pairs[0][1]).label}, for one.",
            {"pairs": len(pairs)},
            pairs=pairs,
        )


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def _severity(data: Data, split: str, number: int) -> str:
    """Return that of a rule, or, where few images are concerned, less."""
    return "" if number >= MANY * len(data.looks[split]) else "info"


def _too_kind(data: Data, split: str, number: int) -> str:
    if _severity(data, split, number):
        return "."
    return f", which makes {'the verdict' if split == 'test' else 'the validation'} too kind."


def _not_compared(data: Data) -> str:
    number = data.not_compared
    return f" There may be more: {number:,} of the pairs that are less alike were not compared." if number else ""


RULES = (
    Rule("conflicting-labels", "warning", "equal images of different classes",
         "Look at them and keep the right label, or take them out.", conflicting),
    Rule("shared", "warning", "equal images in two splits", "Take the shared images out of one of the splits.",
         shared),
    Rule("near-shared", "warning", "nearly equal images in two splits, by a perceptual hash and then by their pixels",
         "Take these images out of one of the splits: split before copies are made of an image, and by group where "
         "images belong together.", near_shared),
    Rule("near-conflict", "warning", "nearly equal images of different classes",
         "Look at them and keep the right label, or take them out.", near_conflicting),
    Rule("repeated", "warning", "equal images in a split", "Keep one of each, unless they are meant to weigh more.",
         repeated),
    Rule("near-duplicates", "warning", "nearly equal images in a split, by a perceptual hash and then by their pixels",
         "Keep one of each, unless they are meant to weigh more; `train` can vary images as it goes.", near_repeated),
)  # fmt: skip
