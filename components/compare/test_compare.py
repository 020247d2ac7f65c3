# mypy: allow-untyped-defs, allow-untyped-calls
"""Runs of every caller are found by name, place and digest, and compared, on real artifacts."""

import contextlib
import json
import shutil

import numpy as np
import pytest
import scipy.stats

from components.artifacts import dataset as datasets
from components.compare.command import main
from components.conftest import SHORT, make
from components.contract import artifact, location
from components.contract.errors import BadInput
from components.contract.store.embedded import serve
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.train.component import COMPONENT as TRAIN

STEPS = {
    "ingest": ("dataset",), "train": ("trained_model", "gradients", "metrics"), "export": ("gradient_tables",),
    "evaluate": ("metrics",),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(ingested, trained, tmp_path_factory):
    """Return two runs, each by step: the folder with its outputs."""
    folder = tmp_path_factory.mktemp("made")
    better = make(TRAIN, SHORT | {"epochs": 4, "seed": 3}, {"dataset": ingested / "dataset"}, folder / "better")
    runs = {}
    for name, learned in (("good", better), ("bad", trained)):
        exported = make(EXPORT, {}, {"gradients": learned / "gradients"}, folder / name / "export")
        given = {"dataset": ingested / "dataset", "trained_model": learned / "trained_model"}
        judged = make(EVALUATE, {"check_labels": False}, given, folder / name / "evaluate")
        runs[name] = {"ingest": ingested, "train": learned, "export": exported, "evaluate": judged}
    return runs


def laid(folder, run, layout, leave_out=()):
    """Copy a run's artifacts to places as an orchestrator lays them out; return the folder."""
    for step, outputs in STEPS.items():
        for output in outputs if step not in leave_out else ():
            shutil.copytree(run[step] / output, folder / layout.format(step=step, output=output))
    return folder


def compared(capsys, *words, folder, page=None):
    main([*map(str, words), f"--folder={folder}", "--json", *([f"--page={page}"] if page else [])])
    return json.loads(capsys.readouterr().out)


def sealed_again(folder, change, **inputs):
    """Change the files of an artifact, and seal it again, with other inputs perhaps."""
    manifest = artifact.read(folder)
    change(folder)
    (folder / "manifest.json").unlink()
    artifact.seal(folder, component=manifest.component, output=manifest.output, parameters=manifest.parameters,
                  inputs=manifest.inputs | inputs, metadata=manifest.metadata)  # fmt: skip


def test_folders_as_airflow_leaves_them(made, tmp_path, capsys):
    first = laid(tmp_path / "dag/scheduled__1", made["bad"], "{step}/try-1/{output}")
    laid(tmp_path / "dag/scheduled__1", made["bad"], "{step}/try-2/{output}", leave_out=["ingest", "export"])
    second = laid(tmp_path / "dag/manual__2", made["good"], "{step}/try-1/{output}")
    found = compared(capsys, first, second, folder=tmp_path / "none", page=tmp_path / "page.html")
    assert found["parameters"] == {"seed": ["0", "3"], "epochs": ["2", "4"]}
    answers = [np.load(run / "evaluate/try-1/metrics/logits.npy").argmax(axis=1) for run in (first, second)]
    labels = datasets.read(made["bad"]["ingest"] / "dataset", "test").labels
    right = [each == labels for each in answers]
    (pair,) = found["pairs"]
    only = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
    assert (pair["ours"], pair["only_ours"], pair["only_theirs"]) == ("B", *only)
    assert pair["p"] == pair["p_holm"] == pytest.approx(scipy.stats.binomtest(only[0], sum(only)).pvalue)
    assert sorted(found["only_right"]["B"]) == np.flatnonzero(right[1] & ~right[0]).tolist()
    assert found["answer"]["headline"].startswith("B (manual__2) is the best on the test set: ")
    assert [run["notes"] for run in found["runs"]] == [[], []]
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img ") == sum(min(24, number) for number in only)
    assert page.count("<svg ") == 3


def test_a_store_as_kubeflow_leaves_it_with_steps_that_were_cached(made, tmp_path, capsys, s3):
    whole = laid(tmp_path / "whole", made["bad"], "{step}/{output}")
    for path in whole.glob("*/*"):
        location.publish(path, f"{s3}/tapeline/run-1/{path.relative_to(whole)}")
    part = laid(tmp_path / "part", made["bad"], "{step}/{output}", leave_out=["ingest", "train", "export"])
    location.publish(part / "evaluate/metrics", f"{s3}/tapeline/run-2/evaluate/9f/metrics")
    found = compared(capsys, f"{s3}/tapeline/run-2", f"{s3}/tapeline/run-1", folder=tmp_path)
    assert found["answer"]["headline"].startswith("All are the same model: ")
    kinds = {"ingest/dataset", "train/trained_model", "train/gradients", "train/metrics", "evaluate/metrics"}
    assert set(found["runs"][0]["artifacts"]) == kinds
    with pytest.raises(BadInput, match="there is no artifact at or below it"):
        main([f"{s3}/tapeline/run-3", f"{s3}/tapeline/run-1", f"--folder={tmp_path}"])


@pytest.fixture(scope="module")
def kept(made, tmp_path_factory):
    """Return a folder as `make run` leaves it: two runs, one that failed in train, and one that was killed at once."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    ends = {"2026-01-01": "bad", "2026-01-02": "good", "2026-01-03": "failed", "2026-01-04": "killed"}
    with serve(folder / "store", "tapeline") as settings, pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        for name, which in ends.items():
            steps = {"failed": ["ingest"], "killed": []}.get(which, list(STEPS))
            run, places = made.get(which, made["good"]), {}
            for step in steps:
                places[step] = {output: f"s3://tapeline/{step}/{which}/{output}" for output in STEPS[step]}
                for output, place in places[step].items():
                    location.publish(run[step] / output, place)
            state = {"killed": {"state": "running"}, "failed": {"state": "failed", "sentence": "train: no"}}
            (folder / "runs" / name).mkdir(parents=True)
            summary = state.get(which, {"state": "finished"}) | ({"artifacts": places} if places else {})
            (folder / "runs" / name / "summary.json").write_text(json.dumps(summary))
    return folder


def test_runs_of_this_machine_by_name_and_by_digest(made, kept, capsys):
    digest = artifact.digest(made["good"]["train"] / "trained_model")
    metrics = artifact.digest(made["bad"]["evaluate"] / "metrics")
    found = compared(capsys, "2026-01-01", digest[:8], metrics, kept / "runs/2026-01-02", "last", folder=kept)
    models = [run["artifacts"].get("train/trained_model", {}).get("digest", "") for run in found["runs"]]
    assert models == [models[0], digest, models[0], digest, ""]
    assert len(found["pairs"]) == 6
    assert found["answer"]["why"][-1] == "E (2026-01-04) was not judged: there is no evaluation of it."
    assert found["runs"][4]["notes"] == ["It did not come to its end.", "No step of it has come to its end."]


def test_a_run_that_failed_half_way_is_compared_as_far_as_it_goes(kept, capsys):
    found = compared(capsys, "2026-01-01", "2026-01-03", folder=kept)
    assert found["runs"][1]["notes"] == ["It did not come to its end: train: no"]
    assert found["answer"]["headline"].endswith("cannot be told: fewer than two were judged.")
    assert found["parameters"] == {}
    assert (kept / "compare.html").is_file()


def test_what_is_no_run_is_said_in_a_sentence(made, kept, tmp_path):
    two = laid(laid(tmp_path / "two", made["good"], "1/{step}/{output}"), made["bad"], "2/{step}/{output}")
    dataset = artifact.digest(made["good"]["ingest"] / "dataset")
    for words, sentence in (
        (["2026-01-0l", "last"], r"'2026-01-0l' is no run: .*\(did you mean 2026-01-0\d\?\)"),
        (["abcdef0", "last"], "abcdef0: no artifact in .*store has a digest that begins so"),
        ([dataset, "last"], "is a data set, of any number of runs; give the digest of a model"),
        ([str(kept / "runs/2026-01-01/..")] * 2, "there is no artifact at or below it"),
        ([str(two), "last"], "holds several runs; name one, such as the one of .*two/2/train/trained_model"),
        (["last"], "1 run given, expected 2 to 8"),
        (["last", "--jsn"], r"unrecognized argument --jsn \(did you mean --json\?\)"),
    ):
        with pytest.raises(BadInput, match=sentence), contextlib.chdir(tmp_path):
            main([*words, f"--folder={kept}"])


def test_other_test_sets_and_answers_that_are_lost_or_damaged(made, tmp_path, capsys):
    good, other, old, damaged = (
        laid(tmp_path / name, made["good"], "{step}/{output}") for name in ("good", "other", "old", "damaged")
    )

    def relabel(folder):
        labels = np.load(folder / "test-labels.npy")
        np.save(folder / "test-labels.npy", labels[::-1])

    sealed_again(other / "ingest/dataset", relabel)
    sealed_again(other / "evaluate/metrics", lambda _: None, dataset=artifact.digest(other / "ingest/dataset"))
    sealed_again(old / "evaluate/metrics", lambda folder: (folder / "logits.npy").unlink())
    (damaged / "evaluate/metrics/logits.npy").write_bytes(b"no array")
    bad = laid(tmp_path / "bad", made["bad"], "{step}/{output}")
    found = compared(capsys, good, bad, other, old, damaged, folder=tmp_path)
    assert [(pair["ours"], pair["theirs"]) for pair in found["pairs"]] == [("A", "B")]
    sets = [run["test_set"] for run in found["runs"]]
    assert len(set(sets)) == 2
    told = found["answer"]["why"][-3:]
    assert told[0].startswith(f"C (other) was judged on another test set, {sets[2]} of 256 images: ")
    assert told[1:] == [f"{letter} ({name}): its answers to single images are not there."
                        for letter, name in (("D", "old"), ("E", "damaged"))]  # fmt: skip
    notes = [run["notes"] for run in found["runs"]]
    assert notes[3] == [
        f"{old}/evaluate/metrics has no logits.npy, as an earlier version left none; evaluate it again."
    ]
    assert notes[4][0].startswith(f"{damaged}/evaluate/metrics/logits.npy was changed or damaged: ")
    assert all(run["figures"] for run in found["runs"])
