# mypy: allow-untyped-defs, allow-untyped-calls
"""What the pages say is so: the tape is the tape, links lead somewhere, and each example works as it stands."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("components/*/README.md"),
        *ROOT.glob("helm/*/README.md"),
    ]
)
OWN = ROOT / "docs/write-your-own.md"
FILE = re.compile(r"^`([\w/]+\.py)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^    (python .*)$", re.MULTILINE)
# Runs the lines of standard input one after the other, as if each were a command: TensorFlow takes seconds to start.
RUNNER = """
import contextlib, importlib, io, json, runpy, shlex, sys
from components.contract import command
from components.contract.errors import StepError

for line in sys.stdin:
    words, said, code = shlex.split(line)[1:], io.StringIO(), 0
    with contextlib.redirect_stdout(said):
        if words[0] == "-m":
            component = importlib.import_module(words[1] + ".component").COMPONENT
            try:
                command._run(component, words[2:])
            except StepError as error:
                code = error.exit_code
                print(f"{component.name}: {error}")
        else:
            runpy.run_path(words[0], run_name="__main__")
    print(json.dumps([line.strip(), code, said.getvalue()]), flush=True)
"""
# A short training of a model that a command looked at, and the judgement of it.
TRAINED = (
    "python -m components.train {0} --epochs 1 --batch-size 32 --trained-model {1}/model --gradients {1}/gradients "
    "--metrics {1}/metrics"
)
JUDGED = (
    "python -m components.evaluate --dataset {0} --trained-model {1}/model --metrics {1}/verdict "
    "--classification {1}/classification --report {1}/report"
)
# The README's snippets are not whole: this is what they leave out.
README_IMPORTS = """
import keras
import tensorflow as tf
from keras import layers
from components.contract.declaration import parameter

"""
README_LOOK = "python -m components.train --check --dataset ./dataset --model readme --loss readme --transform readme"


def blocks():
    """Return the README's blocks of Python: the tape, a model, a loss, a transformation."""
    return re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def files():
    """Return {path: text} of the files of the page, and of the README's snippets."""
    _, model, loss, transform = (README_IMPORTS + block for block in blocks())
    snippets = {"models": model, "train/losses": loss, "train/transforms": transform}
    page = FILE.findall(OWN.read_text(encoding="utf-8"))
    return dict(page) | {f"components/{folder}/readme.py": text for folder, text in snippets.items()}


def commands():
    """Return the page's commands; where one looks at a model alone, the model is trained and judged as well."""
    found = []
    for number, line in enumerate(COMMAND.findall(OWN.read_text(encoding="utf-8"))):
        found.append(line)
        if alone := re.search(r"--check (--dataset (\S+) --model (?!nine)\S+)$", line):
            folder = f"made/{number}"
            found += [TRAINED.format(alone[1], folder), JUDGED.format(alone[2], folder)]
    return [*found, README_LOOK]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return {command: (exit code, what it said)} of all commands, run in a copy of the tree with the page's files."""
    copy = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "components", copy / "components", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files().items():
        assert not (copy / name).exists(), name
        (copy / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input="\n".join(commands()),
        check=False,
        capture_output=True,
        text=True,
        cwd=copy,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(found) == len(commands()), done.stdout[-2000:] + done.stderr[-3000:]
    return {line: (code, said) for line, code, said in found}


def test_each_example_has_a_file_and_each_file_a_command():
    assert OWN.read_text(encoding="utf-8").count("```python") == len(FILE.findall(OWN.read_text(encoding="utf-8")))
    for name in files():
        assert any(re.search(rf"\b{Path(name).stem}\b", line) for line in commands()), name


@pytest.mark.parametrize("line", dict.fromkeys(commands()))
def test_the_examples_of_ones_own_work_as_they_stand(results, line):
    code, said = results[line]
    if "--model nine" in line:
        assert code == 2
        assert f"    {said}" in OWN.read_text(encoding="utf-8")
    else:
        assert code == 0, said
        assert "it fits" in said or "--check" not in line


def test_the_tape_in_the_readme_is_the_tape():
    assert blocks()[0] in (ROOT / "components/train/steps/plain.py").read_text(encoding="utf-8")


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 130
    assert sum(line.startswith("|") for line in lines) <= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def anchors(page):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
