"""Write the pages and the picture that come from declarations, or check that they are up to date.

python -m dags.reference [--check]
"""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from components.contract.declaration import Component, Input, Output, Parameters
from components.contract.kubeflow import OTHERS
from dags.airflow_settings import PREFIX, Settings
from dags.cluster import Cluster
from dags.definition import Workflow, bounds_of
from dags.picture import svg
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the pages; with --check, only say which ones are stale, and exit with 1 if any is."""
    pages = {f"components/{task.component.name}/README.md": page(task.component) for task in WORKFLOW.tasks}
    pages |= {"docs/airflow-settings.md": airflow_page(), "docs/workflow.svg": svg(WORKFLOW)}
    pages["docs/presets.md"] = presets_page(WORKFLOW)
    if "--check" not in sys.argv[1:]:
        for name, text in pages.items():
            (ROOT / name).write_text(text, encoding="utf-8")
        return
    there = {name: (ROOT / name).is_file() and (ROOT / name).read_text(encoding="utf-8") for name in pages}
    if stale := [name for name, text in pages.items() if there[name] != text]:
        sys.exit(f"out of date: {', '.join(stale)}; run `make docs`")


def page(component: Component) -> str:
    """Return the page of a component, in Markdown."""
    needed = [item.name for item in component.inputs if not item.optional] + [item.name for item in component.outputs]
    flags = [f"--{name.replace('_', '-')} ./{name}" for name in needed]
    lines = [
        f"<!-- Made by `make docs` from component.py. -->\n# {component.title}\n",
        f"{component.help}\n",
        f"    python -m components.{component.name} {' '.join(flags)}\n",
        "Each input and output is a folder, or an `s3://bucket/prefix`.\n",
    ]
    for title, items in (("input", component.inputs), ("output", component.outputs)):
        if items:
            lines += [f"| {title} | type | |", "|---|---|---|"]
            lines += [f"| `{item.name}` | {item.kind} | {item.help}{_optional(item)} |" for item in items]
            lines.append("")
    return "\n".join(lines + _table("parameter", component.parameters)) + "\n"


def airflow_page() -> str:
    """Return the page of what a deployment of the Airflow DAGs may set, in Markdown."""
    lines = [
        "<!-- Made by `make docs` from dags/airflow_settings.py. -->\n# Settings of the Airflow DAGs\n",
        f"Environment variables: `{PREFIX}` and the name in capitals, such as `{PREFIX}RUNNER=docker`. They",
        "must be the same for the API server, the scheduler, the workers, the DAG processor and the triggerer. An",
        "unknown or wrong one is an import error of the DAGs, which Airflow shows on its first page.\n",
        "A list or an object is written as JSON.\n",
    ]
    lines += [*_table("setting", Settings, leave_out=Cluster.model_fields), ""]
    lines.append("What the steps ask of a cluster, by the runner `kubernetes`; the GPUs also by `docker`:\n")
    return "\n".join(lines + _table("setting", Cluster)) + "\n"


def presets_page(workflow: Workflow) -> str:
    """Return the page of the workflow's presets, in the words of each caller, in Markdown."""
    lines = [
        "<!-- Made by `make docs` from dags/workflow.py. -->\n# Presets\n",
        "Values for parameters of the workflow, under a name. `make run` knows the name, and what is given besides it",
        "counts more; elsewhere the values are given themselves. What a preset reaches is in [results.md](results.md).",
    ]
    for name, values in workflow.presets.items():
        listed = {each: value for each, value in values.items() if each in workflow.form}
        others = {each: value for each, value in values.items() if each not in workflow.form}
        lines += [
            f"\n## {name}\n",
            f'    make run ARGS="--preset {name}"\n',
            "| parameter | value |\n|---|---|",
            *(f"| `{each}` | `{value}` |" for each, value in values.items()),
            f"\nIn Kubeflow's form {_fields(listed)}, and in its field `{OTHERS}`:\n",
            f"    {json.dumps(others)}\n",
            f"Airflow, as what `airflow dags trigger {workflow.name} --conf` takes:\n",
            f"    {json.dumps(dict(values))}",
        ]
    return "\n".join(lines) + "\n"


def _fields(values: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}` is {value}" for name, value in values.items()) or "nothing is changed"


def _table(title: str, parameters: type[Parameters], leave_out: Collection[str] = ()) -> list[str]:
    lines = [f"| {title} | default | | bounds |", "|---|---|---|---|"]
    for name, schema in parameters.model_json_schema()["properties"].items():
        if name in leave_out:
            continue
        default = f"`{schema['default']}`" if schema["default"] != "" else ""
        lines.append(f"| `{name}` | {default} | {schema['description']} | {_choices_or_bounds(schema)} |")
    return lines


def _optional(item: Input | Output) -> str:
    return " (optional)" if isinstance(item, Input) and item.optional else ""


def _choices_or_bounds(schema: dict[str, object]) -> str:
    if choices := schema.get("enum"):
        assert isinstance(choices, list)
        return ", ".join(choices)
    return bounds_of(schema)


if __name__ == "__main__":
    main()
