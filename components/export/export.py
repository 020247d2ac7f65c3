"""The work of export: from the record to what other tools read, and a diagnosis."""

import shutil
from pathlib import Path
from typing import Any

from components.artifacts import findings as found
from components.artifacts.record import noise
from components.artifacts.record.reader import read
from components.export.checks import RULES
from components.export.component import ExportParameters
from components.export.diagnosis import HEALTHY, diagnose
from components.export.events import write_events
from components.export.report import write_report
from components.export.tables import write_parquet


def export(
    parameters: ExportParameters, *, gradients: Path, gradient_tables: Path, report: Path
) -> dict[str, dict[str, Any]]:
    """Write the tables, snapshots, events and diagnosis to the folder `gradient_tables`, and the page to `report`.

    Raises `Blocked` for findings at least as severe as `fail_on`: then the report is published, and nothing else, so
    that no later step takes the tables for good and no cache takes the step for done.
    """
    record = read(gradients)
    scale = noise.measure(record)
    findings = diagnose(record, RULES)
    write_parquet(record, scale, gradient_tables)
    write_events(record, gradient_tables)
    found.write(gradient_tables / "diagnosis.json", findings, RULES, HEALTHY)
    snapshots = record.snapshots() if parameters.snapshots else []
    if snapshots:
        (gradient_tables / "snapshots").mkdir()
    for path in snapshots:
        shutil.copyfile(path, gradient_tables / "snapshots" / path.name)
    write_report(report, record, scale, findings, parameters.fail_on)
    print(
        f"{len(record.steps):,} steps, {len(record.variables)} variables, {len(record.stats_steps):,} with statistics, "
        f"{len(snapshots)} snapshots: {found.verdict(findings, HEALTHY)}"
    )
    found.say(findings)
    found.end_on(parameters.fail_on, findings)
    return {
        "gradient_tables": {
            "steps": len(record.steps),
            "snapshots": len(snapshots),
            "level": record.level,
            "diagnosis": found.verdict(findings, HEALTHY),
            **found.counts(findings),
        }
    }
