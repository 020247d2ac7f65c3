"""Write the table of the known data sets into docs/data.md, or check that it is up to date.

python -m components.ingest.known.table [--check]
"""

import sys
from pathlib import Path

from components.ingest.known import KNOWN
from components.ingest.known.declaration import Known

PAGE = Path(__file__).parents[3] / "docs/data.md"
BEGIN, END = (
    f"<!-- known sets: {edge}, made by `make docs` from components/ingest/known -->" for edge in ("begin", "end")
)


def main() -> None:
    """Write the table between its marks; with --check, only say that it is stale, and exit with 1 if it is."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    made = f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(made, encoding="utf-8")
    elif made != page:
        sys.exit("out of date: docs/data.md; run `make docs`")


def table() -> str:
    """Return a row for each data set, and a line for those that are a part of another one."""
    columns = ("name", "", "training + test images", "size", "classes", "licence", "to cite")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    parts: dict[str, list[str]] = {}
    for known in KNOWN.values():
        if whole := _whole(known):
            parts.setdefault(whole, []).append(f"`{known.name}`")
            continue
        numbers = " + ".join(f"{number:,}" for number in known.splits.values())
        lines.append(
            f"| `{known.name}` | [{known.title}]({known.homepage}) | {numbers} | {'×'.join(map(str, known.size))} "
            f"| {len(known.class_names)} | {known.licence} | {known.citation} |"
        )
    lines.append("")
    lines += [f"`{whole}` with a part of its test images: {', '.join(names)}.\n" for whole, names in parts.items()]
    return "\n".join(lines).rstrip()


def _whole(known: Known) -> str:
    """Return the name of the data set that a known one is a part of, if it is."""
    found = (each for each in KNOWN.values() if known.name.startswith(f"{each.name}-"))
    return next((each.name for each in found if each.downloads == known.downloads), "")


if __name__ == "__main__":
    main()
