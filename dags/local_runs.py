"""What `make run` keeps of each run: a folder with its summary and reports, and the page that shows them all.

    run/runs/2026-11-25_18-04-05/   summary.json, the reports, and the first picture of each
    run/reports                     a link to the last run's folder
    run/summary.json                the summary of the last run that came to its end
    run/index.html                  all runs, the newest first

Nothing is removed here; whoever removes a run's folder finds it gone from the page after the next run. A folder is only
written by who holds the lock of its store, so two runs never write the same page.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2

from components.contract import outside
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.contract.terminal import duration
from dags.definition import Workflow

# A summary may have been changed since, or be of another version; what is not of these kinds is not shown.
_KINDS = {
    "state": str,
    "sentence": str,
    "began": str,
    "seconds": dict,
    "parameters": dict,
    "skipped": dict,
    "reasons": str,
}
STYLE = Path(__file__).parent.parent / "components/artifacts/page.css"
# A picture by itself has no page to take its ink from.
INK = "<style>svg{color:#1c2733}@media(prefers-color-scheme:dark){svg{color:#e4e9ee}}</style>"

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


class Run:
    """A run that has begun: `note` what becomes of it, and put its reports into its `folder`."""

    def __init__(self, workflow: Workflow, folder: Path, changed: Mapping[str, Any], summary: dict[str, Any]) -> None:
        """Make the folder of a run below `folder`; `changed` are the parameters that are not the defaults.

        What is noted goes into `summary` as well.
        """
        self._workflow, self._kept = workflow, folder
        _adopt(folder, workflow)
        now = datetime.now().astimezone()
        self.folder = _new(folder / "runs", now)
        self.summary = summary
        _point(folder / "reports", self.folder)
        self.note(state="running", began=now.isoformat(timespec="seconds"), parameters=dict(changed))

    def note(self, **facts: Any) -> None:
        """Add facts to the summary, and write it and the page."""
        self.summary.update(facts)
        text = canonical_json(self.summary)
        _write(self.folder / "summary.json", text)
        if self.summary["state"] == "finished":
            _write(self._kept / "summary.json", text)
        _write(self._kept / "index.html", page(self._workflow, self._kept, now=self.folder).encode())


def keep_picture(report: Path) -> None:
    """Put the first picture of a report beside it, if it has one."""
    if found := re.search(r"<svg\b([^>]*)>(.*?)</svg>", report.read_text(encoding="utf-8"), re.DOTALL):
        attributes, drawn = found.groups()
        space = "" if "xmlns=" in attributes else ' xmlns="http://www.w3.org/2000/svg"'
        report.with_suffix(".svg").write_text(f"<svg{space}{attributes}>{INK}{drawn}</svg>", encoding="utf-8")


def page(workflow: Workflow, folder: Path, now: Path) -> str:
    """Return the page of all runs in `folder`, of which only the one in the folder `now` can be at work."""
    titles = {task.name: task.component.title for task in workflow.tasks}
    runs = [_shown(path, titles, going=path == now) for path in (folder / "runs").iterdir() if path.is_dir()]
    runs.sort(key=lambda run: (run["began"], run["name"]), reverse=True)
    template = _TEMPLATES.get_template("local_runs.html.jinja")
    return template.render(title=workflow.title, runs=runs, style=STYLE.read_text(encoding="utf-8"))


def _shown(folder: Path, titles: Mapping[str, str], *, going: bool) -> dict[str, Any]:
    """Return what the page shows of a run."""
    summary = _summary(folder)
    state, sentence = summary.get("state", "finished"), summary.get("sentence", "")
    if state == "running" and not going:
        state, sentence = "killed", "It ended without a word: it was killed, or the machine stopped."
    order = [*titles, *sorted(path.stem for path in folder.glob("*.html") if path.stem not in titles)]
    took = summary.get("seconds", {})
    # None where nothing was to be done, and none of what is no number of seconds.
    seconds = {name: took[name] for name in order if isinstance(took.get(name), int | float) and 0 < took[name] < 1e9}
    reports = [
        {"name": name, "title": titles.get(name, name), "picture": (folder / f"{name}.svg").is_file()}
        for name in order
        if (folder / f"{name}.html").is_file()
    ]
    return {
        "name": folder.name,
        "began": _began(summary, folder),
        "state": state,
        "sentence": sentence,
        "took": duration(sum(seconds.values())),
        "seconds": {name: duration(each) for name, each in seconds.items()},
        "reasons": summary.get("reasons", ""),
        "skipped": {titles.get(name, name): why for name, why in summary.get("skipped", {}).items()},
        "parameters": summary.get("parameters"),  # None where an earlier version did not say
        "reports": reports,
    }


def _summary(folder: Path) -> dict[str, Any]:
    try:
        found = outside.document(outside.content(folder / "summary.json"), "summary.json")
    except (OSError, BadInput):
        return {}
    found = found if isinstance(found, dict) else {}
    return {name: value for name, value in found.items() if isinstance(value, _KINDS.get(name, object))}


def _began(summary: Mapping[str, Any], folder: Path) -> datetime:
    try:
        return datetime.fromisoformat(str(summary.get("began"))).astimezone()
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(folder.stat().st_mtime).astimezone()


def _new(runs: Path, now: datetime) -> Path:
    """Make a folder of its own for a run that begins now."""
    runs.mkdir(exist_ok=True)
    for number in range(1, 1000):
        path = runs / f"{now:%Y-%m-%d_%H-%M-%S}{f'-{number}' if number > 1 else ''}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise RuntimeError(f"{path} and all before it are there")


def _adopt(folder: Path, workflow: Workflow) -> None:
    """Make a run of what an earlier version left, which kept the reports of the last run in a folder."""
    reports = folder / "reports"
    if not reports.is_dir() or reports.is_symlink():
        return
    then = datetime.fromtimestamp(reports.stat().st_mtime).astimezone()
    kept = _new(folder / "runs", then)
    reports.rename(kept)
    summary = {"state": "finished", "began": then.isoformat(timespec="seconds"), "sentence": ""} | _summary(folder)
    with contextlib.suppress(KeyError):
        summary["sentence"] = workflow.gate.sentence(summary)
    _write(kept / "summary.json", canonical_json(summary))
    for report in kept.glob("*.html"):
        keep_picture(report)


def _point(link: Path, target: Path) -> None:
    """Make `link` lead to `target` at once; relative, so that the folder around both can be moved."""
    made = link.with_name(f".{link.name}")
    made.unlink(missing_ok=True)
    made.symlink_to(os.path.relpath(target, link.parent))
    made.replace(link)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(data)
    partial.replace(path)
