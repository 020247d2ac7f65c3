"""What is wrong with a training, as its gradients tell: the rules are in checks/, this applies them.

Besides what every finding has, one of these has the variable (empty: the network as a whole), and the steps that show
it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.artifacts import findings
from components.artifacts.findings import Rule, ranked
from components.artifacts.record.reader import Record

HEALTHY = "healthy"  # the verdict where nothing is wrong


@dataclass(frozen=True)
class Evidence(findings.Evidence):
    """What a rule saw, and where and when."""

    first_step: int
    last_step: int
    variable: str = ""


@dataclass(frozen=True)
class Finding(findings.Finding):
    """One thing that a rule found."""

    variable: str
    first_step: int
    last_step: int


def diagnose(record: Record, rules: Sequence[Rule]) -> list[Finding]:
    """Return what the rules find, the most severe first."""
    return ranked(
        Finding(
            rule=rule.id,
            severity=rule.severity,
            sentence=seen.sentence,
            evidence=seen.figures,
            remedy=rule.remedy,
            variable=seen.variable,
            first_step=seen.first_step,
            last_step=seen.last_step,
        )
        for rule in rules
        for seen in rule.find(record)
    )
