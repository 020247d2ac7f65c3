# mypy: allow-untyped-defs, allow-untyped-calls
"""Notices, to receivers that take them, refuse them, do not answer, or are none."""

import json
import shutil
import socket

import pytest

from dags import notice
from dags.notice import Notice, changed, judged, post
from dags.workflow import WORKFLOW
from tests.local import call
from tests.receiver import receiver

FIGURES = {"verdict": "blessed", "accuracy": 0.98, "version": 3, "reasons": "why", "whole": True}
NOTICE = Notice(
    "tapeline", "run 1", "local", "finished", "blessed: why", **judged(WORKFLOW, FIGURES),
    parameters=changed(WORKFLOW, {"epochs": 3, "seed": "0", "look_at": None, "min_accuracy": 0.5}), link="file:///run",
)  # fmt: skip
POSTED = {
    "workflow": "tapeline",
    "run": "run 1",
    "caller": "local",
    "state": "finished",
    "sentence": "blessed: why",
    "verdict": "blessed",
    "metrics": {"accuracy": 0.98, "version": 3},
    "parameters": {"epochs": 3, "min_accuracy": 0.5},
    "link": "file:///run",
}
SECRET = "s3cr3t"  # noqa: S105


def test_it_is_one_document_with_these_fields_and_no_others():
    with receiver() as there:
        assert post(NOTICE, {notice.URL: f"{there.address}/hook?key=1", notice.TOKEN: SECRET}) == ""
        assert post(NOTICE, {notice.URL: f"{there.address}/hook\n"}) == ""  # as in a file
    (first, headers, document), (second, others, again) = there.came
    assert (first, second, document, again) == ("/hook?key=1", "/hook", POSTED, POSTED)
    assert headers["Authorization"] == f"Bearer {SECRET}"
    assert headers["Content-Type"] == others["Content-Type"] == "application/json"
    assert "Authorization" not in others


def test_without_an_address_nothing_is_posted():
    assert post(NOTICE, {notice.TOKEN: SECRET}) == ""


@pytest.fixture(scope="module")
def closed():
    """Return a port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def test_a_receiver_that_does_not_take_it_is_a_sentence_without_the_address(monkeypatch, closed):
    begins = "the notice of this run was not taken: "
    with receiver(500) as broken, receiver() as innocent, receiver(307, innocent.address) as elsewhere:
        for url, said in (
            (f"{broken.address}/{SECRET}", "the receiver answered 500"),
            (f"{elsewhere.address}/{SECRET}", "the receiver answered 307"),
            (f"http://127.0.0.1:{closed}/{SECRET}", "Connection refused"),
            (f"file:///{SECRET}", f"{notice.URL} is no address that begins with http:// or https://"),
            (f"http://{SECRET}:port/", f"{notice.URL} or {notice.TOKEN} cannot be sent as they are, or what answered"),
            (f"http://127.0.0.1:{closed}/{SECRET} x", f"{notice.URL} or {notice.TOKEN} cannot be sent as they are"),
            (f"http://{SECRET}.invalid/", ""),
        ):
            warning = post(NOTICE, {notice.URL: url, notice.TOKEN: "other"})
            assert warning.startswith(begins + said), url
            assert SECRET not in warning
        warning = post(NOTICE, {notice.URL: broken.address, notice.TOKEN: f"{SECRET}\nX: y"})
        assert (warning.startswith(begins), SECRET in warning) == (True, False)
    assert innocent.came == []  # a token is for the one who was named
    monkeypatch.setattr(notice, "PATIENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        assert post(NOTICE, {notice.URL: url}) == f"{begins}no answer within 0.2 seconds"


@pytest.fixture
def folder(first, tmp_path):
    """Return a copy of the folder of a run; others look at the last one there."""
    return shutil.copytree(first[0], tmp_path / "run", symlinks=True)


def test_a_local_run_posts_how_it_ended(folder):
    with receiver() as there:
        good = call(folder, "--min-accuracy=0.01", TAPELINE_NOTICE_URL=there.address)
        bad = call(folder, "--batch-size=4096", TAPELINE_NOTICE_URL=there.address)
    ((_, _, finished), (_, _, failed)) = there.came
    summary = json.loads((folder / "summary.json").read_text())
    names = [path.name for path in (folder / "runs").iterdir()]
    assert (good.returncode, good.stderr, finished["state"]) == (0, "", "finished")
    assert finished["sentence"] == good.stdout.splitlines()[-1] == summary["sentence"]
    assert (finished["verdict"], finished["metrics"]["accuracy"]) == (summary["verdict"], summary["accuracy"])
    assert finished["parameters"]["min_accuracy"] == 0.01
    assert finished["link"] == (folder / "runs" / finished["run"]).as_uri()
    assert bad.returncode == 2
    failed["parameters"]["min_accuracy"] = 0.0  # the default, so it was not there
    assert failed == {
        "workflow": "tapeline", "run": failed["run"], "caller": "local", "state": "failed", "verdict": "",
        "sentence": "train: batch_size: 4096 images a step, but there are only 448 to train on", "metrics": {},
        "parameters": {**finished["parameters"], "batch_size": 4096, "min_accuracy": 0.0}, "link": failed["link"],
    }  # fmt: skip
    assert {finished["run"], failed["run"]} <= set(names)


def test_a_receiver_that_fails_changes_nothing_of_a_local_run(folder, closed):
    quiet = call(folder, "--quiet", TAPELINE_NOTICE_URL=f"http://127.0.0.1:{closed}/{SECRET}")
    assert quiet.returncode == 0
    assert quiet.stderr == "run: warning: the notice of this run was not taken: Connection refused\n"
