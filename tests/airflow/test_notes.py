# mypy: allow-untyped-defs, allow-untyped-calls
"""What a run's note says, and what it must not."""

from dags.airflow_notes import LONGEST, note
from dags.workflow import WORKFLOW

RUN = ("tapeline", "manual__2026-11-25T03:00:00+00:00")
PLACE = "tapeline/tapeline/manual__2026-11-25T03%3A00%3A00%2B00%3A00"
FIGURES = {
    "accuracy": 0.9852,
    "accuracy_low": 0.9826,
    "accuracy_high": 0.9874,
    "verdict": "blessed",
    "version": 3,
    "uri": "s3://b/x",
}
REPORTS = {(step, "report"): {"uri": "s3://b/x"} for step in ("ingest", "export", "evaluate", "gate")}


def test_a_run_that_ended_well_says_how_good_the_model_is_and_with_what():
    told = REPORTS | {("train", "metrics"): {}, ("gate", "decision"): FIGURES, ("bless", "return_value"): None}
    given = {
        "epochs": 3,
        "seed": 0,
        "min_accuracy": 0.98,
        "look_at": None,
        "model": "simple",
        "loss_scale": 1,
        "clip_norm": "0.0",
        "source": "a_b*c",
    }
    assert note(WORKFLOW, RUN, given, told) == (
        "test accuracy 98.52 % (95 % interval 98.26 to 98.74 %), blessed as version 3 · "
        f"[Ingest and validate]({PLACE}/ingest/report) · [Export the gradients]({PLACE}/export/report) · "
        f"[Judge on the test set]({PLACE}/evaluate/report) · [Compare with the blessed model]({PLACE}/gate/report) · "
        "with epochs 3, min\\_accuracy 0.98, source a\\_b\\*c"
    )


def test_a_model_that_is_rejected_says_why():
    why = {"verdict": "rejected", "version": 0, "reasons": "accuracy 0.9852 is less than 0.99"}
    told = {("gate", "decision"): FIGURES | why}
    assert note(WORKFLOW, RUN, {}, told) == (
        "test accuracy 98.52 % (95 % interval 98.26 to 98.74 %), rejected: accuracy 0.9852 is less than 0.99"
    )


def test_a_run_that_failed_says_why_and_keeps_to_one_line():
    told = {("ingest", "report"): {}, ("train", "failure"): {"sentence": "train: no\nseed: [x](y)", "exit_code": 2}}
    assert note(WORKFLOW, RUN, {}, told) == (
        f"train: no; seed: \\[x\\](y) · [Ingest and validate]({PLACE}/ingest/report)"
    )
    assert note(WORKFLOW, RUN, {}, {}, "failed; see the log") == "failed; see the log"


def test_a_step_that_blocks_has_published_its_report():
    told = {("export", "report"): {}, ("export", "failure"): {"sentence": "export: exploding", "exit_code": 5}}
    assert note(WORKFLOW, RUN, {}, told) == f"export: exploding · [Export the gradients]({PLACE}/export/report)"


def test_a_note_is_never_longer_than_the_database_keeps():
    long = {("train", "failure"): {"sentence": "_" * 2000, "exit_code": 1}}
    for told in (long, long | REPORTS, {("gate", "decision"): FIGURES} | REPORTS):
        for run in (RUN, ("tapeline", "+" * 250)):
            for given in ({}, {"source": "*" * 2000}):
                text = note(WORKFLOW, run, given, told)
                assert len(text) <= LONGEST
                assert not text.rstrip("…").endswith("\\")
                assert text.count("](") == text.count("/report)")
