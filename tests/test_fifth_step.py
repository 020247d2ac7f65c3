# mypy: allow-untyped-defs, allow-untyped-calls
"""A step more, on this machine: it runs, is cached, has its page and its image."""

import json
import re

import pytest

from components.conftest import DIGITS
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from tests.containers import images
from tests.fifth_step import add_to_a_copy, call, conditional

SMALL = (f"--source={DIGITS}", "--validation-size=64", "--model=convnet", "--batch-size=32", "--epochs=1")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return add_to_a_copy(tmp_path_factory.mktemp("fifth") / "copy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


def test_the_local_caller_runs_it_and_knows_when_it_has_run(copy, folder, tmp_path):
    run = ("python", "-m", "dags.local", f"--folder={folder}", *SMALL)
    said = call(copy, *run, "--owner=Ada")
    assert "── Write the model's card" in said
    place = json.loads((folder / "summary.json").read_text())["artifacts"]["card"]["card"]
    with serve(folder / "store", "tapeline") as settings:
        Store.from_environment(settings).read(f"{place}/card.md", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text().startswith("A model of Ada: ")
    assert call(copy, *run, "--owner=Ada").count("nothing has changed since it ran") == 5
    assert call(copy, *run, "--owner=Bea").count("nothing has changed since it ran") == 4
    assert "whose model it is" in call(copy, *run, "--help").lower()


def test_it_may_be_one_that_runs_only_if_blessed_and_is_never_cached(copy, folder):
    path = copy / "dags/workflow.py"
    before = path.read_text()
    told = 'print(os.environ["TAPELINE_REGISTRY"])'
    work = copy / "components/card/card.py"
    try:
        path.write_text(conditional(before))
        work.write_text(f"{work.read_text()}\n\nimport os\n{told}\n")
        run = ("python", "-m", "dags.local", f"--folder={folder}", *SMALL)
        places = []
        for verdict, threshold in (("rejected", 1), ("blessed", 0.2)):
            said = call(copy, *run, f"--min-accuracy={threshold}")
            summary = json.loads((folder / "summary.json").read_text())
            places.append(summary["artifacts"]["card"])
            assert (summary["verdict"], summary["state"]) == (verdict, "finished")
            if verdict == "rejected":
                why = "the model is rejected"
                assert f"── Write the model's card\nskipped: {why}\n" in said
                assert (summary["skipped"], summary["seconds"]["card"]) == ({"card": why, "handover": why}, None)
                assert places == [{}]
                assert re.search(rf"^card +skipped +{why}\b", said, re.MULTILINE)
                assert f"was skipped: {why}." in (folder / "index.html").read_text()
        assert "── Write the model's card\ns3://tapeline/registry\n" in said
        # By the same model twice, as what it looks at may have changed.
        again = call(copy, *run, "--min-accuracy=0.2", TAPELINE_REGISTRY="s3://tapeline/elsewhere")
        assert "── Write the model's card\ns3://tapeline/elsewhere\n" in again
        assert json.loads((folder / "summary.json").read_text())["artifacts"]["card"] not in places
    finally:
        path.write_text(before)


def test_its_page_its_place_in_the_picture_and_its_image_follow(copy):
    call(copy, "python", "-m", "dags.reference")
    assert "| `owner` | `nobody` | Whose model it is |" in (copy / "components/card/README.md").read_text()
    assert ">card<" in (copy / "docs/workflow.svg").read_text()
    call(copy, "python", "-m", "dags.reference", "--check")
    call(copy, "python", "-m", "helm.reference")
    assert "^(card|" in (copy / "helm/tapeline/values.schema.json").read_text()
    assert "card" in images("step", root=copy)
    assert "step card step card" in call(copy, "images/list").splitlines()
