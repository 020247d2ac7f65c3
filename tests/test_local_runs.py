# mypy: allow-untyped-defs, allow-untyped-calls
"""The page of all runs, as a person sees it: in a browser, on any width, moved, printed, with runs that ended badly."""

import json
import shutil
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from dags.local_runs import Run, keep_picture
from dags.workflow import WORKFLOW
from tests.local import call

LONG = "s3://a-bucket-with-a-long-name/and/a/prefix/that/is/longer/than/a/telephone/is/wide/and/has/no/spaces"


@pytest.fixture(scope="module")
def folder(first, tmp_path_factory):
    """Return a folder of runs of each kind, moved to another place, with the names of the runs, the newest first."""
    made = tmp_path_factory.mktemp("runs") / "made"
    made.mkdir()
    ends: list[dict[str, Any]] = [
        {"state": "finished", "seconds": {"ingest": 1.2, "train": 83.0}, "sentence": "test accuracy 98.52 %, blessed"},
        {"state": "failed", "sentence": "train: <b>batch_size</b>: 4096 images\nand another line", "exit_code": 2},
        {"state": "interrupted", "sentence": "interrupted in train", "exit_code": 130},
        {},
        {},  # only this one may still be at work
    ]
    names: list[str] = []
    whole = min((first[0] / "runs").iterdir())  # what came after it need not have come to its end
    for number, end in enumerate(ends):
        run = Run(WORKFLOW, made, {"epochs": 3, "source": LONG} if number else {}, {})
        for report in whole.glob("*.html"):
            if number != 2:
                shutil.copy(report, run.folder)
                keep_picture(run.folder / report.name)
        run.note(**end)
        names.insert(0, run.folder.name)
    moved = made.rename(made.with_name("moved to a place with spaces & signs"))
    return moved, names


def opened(chrome, folder, width=1000, scheme="light"):
    page = chrome.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto((folder / "index.html").as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [440, 1000, 1600])
def test_it_fits_and_everybody_can_read_it(chrome, folder, width, scheme):
    page = opened(chrome, folder[0], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_it_has_every_run_the_newest_first_with_how_it_ended(chrome, folder):
    page = opened(chrome, folder[0])
    assert page.locator("section").evaluate_all("all => all.map(each => each.id)") == folder[1]
    states = [each.split(" ")[0].rstrip(",") for each in page.locator("h2 small").all_inner_texts()]
    assert states == ["running", "killed", "interrupted", "failed", "finished"]
    last = page.locator("section").last
    assert last.locator("small").inner_text() == "finished after 1 min (ingest 1 s, train 1 min)"
    assert last.locator(".said").inner_text() == "test accuracy 98.52 %, blessed"
    assert last.locator("li").all_inner_texts() == ["the defaults"]
    failed = page.locator("section").nth(3)
    assert failed.locator(".said").inner_text() == "train: <b>batch_size</b>: 4096 images\nand another line"
    assert failed.locator("li").all_inner_texts() == ["epochs 3", f"source {LONG}"]
    page.close()


def test_its_links_open_and_its_pictures_are_shown(chrome, folder):
    page = opened(chrome, folder[0])
    for picture in page.locator("img").all():
        picture.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(each => each.complete && each.naturalWidth > 100)")
    assert page.locator("img").count() == 12
    addresses = page.locator("a").evaluate_all("all => all.map(each => each.href)")
    assert len(addresses) == 16  # of the gate, which had nothing to draw, there is no picture
    for address in addresses:
        page.goto(address)
        assert page.locator("h1").count() == 1
    page.close()


def test_a_run_keeps_its_reports_and_its_summary(first):
    folder, _ = first
    before = {path.name for path in (folder / "runs").iterdir()}
    assert call(folder, "--min-accuracy=0.4").returncode == 0
    (new,) = {path.name for path in (folder / "runs").iterdir()} - before
    kept = folder / "runs" / new
    assert sorted(path.name for path in kept.iterdir()) == sorted(
        [
            "summary.json",
            "gate.html",
            *(f"{name}.{kind}" for name in ("ingest", "export", "evaluate") for kind in ("html", "svg")),
        ]
    )
    summary = json.loads((kept / "summary.json").read_text())
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["state"] == "finished"
    assert summary["parameters"]["min_accuracy"] == 0.4
    assert "learning_rate" not in summary["parameters"]
    assert (folder / "reports").resolve() == kept
    assert f'id="{new}"' in (folder / "index.html").read_text()


def test_what_an_earlier_version_left_becomes_a_run(first, tmp_path):
    old = tmp_path / "run"
    shutil.copytree(first[0] / "reports", old / "reports", ignore=shutil.ignore_patterns("*.svg", "summary.json"))
    figures = json.loads((first[0] / "summary.json").read_text())
    for name in ("state", "sentence", "began", "parameters"):
        figures.pop(name)
    (old / "summary.json").write_text(json.dumps(figures))
    run = Run(WORKFLOW, old, {}, {})
    assert (old / "reports").resolve() == run.folder
    (adopted,) = set((old / "runs").iterdir()) - {run.folder}
    assert (adopted / "evaluate.html").read_text() == (first[0] / "reports/evaluate.html").read_text()
    page = (old / "index.html").read_text()
    assert page.index(f'id="{run.folder.name}"') < page.index(f'id="{adopted.name}"')
    assert page.count("test accuracy") == 1
