# mypy: allow-untyped-defs, allow-untyped-calls
"""What a person sees and clicks in a whole Airflow, in a real browser: `make test-airflow`.

A picture of each page is kept, in the folder that TAPELINE_SCREENSHOTS names or in run/screenshots/airflow.
"""

import os
import re
from pathlib import Path

import httpx
import jwt
import pytest
from playwright.sync_api import expect

from dags.airflow_local import ROOT, USER
from dags.airflow_settings import dag_ids
from dags.workflow import WORKFLOW
from tests.airflow.whole import STEPS
from tests.browser import browser, chromium

PICTURES = Path(os.environ.get("TAPELINE_SCREENSHOTS", ROOT / "run/screenshots")) / "airflow"
INGEST, TRAIN, _EXPORT, EVALUATE, *_OTHERS = (task.component.title for task in WORKFLOW.tasks)
LONG = 240_000  # ms, for a run to end
expect.set_options(60_000)

pytestmark = pytest.mark.skipif(not chromium(), reason="there is no Chromium: apt-get install chromium")


class Person:
    """Somebody with a browser who has logged in."""

    def __init__(self, page, airflow):
        self.page, self.address = page, airflow.address
        page.set_default_timeout(60_000)
        page.goto(self.address)
        page.get_by_label("Username").fill(USER)
        page.get_by_label("Password").fill(airflow.password)
        self.see("login")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("link", name="Dags", exact=True)).to_be_visible()

    def go(self, *parts):
        self.page.goto("/".join((self.address, *parts)))

    def see(self, name):
        """Keep a picture of the page as it is."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=PICTURES / f"{name}.png")

    def form(self, dag):
        """Open the form of a DAG; return the dialog and the button that starts the run."""
        self.go("dags", dag)
        self.page.get_by_role("button", name="Trigger").click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog.get_by_role("button", name="Judge on the test set")).to_be_visible()
        return dialog, dialog.get_by_role("button", name="Trigger", exact=True)

    def start(self, button):
        """Press the button, and return the id of the run whose page comes."""
        button.click()
        self.page.wait_for_url(re.compile(r"/runs/[^/]+$"))
        return self.page.url.rpartition("/")[2]


@pytest.fixture(scope="module")
def person(runs, scheduled):  # noqa: ARG001 - a run at a time: the scheduled one first
    with browser() as started:
        yield Person(started.new_page(viewport={"width": 1400, "height": 900}), runs.airflow)


def fill(dialog, section, name, value):
    """Fill a field of the form with the keyboard, in its section, and leave it; return the field."""
    field = dialog.locator(f"[name=element_{name}]")
    if not field.is_visible():
        dialog.get_by_role("button", name=section).click()  # which closes the one that was open
    field.click()
    field.press("Control+a")
    field.press_sequentially(value) if value else field.press("Delete")
    field.press("Tab")
    return field


@pytest.mark.parametrize("dag", dag_ids(WORKFLOW))
def test_every_form_opens_ready_to_go(person, dag):
    _, button = person.form(dag)
    expect(button).to_be_enabled()
    person.see(f"form-{dag}")


def test_a_wrong_value_is_refused_where_it_is_typed(person):
    dialog, button = person.form("tapeline")
    for value, becomes in (("0", "1"), ("99999", "10000"), ("2", "2")):
        expect(fill(dialog, TRAIN, "epochs", value)).to_have_value(becomes)
    expect(dialog.get_by_text("Passes over the training images (≥ 1, ≤ 10000)")).to_be_visible()
    fill(dialog, TRAIN, "epochs", "")
    expect(button).to_be_disabled()
    expect(dialog.get_by_text("This field is required")).to_be_visible()
    person.see("form-empty")
    fill(dialog, TRAIN, "epochs", "1")
    fill(dialog, TRAIN, "momentum", "1")  # an open bound, which the form does not know
    expect(dialog.get_by_text("optimizer sgd: Share of the last update that goes on (≥ 0, < 1)")).to_be_visible()
    button.click()
    expect(person.page.get_by_text("Failed to Trigger Dag").first).to_be_visible()
    person.see("form-refused")


@pytest.fixture(scope="module")
def learned(person, runs):
    """Start a run from the form with one parameter changed and one emptied, and watch it to its end."""
    dialog, button = person.form("tapeline")
    for section, name, value in ((INGEST, "seed", "3"), (EVALUATE, "look_at", "0"), (EVALUATE, "look_at", "")):
        expect(fill(dialog, section, name, value)).to_have_value(value)
    run = person.start(button)
    expect(person.page.get_by_text("Success", exact=True).first).to_be_visible(timeout=LONG)
    assert runs.end_of(run)[0] == "success"  # and not only its first task
    return run


def test_a_run_says_first_how_good_the_model_is_and_leads_to_the_reports(person, learned, runs):
    assert runs.end_of(learned)[1] == dict.fromkeys((*STEPS, "bless"), "success")
    figures = runs.said(learned, "evaluate", "metrics")
    person.go("dags", "tapeline", "runs", learned)
    expect(person.page.get_by_text(f"test accuracy {100 * figures['accuracy']:.2f} %")).to_be_visible()
    note = person.page.get_by_text("test accuracy")
    expect(note).to_contain_text(
        re.compile(r"blessed as version \d+: .* · Ingest and validate · Export the gradients · ")
    )
    expect(note).to_contain_text(" · Judge on the test set · Compare with the blessed model · with ")
    expect(note).to_contain_text("seed 3")
    person.see("run")
    for title, heading in ((INGEST, "Data set"), (EVALUATE, "Judged on the test set")):
        with person.page.expect_popup() as opened:  # Airflow opens the links of a note in a tab of their own
            note.get_by_role("link", name=title).click()
        report = opened.value
        expect(report.get_by_role("heading", level=1)).to_contain_text(heading)
        report.screenshot(path=PICTURES / f"report-{heading.split()[0].lower()}.png")
        report.close()


def test_a_task_has_a_log_and_a_link_to_its_report(person, learned):
    person.go("dags", "tapeline", "runs", learned, "tasks", "evaluate")
    expect(person.page.get_by_text(re.compile("accuracy 0.* is at least 0.2"))).to_be_visible()
    person.see("log")
    person.page.get_by_role("link", name="Details").click()
    person.page.get_by_role("link", name="Report").click()
    expect(person.page.get_by_role("heading", level=1)).to_contain_text("Judged on the test set")


def test_an_asset_has_the_figures_and_leads_to_the_run_that_made_it(person, learned):
    person.go("assets")
    person.page.get_by_role("link", name="tapeline_model").click()
    person.page.locator(".codicon-folding-collapsed").first.click()
    expect(person.page.locator(".view-lines").first).to_contain_text(re.compile('"accuracy":.0[.]'))
    person.see("asset")
    person.page.locator(f"a[href*='/runs/{learned}']").first.click()
    expect(person.page.get_by_role("heading", name="Bless the model")).to_be_visible()


def test_a_failure_is_a_sentence_on_the_runs_page_and_in_the_log(person, refused):
    sentence = "train: batch_size: 4096 images a step, but there are only 384 to train on"
    person.go("dags", "tapeline", "runs", refused)
    expect(person.page.get_by_text(sentence)).to_be_visible()
    person.see("run-failed")
    person.go("dags", "tapeline", "runs", refused, "tasks", "train")
    expect(person.page.get_by_text(f"AirflowFailException: {sentence} (exit code 2")).to_be_visible()
    person.see("log-failed")


def test_who_has_not_logged_in_is_asked_to_and_then_sees_the_report(person, learned, runs):
    address = f"tapeline/tapeline/{learned}/ingest/report"
    page = person.page.context.browser.new_context().new_page()
    page.goto(f"{runs.airflow.address}/{address}")
    page.get_by_label("Username").fill(USER)
    page.get_by_label("Password").fill(runs.airflow.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Data set")
    page.context.close()


@pytest.mark.filterwarnings("ignore:The HMAC key")  # Airflow's own
def test_a_report_is_shown_only_to_whom_the_task_is_shown_and_nothing_else_is(learned, runs):
    airflow = runs.airflow
    token = runs.airflow.token()
    (secret,) = re.findall(r"(?m)^jwt_secret = (.+)$", (airflow.folder / "airflow.cfg").read_text())
    nobody = jwt.decode(token, options={"verify_signature": False}) | {"sub": "nobody", "role": None}
    stranger = jwt.encode(nobody, secret, algorithm="HS512", headers={"kid": "not-used"})

    def get(path, token=token):
        answer = httpx.get(f"{airflow.address}/tapeline/{path}", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code, answer

    code, answer = get(f"tapeline/{learned}/evaluate/report")
    assert (code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'; ")
    assert [get(f"tapeline/{learned}/evaluate/report", token)[0] for token in (stranger, "x")] == [403, 403]
    assert httpx.get(f"{airflow.address}/tapeline/tapeline/{learned}/evaluate/report").status_code == 401
    assert runs.store.manifest(runs.said(learned, "evaluate", "metrics")["uri"]) is not None
    others = (
        f"tapeline/{learned}/evaluate/metrics", f"tapeline/{learned}/train/gradients",
        f"other/{learned}/evaluate/report", f"tapeline_reevaluate/{learned}/evaluate/report",
        "tapeline/nobody/evaluate/report", f"tapeline/{learned}%2F..%2F{learned}/evaluate/report",
        f"tapeline/{learned}/evaluate/..%2Fevaluate%2Freport",
    )  # fmt: skip
    assert [get(path)[0] for path in others] == [404] * len(others)
