# mypy: allow-untyped-defs, allow-untyped-calls
"""Lineage of ten real artifacts: told whole, and told wrong where any of it was touched."""

import json
import os
import re
import shutil

import pytest

from components.artifacts.registry import Registry
from components.contract import artifact, location
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from components.lineage.command import main
from components.lineage.conftest import BEHIND, TEN, add, edit, flip, remove, swap


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
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="is not an artifact"):
        main([str(tmp_path / "empty")])


def test_what_cannot_be_looked_into_beside_is_told_of_and_passed_by(chain, capsys, tmp_path, monkeypatch):
    shutil.copytree(chain, tmp_path / "own")
    (tmp_path / "own" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "own" / "deep")
    for _ in range(20):
        os.mkdir("d" * 250)  # noqa: PTH102 - as the whole path is too long for any call
        os.chdir("d" * 250)
    main([str(tmp_path / "own" / "trained_model")])
    told = capsys.readouterr()
    assert told.out.count(": verified") == 2
    assert re.fullmatch(r"warning: .*/deep/d+.* cannot be looked into: File name too long\n", told.err)


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
