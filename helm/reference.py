"""Write values.yaml and the README of the chart from its schema, or check that they are up to date.

What it says of a GPU comes from dags/cluster.py, and the names of the images from images/list.

python -m helm.reference [--check]
"""

import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dags.cluster import Cluster

CHART = Path(__file__).parent / "tapeline"
# The chart's names, among the values `gpu`, for words of dags/cluster.py.
WORDS = {
    "count": "gpu_count",
    "resource": "gpu_resource",
    "nodeSelector": "node_selector",
    "tolerations": "tolerations",
    "cpu": "cpu",
    "memory": "memory",
}
# An image that is elsewhere: its tag or its digest must be said.
_PART, _TAG = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*", r"\w[\w.-]{0,127}"
IMAGE = rf"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d{{1,5}})?(/{_PART})*(:{_TAG}|(:{_TAG})?@sha256:[0-9a-f]{{64}})$"
VERSION = re.compile(r'^(?:version = |appVersion: )"(.+)"$', re.MULTILINE)


def main() -> None:
    """Write the files; with --check, only say which ones are stale, and exit with 1 if any is."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    describe(schema)
    text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    made = {"values.schema.json": text, "values.yaml": values(schema), "README.md": readme(schema)}
    files = (CHART / "Chart.yaml", CHART.parents[1] / "pyproject.toml")
    chart, project = (VERSION.findall(path.read_text(encoding="utf-8")) for path in files)
    if chart != project:
        sys.exit(f"helm/tapeline/Chart.yaml: appVersion is {chart[0]}, but pyproject.toml is at version {project[0]}")
    stale = []
    for name, text in made.items():
        path = CHART / name
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(f"helm/tapeline/{name}")
    if stale:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`")


def describe(schema: dict[str, Any]) -> None:
    """Put the help, the default and the bounds of what is asked of a cluster into the schema."""
    declared = Cluster.model_json_schema()["properties"]
    said = ("description", "default", "minimum", "maximum", "minLength")
    for value, name in WORDS.items():
        words = {key: declared[name][key] for key in said if key in declared[name]}
        schema["properties"]["gpu"]["properties"][value] |= words
    names = "|".join(images())
    schema["properties"]["images"]["patternProperties"] = {f"^({names})$": {"type": "string", "pattern": IMAGE}}


def images() -> list[str]:
    """Return the names of the images that the chart uses or passes on; Airflow's is in the values of its own chart."""
    command = CHART.parents[1] / "images/list"
    lines = subprocess.run([command], check=True, capture_output=True, text=True).stdout.splitlines()
    listed = [line.split()[:2] for line in lines]
    return [name for use, name in listed if use != "gpu" and name != "airflow"]


def values(schema: dict[str, Any]) -> str:
    """Return values.yaml: each default under its description."""
    lines = ["# Made by `make docs` from values.schema.json.\n"]
    for path, value in _walk(schema):
        indent = "  " * (len(path) - 1)
        lines += textwrap.wrap(value["description"], 116, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
        default = f" {json.dumps(value['default'])}" if "default" in value else ""
        lines.append(f"{indent}{path[-1]}:{default}")
    return "\n".join(lines) + "\n"


def readme(schema: dict[str, Any]) -> str:
    """Return the page of the chart, in Markdown."""
    lines = [
        "<!-- Made by `make docs` from values.schema.json. -->",
        "# The chart tapeline",
        "",
        "What the workflow needs in a cluster: its store, its secrets and permissions, and its pipeline in Kubeflow.",
        "How to install it: [docs/cluster.md](../../docs/cluster.md). Every pod passes the Pod Security profile",
        "*restricted*.",
        "",
        "| value | default | |",
        "|---|---|---|",
    ]
    for path, value in _walk(schema):
        if "default" in value:
            default = json.dumps(value["default"]) if value["default"] != "" else ""
            choices = f" ({', '.join(value['enum'])})" if "enum" in value and len(path) > 1 else ""
            text = value["description"] + choices
            lines.append(f"| `{'.'.join(path)}` | {default and f'`{default}`'} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _walk(schema: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield each value with its path, an object before what is in it."""
    for name, value in schema["properties"].items():
        yield (*path, name), value
        if "default" not in value:
            yield from _walk(value, (*path, name))


if __name__ == "__main__":
    main()
