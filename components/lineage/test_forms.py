# mypy: allow-untyped-defs, allow-untyped-calls
"""Lineage in others' words: Croissant, in-toto, OpenLineage; signed, and sent."""

import http.server
import json
import shutil
import threading
import uuid
from datetime import datetime

import mlcroissant
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from components.contract import artifact
from components.lineage.conftest import BEHIND, edit


# What mlcroissant's own parser of RDF is moving away from.
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_the_data_set_in_croissant(trace, digests, chain, tmp_path):
    path = tmp_path / "croissant.json"
    assert trace(digests["trained_model"], "--croissant", path)[1] == 0
    described = mlcroissant.Dataset(jsonld=path)
    assert not described.metadata.issues.errors
    said = json.loads(path.read_text())
    files = artifact.read(chain / "dataset").files
    shards = [each for each in said["distribution"] if each["@type"] == "cr:FileSet"]
    assert [each["includes"] for each in shards] == [f"{name}-images-*.npy" for name in ("train", "validation", "test")]
    assert {each["@id"]: each["sha256"] for each in said["distribution"] if each not in shards} == {
        name: file.sha256 for name, file in files.items()
    }
    assert said["identifier"] == f"sha256:{digests['dataset']}"
    assert [each["@id"] for each in said["recordSet"]] == [
        "splits", *(f"{split}-{what}" for split in ("train", "validation", "test") for what in ("images", "labels"))
    ]  # fmt: skip
    assert said["recordSet"][1]["field"][0]["arrayShape"] == "448,28,28"
    assert [row["splits/images"] for row in said["recordSet"][0]["data"]] == [448, 64, 256]


def keys(folder, private):
    """Write a pair of keys in PEM, and return their paths."""
    paths = folder / f"{private.__class__.__name__}.pem", folder / f"{private.__class__.__name__}-public.pem"
    form = serialization.PrivateFormat.PKCS8
    paths[0].write_bytes(private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    shown = serialization.PublicFormat.SubjectPublicKeyInfo
    paths[1].write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, shown))
    return paths


def test_a_statement_of_each_artifact(trace, digests, tmp_path):
    folder = tmp_path / "statements"
    assert trace(digests["package"], "--in-toto", folder)[1] == 0
    assert len(list(folder.iterdir())) == len(BEHIND)
    path = folder / f"train-trained_model-{digests['trained_model'][:12]}.intoto.json"
    said = json.loads(path.read_text())
    Statement.copy_from_pb(json_format.ParseDict(said, statement_pb2.Statement())).validate()
    assert said["subject"][0] == {"name": "manifest.json", "digest": {"sha256": digests["trained_model"]}}
    definition = said["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["parameters"]["model"] == "convnet"
    assert definition["resolvedDependencies"][0] == {"name": "dataset", "digest": {"sha256": digests["dataset"]}}
    (judged,) = folder.glob("evaluate-metrics-*")
    packages = json.loads(judged.read_text())["predicate"]["buildDefinition"]["resolvedDependencies"][2:]
    assert [each["uri"].partition("@")[0] for each in packages] == [
        f"pkg:pypi/{name}" for name in ("keras", "matplotlib", "numpy", "scipy", "scikit-learn", "tensorflow")
    ]
    before = path.read_bytes()
    trace(digests["package"], "--in-toto", folder)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "make_key", [ed25519.Ed25519PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP256R1())]
)
def test_signed_statements_hold_and_others_do_not(make_key, trace, digests, chain, tmp_path):
    private, public = keys(tmp_path, make_key())
    folder, asked = tmp_path / "statements", ("--attested", tmp_path / "statements", "--public-key", public)
    assert trace(digests["package"], "--in-toto", folder, "--key", private)[1] == 0
    assert trace(digests["package"], *asked)[1] == 0
    # A manifest that was written anew, at a place that says it of itself: only the signature tells.
    shutil.copytree(chain, tmp_path / "chain")
    edit(tmp_path / "chain" / "package", 1)
    assert trace(tmp_path / "chain" / "package", places=[tmp_path / "chain"])[1] == 0
    caught = trace(tmp_path / "chain" / "package", *asked, places=[tmp_path / "chain"])
    assert (caught[1], "there is no statement" in caught[2]) == (2, True)
    # Another key, and statements that were touched.
    other = tmp_path / "other"
    other.mkdir()
    _, stranger = keys(other, make_key())
    caught = trace(digests["package"], "--attested", folder, "--public-key", stranger)
    assert (caught[1], "is not signed with the key in" in caught[2]) == (2, True)
    for path in sorted(folder.iterdir()):
        said = json.loads(path.read_text())
        for name, value in (("payloadType", "text/plain"), ("payload", said["payload"][:-8] + "AAAAAAAA")):
            path.write_text(json.dumps(said | {name: value}))
            assert trace(digests["package"], *asked)[1] == 2, (path.name, name)
        path.write_text(json.dumps(said))
    assert trace(digests["package"], *asked)[1] == 0


def test_keys_that_are_none_are_refused(trace, digests, tmp_path):
    (tmp_path / "key.pem").write_text("no key")
    asked = (digests["dataset"], "--in-toto", tmp_path / "statements", "--key")
    assert "is not the PEM of a key without a password" in trace(*asked, tmp_path / "key.pem")[2]
    assert "there is no key" in trace(*asked, tmp_path / "none.pem")[2]
    assert not (tmp_path / "statements").exists()
    for wrong in (("--key", "x"), ("--public-key", "x"), ("--attested", "x")):
        assert trace(digests["dataset"], *wrong)[1] == 2


def test_the_steps_as_events_of_openlineage(trace, digests, tmp_path, monkeypatch):
    path = tmp_path / "events.jsonl"
    assert trace(digests["package"], "--openlineage", path)[1] == 0
    text = path.read_text()
    events = [json.loads(line) for line in text.splitlines()]
    jobs = [(each["job"]["name"], each["eventType"]) for each in events]
    assert jobs[:4] == [("ingest", "START"), ("ingest", "COMPLETE"), ("train", "START"), ("train", "COMPLETE")]
    assert len(jobs) == 2 * 5
    assert jobs[-1] == ("handover", "COMPLETE")
    for each in events:
        assert {"eventTime", "producer", "schemaURL", "eventType", "run", "job", "inputs", "outputs"} == each.keys()
        assert datetime.fromisoformat(each["eventTime"]).timestamp() == 0
        assert uuid.UUID(each["run"]["runId"]).version == 5
        for data in each["inputs"] + each["outputs"]:
            assert data["namespace"] == "tapeline"
            assert data["facets"]["version"]["datasetVersion"] in digests.values()
    outputs = {data["name"] for each in events for data in each["outputs"]}
    assert {data["name"] for each in events for data in each["inputs"]} < outputs
    trace(digests["package"], "--openlineage", path)
    assert path.read_text() == text
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert "SOURCE_DATE_EPOCH: 'soon' is no number" in trace(digests["package"], "--openlineage", path)[2]


def test_events_are_sent_to_a_server(trace, digests, monkeypatch):
    got = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.path, self.headers["Authorization"], body["job"]["name"]))
            self.send_response(201 if len(got) < 6 else 403)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}/")
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert trace(digests["trained_model"], "--post")[1] == 0
        assert got == [("/api/v1/lineage", "Bearer secret", job) for job in ("ingest", "ingest", "train", "train")]
        sentence = trace(digests["trained_model"], "--post")[2]
        assert sentence.endswith("/api/v1/lineage answered 403 Forbidden to event 2")
        server.shutdown()
    assert "did not take event 1: " in trace(digests["trained_model"], "--post")[2]
    monkeypatch.setenv("OPENLINEAGE_URL", "file:///etc/passwd")
    assert trace(digests["trained_model"], "--post")[1:] == (
        2, "OPENLINEAGE_URL: 'file:///etc/passwd' is no address of a server, such as http://marquez:5000"
    )  # fmt: skip
