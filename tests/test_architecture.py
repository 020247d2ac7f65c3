# mypy: allow-untyped-defs, allow-untyped-calls
"""The arrows of docs/architecture.md point the way that it says: who imports whom, and who knows a step by name."""

import ast
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dags.definition import SHARED
from dags.picture import svg
from dags.workflow import WORKFLOW

ROOT = Path(__file__).parent.parent
STEPS = tuple(task.name for task in WORKFLOW.tasks)
TOOLS = ("compare", "lineage", "study")  # they read what the steps have made
OWN = {"notice.py": {"verdict"}}  # a name of the JSON that is posted, whatever the workflow calls it
# What the code of a folder may import of components/, besides itself.
MAY = {"contract": (), "models": ("contract",), "artifacts": ("contract", "models")}
MAY |= dict.fromkeys((*STEPS, *TOOLS), SHARED)


def sources(folder):
    """Return the modules of a folder, without tests."""
    found = sorted((ROOT / folder).rglob("*.py"))
    return [path for path in found if not path.name.startswith("test_") and path.name != "conftest.py"]


def imported(path):
    """Yield every module that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path  # by their whole names, so that this test sees them
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("folder", MAY)
def test_code_imports_only_what_is_below_it(folder):
    for path in sources(f"components/{folder}"):
        name = path.relative_to(ROOT).as_posix()
        for module in imported(path):
            top, _, rest = module.partition(".")
            assert top not in ("dags", "helm", "tests", "benchmarks", "airflow", "kfp"), f"{name} imports {module}"
            other = rest.split(".")[0]
            if top == "components" and other != folder:
                assert other in MAY[folder], f"{name} imports {module}"


def test_who_runs_the_workflow_imports_declarations_and_the_contract_alone():
    for path in sources("dags"):
        for module in imported(path):
            if module.startswith("components."):
                room, part = module.split(".")[1:3]
                plans = room == "study" and "study" in path.stem
                named = (path.name, part) == ("workflow.py", "component")
                assert room == "contract" or plans or named, f"{path}: {module}"


def test_only_the_workflow_names_its_steps_its_verdicts_and_its_assets():
    gate = WORKFLOW.gate
    words = {*STEPS, gate.output, gate.verdict, gate.blessed, gate.rejected, gate.threshold}
    words |= {asset.name for asset in (*WORKFLOW.assets, gate.blesses)}
    for path in sources("dags"):
        if path.name != "workflow.py":
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            said = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
            assert not (said - OWN.get(path.name, set())) & words, path


def test_the_picture_has_every_step_and_every_connection():
    drawn = ET.fromstring(svg(WORKFLOW))  # noqa: S314 - made here
    texts = [str(each.text) for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    artifacts = [output for task in WORKFLOW.tasks for _, output in task.inputs.values()]
    assert sorted(texts) == sorted([*STEPS, *(task.component.title for task in WORKFLOW.tasks), *artifacts])
    boxes = [each for each in drawn.iter("{http://www.w3.org/2000/svg}rect") if each.get("class") == "step"]
    assert len({(box.get("x"), box.get("y")) for box in boxes}) == len(STEPS)


def test_the_work_of_a_component_is_in_its_own_folder():
    for task in WORKFLOW.tasks:
        assert task.component.work.startswith(f"components.{task.name}.")


def test_every_folder_of_components_is_a_step_a_tool_or_shared():
    folders = {path.parent.name for path in ROOT.glob("components/*/__init__.py")}
    assert folders == {*STEPS, *TOOLS, *SHARED}
