"""What is wrong with a training, as its gradients tell: the rules are in checks/, this applies them.

A finding has the rule's id and severity, the variable (empty: the network as a whole), the steps that show it, the
evidence in figures, a sentence, and what to do about it.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from components.artifacts.record.reader import Record
from components.contract.artifact import canonical_json

SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True)
class Evidence:
    """What a rule saw: where, when, in figures, and in a sentence."""

    sentence: str
    figures: dict[str, float]
    first_step: int
    last_step: int
    variable: str = ""


@dataclass(frozen=True)
class Rule:
    """One way in which a training may go wrong."""

    id: str
    severity: str
    looks_at: str
    remedy: str
    find: Callable[[Record], Iterator[Evidence]]


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found."""

    rule: str
    severity: str
    variable: str
    first_step: int
    last_step: int
    sentence: str
    evidence: dict[str, float]
    remedy: str


def diagnose(record: Record, rules: tuple[Rule, ...]) -> list[Finding]:
    """Return what the rules find, the most severe first."""
    found = [
        Finding(
            rule=rule.id,
            severity=rule.severity,
            variable=seen.variable,
            first_step=seen.first_step,
            last_step=seen.last_step,
            sentence=seen.sentence,
            evidence=seen.figures,
            remedy=rule.remedy,
        )
        for rule in rules
        for seen in rule.find(record)
    ]
    return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))


def at_least(findings: list[Finding], severity: str) -> list[Finding]:
    """Return the findings that are as severe, or more."""
    return [each for each in findings if SEVERITIES.index(each.severity) >= SEVERITIES.index(severity)]


def verdict(findings: list[Finding]) -> str:
    """Return the highest severity found, or `healthy` where there is nothing but advice."""
    worst = max((SEVERITIES.index(each.severity) for each in findings), default=0)
    return SEVERITIES[worst] if worst else "healthy"


def write_diagnosis(path: Path, findings: list[Finding], rules: tuple[Rule, ...]) -> None:
    """Write diagnosis.json: the verdict, the findings, and which rules were asked."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "verdict": verdict(findings),
        "findings": [asdict(finding) for finding in findings],
        "rules": [
            {"id": rule.id, "severity": rule.severity, "looks_at": rule.looks_at, "remedy": rule.remedy}
            for rule in rules
        ],
    }
    path.write_bytes(canonical_json(document))
