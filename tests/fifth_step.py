"""A copy of this tree with a step more: a folder, its lines in dags/workflow.py, and its group of packages.

Each environment's tests show that everything else knows the step: nothing but what stands here is added or changed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("components", "dags", "docs", "helm", "images", "pyproject.toml", "uv.lock")

FOLDER = {
    "__init__.py": '"""A page about the model, for those who use it."""\n',
    "__main__.py": '''\
"""python -m components.card."""

from components.card.component import COMPONENT
from components.contract.command import main

main(COMPONENT)
''',
    "component.py": '''\
"""What the card step is."""

from components.contract.declaration import Component, Input, Output, Parameters, parameter


class CardParameters(Parameters):
    """What the card says."""

    owner: str = parameter("nobody", "Whose model it is")


COMPONENT = Component(
    name="card",
    title="Write the model's card",
    help="Say in a few lines what the model is and how good.",
    work="components.card.card:card",
    parameters=CardParameters,
    inputs=(
        Input("trained_model", "Model", "The model that train made"),
        Input("metrics", "Metrics", "The figures that evaluate found"),
    ),
    outputs=(Output("card", "Artifact", "The card, as card.md"),),
)
''',
    "card.py": '''\
"""The work of card."""

from pathlib import Path

from components.card.component import CardParameters
from components.contract import artifact


def card(parameters: CardParameters, *, trained_model: Path, metrics: Path, card: Path) -> dict[str, dict[str, int]]:
    """Write card.md."""
    size = sum(file.bytes for file in artifact.read(trained_model).files.values())
    accuracy = artifact.read(metrics).metadata["accuracy"]
    (card / "card.md").write_text(f"A model of {parameters.owner}: {size} bytes, accuracy {accuracy:.4f}\\n")
    return {"card": {"bytes": size}}
''',
}
IMPORT = "from components.card.component import COMPONENT as CARD\n"
TASK = """\
        Task(
            CARD,
            Resources("100m", "1", "256Mi", "1Gi", timeout_seconds=600),
            {"trained_model": (TRAIN, "trained_model"), "metrics": (EVALUATE, "metrics")},
        ),
"""


def add_to_a_copy(target: Path) -> Path:
    """Copy what a checkout has to `target`, and add the step; return the copy."""
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "testdata"))
        else:
            target.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    folder = target / "components/card"
    folder.mkdir()
    for name, text in FOLDER.items():
        (folder / name).write_text(text, encoding="utf-8")
    _insert(target / "dags/workflow.py", IMPORT, before="from components.evaluate.component")
    _insert(target / "dags/workflow.py", TASK, before="    ),\n    gate=")
    _insert(target / "pyproject.toml", "card = []\n", before="ingest = [")
    return target


def conditional(workflow: str) -> str:
    """Return the text of dags/workflow.py with a step that runs only where the gate has blessed, and always anew."""
    inputs = '"metrics": (EVALUATE, "metrics")},\n'
    assert workflow.count(inputs) == 1
    return workflow.replace(inputs, f"{inputs}            fresh=True,\n            if_blessed=True,\n")


def call(copy: Path, *command: str, **environment: str) -> str:
    """Run a command in the copy, `python` being the present one; return what it printed."""
    words = [sys.executable if word == "python" else word for word in command]
    done = subprocess.run(
        words, check=False, capture_output=True, text=True, cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)} | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _insert(path: Path, text: str, before: str) -> None:
    old = path.read_text(encoding="utf-8")
    assert old.count(before) == 1, f"{before!r} is not once in {path}"
    path.write_text(old.replace(before, text + before), encoding="utf-8")
