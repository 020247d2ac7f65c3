"""The work of the gate: find the blessed version, decide, and keep the model if it is blessed."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.artifacts import answers
from components.artifacts import dataset as datasets
from components.artifacts.registry import Registry, Shelf, State, Version, mirror
from components.artifacts.registry.shelf import VARIABLE
from components.contract import artifact, outside
from components.contract.artifact import canonical_json
from components.contract.errors import BadInput
from components.gate import decide
from components.gate.component import GateParameters
from components.gate.decide import BLESSED, Answers, Decision, Truth
from components.gate.report import write_report

NO_REGISTRY = f"No registry is set ({VARIABLE}), so it is held against no other model, and kept in none."
KEPT = ("accuracy", "accuracy_interval", "loss", "calibration_error")  # figures that a version has


def gate(  # noqa: PLR0913 - one path for each input and output
    parameters: GateParameters,
    *,
    dataset: Path,
    trained_model: Path,
    metrics: Path,
    decision: Path,
    report: Path,
) -> dict[str, dict[str, Any]]:
    """Decide whether the model is blessed, and keep it in the registry if so; write decision.json and the page."""
    truth = Truth(datasets.read_labels(dataset, "test"), datasets.class_names(dataset))
    figures, ours = read(metrics), answers_in(metrics, truth)
    place = parameters.registry or os.environ.get(VARIABLE, "")
    if place:
        shelf = Registry(place).shelf(parameters.model_name, datasets.test_set(dataset))
        made, state = _decide(parameters, shelf, (trained_model, metrics, dataset), (figures, ours), truth)
        version = _number(state, artifact.digest(trained_model))
        if made.verdict == BLESSED:
            mirror.tell(shelf, state)
    else:
        made, version = decide.alone(figures, NO_REGISTRY), 0

    low, high = figures["accuracy_interval"]
    found = {name: figures[name] for name in KEPT}
    said = {"verdict": made.verdict, "checks": made.checks, "notes": made.notes, "version": version}
    (decision / "decision.json").write_bytes(canonical_json({**said, **found, "baseline": made.baseline or None}))
    write_report(report, parameters, figures, made, version)
    print(f"{made.verdict}{f' as version {version}' if version and made.verdict == BLESSED else ''}")
    for line in [check["what"] for check in made.checks] + made.notes:
        print(f"  {line}")
    scalars = {"verdict": made.verdict, "reasons": made.reasons, "version": version}
    scalars |= {"accuracy": figures["accuracy"], "accuracy_low": low, "accuracy_high": high}
    if other := made.baseline:
        scalars |= {"baseline_version": other["version"], "difference": other["difference"]}
        scalars |= dict(zip(("difference_low", "difference_high"), other["interval"], strict=True))
    return {"decision": scalars}


def read(metrics: Path) -> Mapping[str, Any]:
    """Return what evaluate found; raise `BadInput` if it did not."""
    path = metrics / "metrics.json"
    try:
        figures = outside.document(outside.content(path), str(path))
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}; {answers.AGAIN}") from None
    if not isinstance(figures, dict) or not {*KEPT, "checks", "verdict"} <= figures.keys():
        raise BadInput(f"{path} has not the figures of evaluate; {answers.AGAIN}")
    return figures


def answers_in(metrics: Path, truth: Truth) -> Answers:
    """Return a model's answers to these test images; raise `BadInput` for what is none."""
    return Answers(answers.read(metrics, len(truth.labels), len(truth.class_names)))


def _decide(
    parameters: GateParameters,
    shelf: Shelf,
    folders: tuple[Path, Path, Path],
    found: tuple[Mapping[str, Any], Answers],
    truth: Truth,
) -> tuple[Decision, State]:
    """Return the decision on a model, of which evaluate `found` this, and what the shelf has then."""
    model, metrics, dataset = (artifact.digest(folder) for folder in folders)
    figures, ours = found
    kept: dict[str, Answers] = {}

    def answers_of(version: Version) -> Answers:
        if version.metrics not in kept:
            with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
                folder = shelf.registry.fetch(version.metrics, Path(scratch))
                kept[version.metrics] = answers_in(folder, truth)
        return kept[version.metrics]

    def judge(state: State) -> Decision:
        if known := decide.again(figures, state, model, parameters.model_name):
            return known
        if not (current := state.current):
            first = f"Nothing is blessed yet as {parameters.model_name} for this test set"
            return decide.alone(figures, f"{first}, so it is held against nothing.")
        return decide.compare(parameters, figures, ours, answers_of(current), truth, current.number)

    state = shelf.state()
    made = judge(state)
    if made.verdict == BLESSED and not _number(state, model):
        for folder in folders[:2]:
            shelf.registry.keep(folder)  # before the log says that they are there

        def choose(state: State) -> Mapping[str, Any] | None:
            nonlocal made
            made = judge(state)  # anew, as another model may have been blessed since
            if made.verdict != BLESSED or _number(state, model):
                return None
            shown = {name: figures[name] for name in KEPT}
            return {"model": model, "metrics": metrics, "dataset": dataset, "figures": shown, "why": made.reasons}

        state = shelf.bless(choose)
    return made, state


def _number(state: State, model: str) -> int:
    """Return the version that a model is, 0 if it is none."""
    return max((version.number for version in state.versions.values() if version.model == model), default=0)
