# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, on this machine: it runs, is cached, has its page and its image."""

import json

import pytest

from components.conftest import DIGITS
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from tests.containers import images
from tests.fifth_step import add_to_a_copy, call

SMALL = (f"--source={DIGITS}", "--validation-size=64", "--model=convnet", "--batch-size=32", "--epochs=1")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return add_to_a_copy(tmp_path_factory.mktemp("fifth") / "copy")


def test_the_local_caller_runs_it_and_knows_when_it_has_run(copy, tmp_path):
    run = ("python", "-m", "dags.local", f"--folder={tmp_path}", *SMALL)
    said = call(copy, *run, "--owner=Ada")
    assert "── Write the model's card" in said
    place = json.loads((tmp_path / "summary.json").read_text())["artifacts"]["card"]["card"]
    with serve(tmp_path / "store", "tapeline") as settings:
        Store.from_environment(settings).read(f"{place}/card.md", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text().startswith("A model of Ada: ")
    assert call(copy, *run, "--owner=Ada").count("nothing has changed since it ran") == 5
    assert call(copy, *run, "--owner=Bea").count("nothing has changed since it ran") == 4
    assert "whose model it is" in call(copy, *run, "--help").lower()


def test_its_page_its_place_in_the_picture_and_its_image_follow(copy):
    call(copy, "python", "-m", "dags.reference")
    assert "| `owner` | `nobody` | Whose model it is |" in (copy / "components/card/README.md").read_text()
    assert ">card<" in (copy / "docs/workflow.svg").read_text()
    call(copy, "python", "-m", "dags.reference", "--check")
    call(copy, "python", "-m", "helm.reference")
    assert "^(card|" in (copy / "helm/tapeline/values.schema.json").read_text()
    assert "card" in images("step", root=copy)
    assert "step card step card" in call(copy, "images/list").splitlines()
