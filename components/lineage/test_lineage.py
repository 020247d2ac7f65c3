# mypy: allow-untyped-defs, allow-untyped-calls
"""Lineage of ten real artifacts: told whole, told wrong where any of it was touched, and said in others' words."""

import http.server
import json
import os
import re
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

from components.artifacts.registry import Registry
from components.conftest import make
from components.contract import artifact, location
from components.contract.errors import BadInput, StepError
from components.contract.store.embedded import serve
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.handover.component import COMPONENT as HANDOVER
from components.lineage.command import main

TEN = (
    "dataset", "trained_model", "gradients", "train-metrics", "gradient_tables", "export-report", "metrics",
    "classification", "evaluate-report", "package",
)  # fmt: skip
# What the package was made from, and it itself; the others hang beside it.
BEHIND = {"package", "trained_model", "dataset", "metrics", "gradient_tables", "gradients"}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch, tmp_path):
    """Have no store and no registry but those that a test names."""
    monkeypatch.delenv("TAPELINE_REGISTRY", raising=False)
    monkeypatch.setattr("components.lineage.command.HERE", tmp_path / "no-run")


@pytest.fixture(scope="module")
def chain(ingested, trained, tmp_path_factory):
    """Return a folder with ten artifacts, of ingest, train, export, evaluate and handover."""
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(ingested / "dataset", folder / "dataset")
    for name, kept in (("trained_model", "trained_model"), ("gradients", "gradients"), ("metrics", "train-metrics")):
        shutil.copytree(trained / name, folder / kept)
    data = {"dataset": folder / "dataset", "trained_model": folder / "trained_model"}
    make(EXPORT, {}, {"gradients": folder / "gradients"}, folder)
    (folder / "report").rename(folder / "export-report")
    make(EVALUATE, {"min_accuracy": 0.1}, data, folder)
    (folder / "report").rename(folder / "evaluate-report")
    given = {name: folder / name for name in ("metrics", "gradient_tables")}
    make(HANDOVER, {}, {**data, **given}, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(TEN)
    return folder


@pytest.fixture(scope="module")
def digests(chain):
    return {name: artifact.digest(chain / name) for name in TEN}


@pytest.fixture
def trace(chain, capsys):
    """Return a function that traces, and returns what was printed, and how it ended."""

    def traced(*arguments, places=None):
        searched = [word for place in places or [chain] for word in ("--in", str(place))]
        capsys.readouterr()
        try:
            main([*map(str, arguments), *searched])
        except StepError as error:
            return capsys.readouterr().out, error.exit_code, str(error)
        return capsys.readouterr().out, 0, ""

    return traced


def test_the_whole_of_it_is_told(trace, chain, digests):
    text, code, _ = trace(digests["package"])
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == f"package {digests['package']}: verified, 7 files"
    assert f"└─ trained_model {digests['trained_model']}: verified, 6 files" in text
    assert "parameters other than by default: batch_size=32, epochs=2, learning_rate=0.003, model=convnet" in text
    assert re.search(r"with keras \d\S+, numpy \d\S+, tensorflow 2\.21\.0", text)
    assert f"train, at {chain / 'trained_model'}" in text
    assert text.count("see above") == 4  # three more steps took the data set, one more the model
    said, code, _ = trace(digests["package"][:12], "--json")
    document = json.loads(said)
    assert (code, document["verified"], document["traced"]) == (0, True, [digests["package"]])
    assert set(document["artifacts"]) == {digests[name] for name in BEHIND}
    model = document["artifacts"][digests["trained_model"]]
    assert model["chosen"] == {"batch_size": 32, "epochs": 2, "learning_rate": 0.003, "model": "convnet"}
    assert model["inputs"] == {"dataset": digests["dataset"]}
    assert model["parameters"]["optimizer"] == "adam"


def flip(folder, trial):
    """Flip a bit in one of the files."""
    path = _file(folder, trial)
    data = bytearray(path.read_bytes())
    data[(len(data) - 1) * trial // 9] ^= 1 << trial % 8
    path.write_bytes(data)


def remove(folder, trial):
    _file(folder, trial).unlink()


def add(folder, trial):
    (folder / f"one-more-{trial}").write_text("")


def edit(folder, trial):
    """Say that it was made another way, in a manifest that is as sound as before."""
    said = json.loads((folder / "manifest.json").read_text())
    said["parameters" if trial % 2 else "versions"]["numpy"] = f"9.{trial}"
    (folder / "manifest.json").write_bytes(artifact.canonical_json(said))


def swap(folder, trial):
    """Put another artifact, with files and manifest that fit each other, in its place."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "file").write_text(str(trial))
    artifact.seal(folder, component="ingest", output="dataset", parameters={}, inputs={})


def _file(folder, trial):
    files = sorted(artifact.read(folder).files)
    return folder / files[trial * len(files) // 10]


@pytest.mark.parametrize("name", TEN)
def test_whichever_of_ten_is_tampered_with_it_is_caught_in_each_of_ten_trials(name, trace, chain, digests, tmp_path):
    everything = list(digests.values())
    spare = tmp_path / "spare"
    shutil.copytree(chain / name, spare)
    for trial in range(10):
        tamper = (flip, remove, add, edit, swap)[trial % 5]
        tamper(chain / name, trial)
        text, code, sentence = trace(*everything)
        shutil.rmtree(chain / name)
        shutil.copytree(spare, chain / name)
        if tamper in (flip, remove, add):
            assert code == 2, (tamper, trial)
            assert f"{digests[name]}: CHANGED" in text
            assert re.match(rf"1 of 10 artifacts changed: .*{re.escape(str(chain / name))}/", sentence), sentence
        else:
            assert code == 1, (tamper, trial)
            assert f"{digests[name]}: NOT FOUND" in text
            assert sentence.startswith("1 of 10 artifacts not found: ")
    assert trace(*everything)[1] == 0


def test_nothing_is_written_of_what_is_not_verified(trace, digests, chain, tmp_path):
    shutil.copytree(chain, tmp_path / "chain")
    flip(tmp_path / "chain" / "gradients", 3)
    asked = ("--croissant", tmp_path / "croissant.json", "--in-toto", tmp_path / "s", "--openlineage", tmp_path / "e")
    assert trace(digests["package"], *asked, places=[tmp_path / "chain"])[1] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chain"]
    # A copy that is whole will do.
    assert trace(digests["package"], places=[tmp_path / "chain", chain])[1] == 0


def test_what_is_asked_for_may_be_a_place_or_a_name_in_the_registry(trace, digests, chain, tmp_path):
    assert trace(chain / "trained_model")[0].startswith(f"trained_model {digests['trained_model']}: verified")
    registry = Registry(str(tmp_path / "registry"))
    for name in ("trained_model", "metrics"):
        registry.keep(chain / name)
    version = {
        "model": digests["trained_model"], "metrics": digests["metrics"], "dataset": digests["dataset"],
        "figures": {"accuracy": 0.9}, "why": "it is good",
    }  # fmt: skip
    registry.shelf("digits", "0123456789ab").bless(lambda _: version)
    text, code, _ = trace("digits", "--registry", registry.place, places=[chain / "dataset"])
    assert (code, text.splitlines()[0]) == (0, f"trained_model {digests['trained_model']}: verified, 6 files")
    assert re.search(r"bless: version 1 of digits/0123456789ab, at 20\S+ by \S+", text)
    text, code, sentence = trace("digits", "--registry", registry.place, places=[chain / "gradient_tables"])
    assert (code, sentence) == (
        1, "1 of 2 artifacts not found: dataset: no artifact of this digest is in the places that were searched"
    )  # fmt: skip
    for word, match in (("nobody", "it has: digits/0123456789ab"), ("0" * 12, "no artifact has a digest that begins")):
        assert match in trace(word, "--registry", registry.place)[2]
    assert "is no digest and no place; for a name in the registry give" in trace("digits")[2]


def test_in_a_store(trace, digests, chain, s3):
    """Also what is changed there, and what is there besides."""
    from components.contract.store.client import Store

    for name in BEHIND:
        folder = chain.parent / f"staged-{name}"
        shutil.copytree(chain / name, folder)
        location.publish(folder, f"{s3}/{name}")
    assert trace(f"{s3}/package", places=[s3])[1] == 0
    store = Store.from_environment()
    bucket, key = s3.removeprefix("s3://").split("/", 1)
    key = f"{key}/dataset"
    store.client.put_object(Bucket=bucket, Key=f"{key}/more.txt", Body=b"")
    assert trace(digests["trained_model"], places=[s3])[2].endswith(
        "dataset/more.txt is in the artifact, but its manifest does not list it"
    )
    store.client.delete_object(Bucket=bucket, Key=f"{key}/more.txt")
    store.client.put_object(Bucket=bucket, Key=f"{key}/schema.json", Body=b"{}")
    _, code, sentence = trace(digests["trained_model"], places=[s3])
    assert (code, "schema.json was changed or damaged" in sentence) == (2, True)


# What mlcroissant's own parser of RDF is moving away from.
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_the_data_set_in_croissant(trace, digests, chain, tmp_path):
    path = tmp_path / "croissant.json"
    assert trace(digests["trained_model"], "--croissant", path)[1] == 0
    described = mlcroissant.Dataset(jsonld=path)
    assert not described.metadata.issues.errors
    said = json.loads(path.read_text())
    files = artifact.read(chain / "dataset").files
    assert {each["@id"]: each["sha256"] for each in said["distribution"]} == {
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


def test_the_runs_that_are_kept_here_are_named(trace, digests, chain, tmp_path):
    run = tmp_path / "run" / "runs" / "2026-11-26_10-00-00"
    run.mkdir(parents=True)
    said = {"artifacts": {"train": {"trained_model": str(chain / "trained_model")}}}
    (run / "summary.json").write_text(json.dumps(said))
    text, _, _ = trace(digests["trained_model"], "--folder", tmp_path / "run")
    assert text.count("in the runs here: 2026-11-26_10-00-00") == 1


def test_a_strangers_component_is_not_imported(trace, tmp_path):
    (tmp_path / "odd").mkdir()
    artifact.seal(tmp_path / "odd", component="../x", output="y", parameters={"a": 1}, inputs={})
    text, code, _ = trace(tmp_path / "odd", "--in-toto", tmp_path / "statements", places=[tmp_path])
    assert (code, "parameters other than by default: a=1" in text) == (0, True)
    (path,) = (tmp_path / "statements").iterdir()  # and nothing is written elsewhere
    assert path.name == f"---x-y-{artifact.digest(tmp_path / 'odd')[:12]}.intoto.json"


def test_without_places_it_is_looked_for_beside(chain, capsys, tmp_path):
    main([str(chain / "trained_model")])
    assert capsys.readouterr().out.count(": verified") == 2
    with pytest.raises(BadInput, match="is not an artifact"):
        main([str(tmp_path)])


def test_in_the_store_of_make_run(chain, digests, tmp_path, capsys, monkeypatch):
    """It is started for it; and where nothing was blessed yet there is no registry, which is no error."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    store = tmp_path / "run" / "store"
    with serve(store, "tapeline") as settings:
        os.environ.update(settings)
        for name in ("dataset", "trained_model"):
            location.publish(shutil.copytree(chain / name, tmp_path / name), f"s3://tapeline/a-step/key/{name}")
        for name in settings:
            del os.environ[name]
    main([digests["trained_model"][:10], "--folder", str(tmp_path / "run")])
    text = capsys.readouterr().out
    assert text.count(": verified") == 2
    assert "train, at s3://tapeline/a-step/key/trained_model" in text
