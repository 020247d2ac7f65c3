"""The run of MLflow's that a step's note belongs into: given, found again, or made; and what is logged to it."""

import os
import time
from collections.abc import Mapping
from typing import Any

from components.contract.mlflow import Client, Untracked
from components.contract.tracking import BEGUN, EXPERIMENT, MADE, RUN_ID, TOLD, Note

Run = dict[str, Any]


def log(client: Client, note: Note) -> None:
    """Log what a note says, once: a run that has it already is left as it is. Raises `Untracked`."""
    given = os.environ.get(RUN_ID, "")
    run = client.call("GET", "runs/get", run_id=given)["run"] if given else _found(client, note)
    if run is None:
        return
    info, there = run["info"], _named(run, "tags")
    own, known = TOLD.format(note.component), _named(run, "params")
    if there.get(own) == note.key:
        return
    run_id, began = info["run_id"], int(info["start_time"])
    client.log(run_id, params=_items({name: each for name, each in note.parameters.items() if known.get(name) != each}))
    # All at the time when the run began, so that what is logged twice is there once.
    points = [(name, step, value) for name, curve in note.curves.items() for step, value in curve]
    points += [(name, 0, value) for name, value in note.metrics.items()]
    metrics = [{"key": name, "value": value, "timestamp": began, "step": step} for name, step, value in points]
    client.log(run_id, metrics=metrics)
    for name, data in note.reports.items():
        client.upload(info.get("artifact_uri") or "", f"reports/{name}", data)
    client.log(run_id, tags=_items(note.tags))
    if not given:  # else whoever gave it ends it
        client.call("POST", "runs/update", run_id=run_id, status="FINISHED", end_time=_now())
    client.log(run_id, tags=_items({own: note.key}))


def _found(client: Client, note: Note) -> Run | None:
    """Return the run that this was begun in, that of what the step was given, or a new one; None for no run's step."""
    experiment = os.environ.get("MLFLOW_EXPERIMENT_ID") or _experiment(client)
    begun, told = BEGUN.format(note.component), TOLD.format(note.component)
    for tag in (told, begun):
        if runs := _search(client, experiment, f"tags.`{tag}` = '{note.key}'"):
            return runs[0]
    for digest in note.given:
        for run in _search(client, experiment, f"tags.`{MADE.format(digest)}` LIKE '%'"):
            if _fits(run, note, told):
                return run
    if not note.begins:
        return None
    values: Run = {"experiment_id": experiment, "start_time": _now(), "run_name": f"{note.component} {note.key[:8]}"}
    made: Run = client.call("POST", "runs/create", **values, tags=_items({begun: note.key}))["run"]
    return made


def _search(client: Client, experiment: str, text: str) -> list[Run]:
    """Return the runs that fit a filter, the newest first."""
    values: Run = {"experiment_ids": [experiment], "filter": text, "order_by": ["attributes.start_time DESC"]}
    runs: list[Run] = client.call("POST", "runs/search", **values, max_results=20).get("runs", [])
    return runs


def _fits(run: Run, note: Note, told: str) -> bool:
    """Tell whether a run has room for a note: no other of the same step, and no other value of a parameter."""
    known = _named(run, "params")
    return told not in _named(run, "tags") and all(
        known.get(name, value) == value for name, value in note.parameters.items()
    )


def _experiment(client: Client) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    for _ in range(2):
        try:
            found: str = client.call("GET", "experiments/get-by-name", experiment_name=name)["experiment"][
                "experiment_id"
            ]
        except Untracked as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            return found
        try:
            made: str = client.call("POST", "experiments/create", name=name)["experiment_id"]
        except Untracked as error:  # another step may have made it at the same time
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        else:
            return made
    raise Untracked(f"says that there is no experiment {name}, and that there is one")


def _named(run: Run, what: str) -> dict[str, str]:
    """Return a run's params or tags."""
    return {each["key"]: each["value"] for each in run.get("data", {}).get(what, [])}


def _items(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in values.items()]


def _now() -> int:
    """Return the time in milliseconds, as MLflow has it."""
    return time.time_ns() // 1_000_000
