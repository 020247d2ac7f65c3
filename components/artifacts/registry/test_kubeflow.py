# mypy: allow-untyped-defs, allow-untyped-calls
"""What Kubeflow's Model Registry is told, by a stand-in that keeps what its OpenAPI says: there is none to install."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from components.artifacts.registry import Registry, State, Version, kubeflow
from components.contract.store.conftest import answering

BASE = "/api/model_registry/v1alpha3"
VERSIONS = {n: Version(n, f"{n}" * 64, "m" * 64, "d" * 64, {"accuracy": 0.9}) for n in (1, 2)}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPELINE_MODEL_REGISTRY_TOKEN", "s3cret")
    return Registry(str(tmp_path)).shelf("digits", "0123456789ab")


def test_each_blessed_version_is_there_once(shelf, monkeypatch, capsys):
    kept: dict[str, list[dict[str, Any]]] = {"registered_models": [], "model_versions": [], "artifacts": []}

    def answer(asked):
        assert asked.headers["Authorization"] == "Bearer s3cret"
        parts = urlsplit(asked.path)
        kind = parts.path.removeprefix(f"{BASE}/").split("/")[-1]
        if asked.command == "POST":
            made = {**json.loads(asked.body), "id": str(len(kept[kind]) + 1), "under": parts.path}
            kept[kind].append(made)
            return 201, json.dumps(made).encode()
        if kind == "artifacts":
            found = [each for each in kept[kind] if each["under"] == parts.path]
            return 200, json.dumps({"items": found, "size": len(found)}).encode()
        wanted = {key: value[0] for key, value in parse_qs(parts.query).items()}
        for each in kept[f"{kind}s"]:
            if each["name"] == wanted["name"] and each.get("registeredModelId") == wanted.get("parentResourceId"):
                return 200, json.dumps(each).encode()
        return 404, b"{}"

    with answering(answer) as (port, _):
        monkeypatch.setenv("TAPELINE_MODEL_REGISTRY_URL", f"http://127.0.0.1:{port}/")
        for row in ([1], [1, 2], [1, 2], [1]):
            kubeflow.tell(shelf, State(VERSIONS, row=row))
    assert capsys.readouterr().err == ""
    assert [each["name"] for each in kept["registered_models"]] == ["digits-0123456789ab"]
    assert [each["name"] for each in kept["model_versions"]] == ["1", "2"]
    assert kept["model_versions"][1]["customProperties"]["model"]["string_value"] == "2" * 64
    assert [each["uri"] for each in kept["artifacts"]] == [
        shelf.registry.artifact(version.model) for version in VERSIONS.values()
    ]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, b""), "it answers with HTTP 500"),
        ((200, b"<html>"), "it does not answer as Kubeflow's Model Registry does"),
        ((200, b"{}"), "KeyError"),
        ((0, b""), "RemoteDisconnected"),
    ],
)
def test_what_fails_is_a_warning(shelf, monkeypatch, capsys, answer, reason):
    with answering([answer]) as (port, _):
        monkeypatch.setenv("TAPELINE_MODEL_REGISTRY_URL", f"http://127.0.0.1:{port}")
        kubeflow.tell(shelf, State(VERSIONS, row=[1]))
    said = capsys.readouterr().err
    assert said == f"warning: Kubeflow's Model Registry has not taken version 1: {reason}\n"


def test_an_address_that_is_none_is_a_warning_and_none_at_all_is_nothing(shelf, monkeypatch, capsys):
    monkeypatch.setenv("TAPELINE_MODEL_REGISTRY_URL", "registry:8080")
    kubeflow.tell(shelf, State(VERSIONS, row=[1]))
    assert "TAPELINE_MODEL_REGISTRY_URL is not of the form http(s)://host[:port]" in capsys.readouterr().err
    monkeypatch.delenv("TAPELINE_MODEL_REGISTRY_URL")
    kubeflow.tell(shelf, State(VERSIONS, row=[1]))
    assert capsys.readouterr().err == ""
