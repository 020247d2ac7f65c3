"""What is wrong with a data set: the rules are in checks/, this shows them the data and keeps what they find.

A check is a file in checks/ with `RULES`, a tuple of `Rule`. A rule's `find` takes the `Data` and yields `Evidence`:

    def dark(data):
        for name, look in data.looks.items():
            found = np.flatnonzero(look.means < 8)
            if len(found):
                yield Evidence(f"{len(found)} {name} images are dark.", {"images": len(found)}, data.at(name, found))

    RULES = (Rule("dark", "warning", "the mean of each image", "Take them out.", dark),)

All files of the folder are asked; to add your own, put it there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.artifacts import findings
from components.artifacts.dataset import Split
from components.artifacts.findings import Rule, ranked
from components.contract.errors import BadInput
from components.contract.plugins import Plugins
from components.ingest.look import Look, look
from components.ingest.near import Near, near_duplicates
from components.ingest.schema import Reference, Schema, infer
from components.ingest.statistics import describe

__all__ = ["SOUND", "At", "Data", "Evidence", "Finding", "Rule", "Where", "inspect", "rules", "validate"]

CHECKS = Plugins("check", "components.ingest.checks", Path(__file__).parent / "checks")
SOUND = "sound"  # the verdict where nothing is wrong
NAMED = 6  # images, or pairs of them, that a finding names

Numbers = npt.NDArray[Any]


class At(NamedTuple):
    """An image: its split, and its number there."""

    split: str
    number: int


@dataclass(frozen=True)
class Evidence(findings.Evidence):
    """What a rule saw, and in which images, or pairs of them; `severity` where it is not the rule's own."""

    images: Sequence[At] = ()
    pairs: Sequence[tuple[At, At]] = ()
    severity: str = ""


@dataclass(frozen=True)
class Where:
    """An image, the name of its class, and where it came from."""

    split: str
    number: int
    label: str
    origin: str


@dataclass(frozen=True)
class Finding(findings.Finding):
    """One thing that a rule found, with the first few images, or pairs of them, that show it."""

    images: tuple[Where, ...]
    pairs: tuple[tuple[Where, Where], ...]


@dataclass(frozen=True)
class Data:
    """A data set as the rules see it.

    `splits` are the images (mapped from their files: take few at a time) and labels, `looks` what was measured of each
    image, `statistics` those of `describe`, `reference` what it is held against, if anything.
    """

    splits: Mapping[str, Split]
    looks: Mapping[str, Look]
    origins: Mapping[str, Sequence[str]]
    class_names: Sequence[str]
    statistics: Mapping[str, Any]
    schema: Schema
    reference: Reference | None = None

    def at(self, split: str, numbers: Numbers) -> list[At]:
        """Return the first few of those images of a split, for a finding to name."""
        return [At(split, int(number)) for number in numbers[:NAMED]]

    def first(self, split: str) -> list[At]:
        """Return the first three images of a split, or as many as there are, for a finding that is of all of them."""
        return [At(split, number) for number in range(min(3, len(self.looks[split])))]

    def where(self, at: At) -> Where:
        """Return an image with what is known of it."""
        label = self.class_names[int(self.splits[at.split].labels[at.number])]
        return Where(at.split, at.number, label, self.origins[at.split][at.number])

    def label(self, at: At) -> int:
        """Return the label of an image."""
        return int(self.splits[at.split].labels[at.number])

    @cached_property
    def copies(self) -> list[list[At]]:
        """Groups of images that are equal, each in the order of the splits."""
        _, group, count = np.unique(self._digests, axis=0, return_inverse=True, return_counts=True)
        group = group.reshape(-1)
        repeated = np.flatnonzero(count[group] > 1)
        groups: dict[int, list[At]] = {}
        for number in repeated:
            groups.setdefault(int(group[number]), []).append(self._at(int(number)))
        return sorted(groups.values())

    @cached_property
    def near(self) -> list[tuple[At, At]]:
        """Pairs of images that are nearly equal; of equal ones the first stands for all."""
        return [(self._at(int(first)), self._at(int(second))) for first, second in self._near.pairs]

    @property
    def not_compared(self) -> int:
        """How many pairs of like images were too many to be compared pixel by pixel."""
        return self._near.left_out

    @cached_property
    def _near(self) -> Near:
        _, first = np.unique(self._digests, axis=0, return_index=True)
        kept = np.zeros(len(self._digests), bool)
        kept[first] = True
        kept &= ~np.concatenate([each.blank for each in self.looks.values()])
        labels = np.concatenate([each.labels for each in self.looks.values()])
        return near_duplicates([split.images for split in self.splits.values()], labels, kept)

    @cached_property
    def _digests(self) -> npt.NDArray[np.uint64]:
        return np.concatenate([each.digests for each in self.looks.values()])

    def _at(self, number: int) -> At:
        """Return the image of a number that counts through all splits."""
        for name, each in self.looks.items():
            if number < len(each):
                return At(name, number)
            number -= len(each)
        raise IndexError(number)


def inspect(
    splits: Mapping[str, Split],
    origins: Mapping[str, Sequence[str]],
    class_names: Sequence[str],
    reference: Reference | None = None,
) -> Data:
    """Look at every image of the splits train, validation and test, and say what there is."""
    looks = {name: look(split, len(class_names)) for name, split in splits.items()}
    return Data(splits, looks, origins, class_names, describe(looks), infer(looks, class_names), reference)


def validate(data: Data) -> list[Finding]:
    """Return what the rules find, the most severe first; raise `BadInput` for a check that fails."""
    found = []
    for file, rule in _files():
        try:
            seen = list(rule.find(data))
        except Exception as error:
            raise BadInput(f"the rule {rule.id} in {file} fails: {_said(error)}") from error
        found += [_finding(data, rule, each) for each in seen]
    return ranked(found)


def _finding(data: Data, rule: Rule, seen: Evidence) -> Finding:
    return Finding(
        rule=rule.id,
        severity=seen.severity or rule.severity,
        sentence=seen.sentence,
        # Four digits are the same on every machine.
        evidence={name: float(f"{value:.4g}") if isinstance(value, float) else value
                  for name, value in seen.figures.items()},
        remedy=rule.remedy,
        images=tuple(data.where(at) for at in seen.images[:NAMED]),
        pairs=tuple((data.where(first), data.where(second)) for first, second in seen.pairs[:NAMED]),
    )  # fmt: skip


def rules() -> tuple[Rule, ...]:
    """Return the rules of all files in checks/; raise `BadInput` for a file that has none."""
    return tuple(rule for _, rule in _files())


@cache
def _files() -> tuple[tuple[str, Rule], ...]:
    """Return the rules, each with the name of its file."""
    made: list[tuple[str, Rule]] = []
    for name, path in CHECKS.files.items():
        try:
            module = CHECKS.load(name)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"the check {path.name} cannot be imported: {_said(error)}") from error
        own = getattr(module, "RULES", ())
        if not own or not all(isinstance(rule, Rule) and rule.severity in findings.SEVERITIES for rule in own):
            raise BadInput(
                f"the check {path.name} must have RULES, a tuple of Rule(id, severity, looks_at, remedy, find), with a "
                f"severity of {', '.join(findings.SEVERITIES)}"
            )
        made += [(path.name, rule) for rule in own]
    return tuple(made)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
