"""Write the README page of each component from its declaration, or check that it is up to date.

python -m dags.reference [--check]
"""

import sys
from pathlib import Path

from components.step.declaration import Component, Input, Output
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the pages; with --check, only say which ones are stale, and exit with 1 if any is."""
    stale = []
    for task in WORKFLOW:
        path = ROOT / "components" / task.component.name / "README.md"
        text = page(task.component)
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.relative_to(ROOT).as_posix())
    if stale:
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
    lines += ["| parameter | default | | bounds |", "|---|---|---|---|"]
    for name, schema in component.parameters.model_json_schema()["properties"].items():
        default = f"`{schema['default']}`" if schema["default"] != "" else ""
        lines.append(f"| `{name}` | {default} | {schema['description']} | {_bounds(schema)} |")
    return "\n".join(lines) + "\n"


def _optional(item: Input | Output) -> str:
    return " (optional)" if isinstance(item, Input) and item.optional else ""


def _bounds(schema: dict[str, object]) -> str:
    if choices := schema.get("enum"):
        assert isinstance(choices, list)
        return ", ".join(choices)
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ", ".join(f"{sign} {schema[name]}" for name, sign in signs.items() if name in schema)


if __name__ == "__main__":
    main()
