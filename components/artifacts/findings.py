"""What a step finds wrong with what it is given: rules, what they found, how severe it is, and where a run ends.

A step's own rules add where they saw it: `export` the variable and the steps, `ingest` the images.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from components.contract.artifact import canonical_json
from components.contract.declaration import parameter
from components.contract.errors import Blocked

SEVERITIES = ("info", "warning", "error")
FAIL_ON: str = parameter(
    "never", "Findings of this severity or a higher one end the step with exit code 5, with its report published",
    choices=("never", "warning", "error"),
)  # fmt: skip


@dataclass(frozen=True)
class Evidence:
    """What a rule saw, in a sentence, and in figures."""

    sentence: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Rule:
    """One way in which something may be wrong; `find` yields evidence of it in what it is given."""

    id: str
    severity: str
    looks_at: str
    remedy: str
    find: Callable[[Any], Iterable[Any]]


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found."""

    rule: str
    severity: str
    sentence: str
    evidence: dict[str, float]
    remedy: str


F = TypeVar("F", bound=Finding)


def ranked(findings: Iterable[F]) -> list[F]:
    """Return the findings, the most severe first, else in the order of the rules."""
    return sorted(findings, key=lambda finding: -SEVERITIES.index(finding.severity))


def at_least(findings: Sequence[F], severity: str) -> list[F]:
    """Return the findings that are as severe, or more."""
    return [each for each in findings if SEVERITIES.index(each.severity) >= SEVERITIES.index(severity)]


def verdict(findings: Sequence[Finding], fine: str) -> str:
    """Return the highest severity found, or `fine` where there is nothing but advice."""
    worst = max((SEVERITIES.index(each.severity) for each in findings), default=0)
    return SEVERITIES[worst] if worst else fine


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many errors and warnings there are, as an artifact's metadata has them."""
    return {f"{severity}s": sum(each.severity == severity for each in findings) for severity in ("error", "warning")}


def write(path: Path, findings: Sequence[Finding], rules: Iterable[Rule], fine: str) -> None:
    """Write the verdict, the findings, and which rules were asked, as JSON."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "verdict": verdict(findings, fine),
        "findings": [asdict(finding) for finding in findings],
        "rules": [
            {"id": rule.id, "severity": rule.severity, "looks_at": rule.looks_at, "remedy": rule.remedy}
            for rule in rules
        ],
    }
    path.write_bytes(canonical_json(document))


def say(findings: Iterable[Finding]) -> None:
    """Print each finding, and what to do about it."""
    for finding in findings:
        print(f"  {finding.severity}: {finding.rule}: {finding.sentence}")
        print(f"    {finding.remedy}")


def end_on(fail_on: str, findings: Sequence[Finding]) -> None:
    """Raise `Blocked` for findings at least as severe as `fail_on`: then the report is published, and nothing else.

    So no later step takes what was made for good, and no cache takes the step for done.
    """
    if fail_on != "never" and (blocking := at_least(findings, fail_on)):
        rules = ", ".join(dict.fromkeys(finding.rule for finding in blocking))
        raise Blocked(f"fail_on: {fail_on}, and there is {rules}; the report says more", outputs=["report"])
