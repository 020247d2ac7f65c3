"""The work of export: from the record to what other tools read."""

import shutil
from pathlib import Path
from typing import Any

from components.export.component import ExportParameters
from components.export.record import read
from components.export.report import write_report
from components.export.tables import write_events, write_parquet


def export(
    parameters: ExportParameters, *, gradients: Path, gradient_tables: Path, report: Path
) -> dict[str, dict[str, Any]]:
    """Write the tables, snapshots and events to the folder `gradient_tables`, and the page to `report`."""
    record = read(gradients)
    write_parquet(record, gradient_tables)
    write_events(record, gradient_tables)
    snapshots = record.snapshots() if parameters.snapshots else []
    if snapshots:
        (gradient_tables / "snapshots").mkdir()
    for path in snapshots:
        shutil.copyfile(path, gradient_tables / "snapshots" / path.name)
    write_report(report, record)
    print(f"{len(record.steps):,} steps, {len(record.variables)} variables, {len(snapshots)} snapshots")
    return {"gradient_tables": {"steps": len(record.steps), "snapshots": len(snapshots), "level": record.level}}
