# mypy: allow-untyped-defs, allow-untyped-calls
"""Checkpoints of which something is damaged, foreign or missing: each is a warning, and the one before it is taken."""

import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from components.conftest import SHORT
from components.contract import artifact, location
from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store, split
from components.train.component import TrainParameters
from components.train.conftest import checkpoint_of, train
from components.train.machine.checkpoint import Checkpoints
from components.train.machine.data import load
from components.train.train import prepared

NEWEST, BEFORE = 27, 18
TENSORS = ("state.safetensors", "gradients.safetensors", "pending.safetensors")

LAST = 1000  # a step that no training here comes to


@pytest.fixture(scope="module")
def sound(ingested, tmp_path_factory):
    """Return a place with two checkpoints of a run and the parts of its record."""
    folder = tmp_path_factory.mktemp("sound")
    train(ingested, folder / "out", checkpoints=str(folder / "place"), checkpoint_every=9)
    return folder / "place"


@pytest.fixture(scope="module")
def run(ingested, tmp_path_factory):
    """Return the same run, before its first step."""
    parameters = TrainParameters.checked(SHORT)
    with prepared(
        parameters, lambda: load(ingested / "dataset", parameters.shuffle_window), tmp_path_factory.mktemp("record")
    ) as ready:
        yield ready


@pytest.fixture
def copy(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "place")


@pytest.fixture
def resume(ingested, run, capsys):
    """Return a function that has the run go on from what is at a place, and returns the step and what was printed."""

    def go_on(place, checkpoint=None):
        given = run.parameters.model_copy(update={"checkpoints": str(place)})
        step = Checkpoints.of(given, ingested / "dataset").resume(run.state, checkpoint, LAST)
        return step, capsys.readouterr().out.splitlines()

    return go_on


def seal_again(folder, **changes):
    """Make what was done to an artifact look as if it had always been so."""
    said = artifact.read(folder)
    files = {
        path.relative_to(folder).as_posix(): artifact.File(sha256=artifact.sha256(path), bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != artifact.MANIFEST
    }
    document = said.model_dump() | {"files": {name: file.model_dump() for name, file in files.items()}} | changes
    (folder / artifact.MANIFEST).write_bytes(artifact.canonical_json(document))


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def position(folder, **changes):
    path = folder / "position.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    seal_again(folder)


def tensors(folder, name, change):
    found = load_file(folder / name)
    change(found)
    save_file(found, folder / name)
    seal_again(folder)


def changed(name, folder):
    flip(folder / name, -9)


def cut(name, end, folder):
    path = folder / name
    path.write_bytes(path.read_bytes()[:end])


def junk(name, data, folder):
    (folder / name).write_bytes(data)
    seal_again(folder)


def part_of(folder):
    """Return the last part of the record, beside the checkpoint in a folder."""
    return max((folder.parent / "record").iterdir())


def another_part(folder):
    part = part_of(folder)
    (part / "epochs.json").write_text("[]")
    seal_again(part)


DAMAGES: dict[str, Callable[[Path], object]] = {
    **{f"{name} changed": partial(changed, name) for name in (*TENSORS, "position.json")},
    **{f"{name} cut": partial(cut, name, -1) for name in TENSORS},
    **{f"{name} empty": partial(cut, name, 0) for name in (*TENSORS, "manifest.json")},
    "position.json missing": lambda at: (at / "position.json").unlink(),
    "manifest.json no text": lambda at: (at / "manifest.json").write_bytes(b"\xff\x00"),
    "manifest.json of lists": lambda at: (at / "manifest.json").write_bytes(b"[" * 100_000),
    "manifest.json that points outside": lambda at: seal_again(at, files={"../x": {"sha256": "0" * 64, "bytes": 0}}),
    "manifest.json newer": lambda at: seal_again(at, schema_version=2),
    "another dataset": lambda at: seal_again(at, inputs={"dataset": "0" * 64}),
    "another seed": lambda at: seal_again(at, parameters=artifact.read(at).parameters | {"seed": 3}),
    "another output": lambda at: seal_again(at, output="metrics"),
    "a file too many": partial(junk, "more.txt", b""),
    **{f"{name} junk": partial(junk, name, b"\xff" * 64) for name in (*TENSORS, "position.json")},
    "position.json deep": partial(junk, "position.json", b"[" * 100_000),
    "position.json empty": partial(junk, "position.json", b"{}"),
    "position.json list": partial(junk, "position.json", b"[]"),
    "position.json at another step": lambda at: position(at, step=18),
    "a step that nobody took": lambda at: (position(at, step=28), seal_again(at, metadata={"step": 28})),
    "position.json at no step": lambda at: position(at, step=-1),
    "position.json of words": lambda at: position(at, totals=["many"]),
    "position.json of no part": lambda at: position(at, part={"name": "../../x", "digest": "", "step": 1}),
    "state.safetensors lacks one": lambda at: tensors(at, "state.safetensors", lambda each: each.popitem()),
    "state.safetensors of another shape": lambda at: tensors(
        at, "state.safetensors", lambda each: each.update({name: np.zeros(7, "f") for name in [*each][:1]})
    ),
    "state.safetensors of another type": lambda at: tensors(
        at, "state.safetensors", lambda each: each.update({name: each[name].astype("f8") for name in each})
    ),
    "gradients.safetensors lacks one": lambda at: tensors(at, "gradients.safetensors", lambda each: each.popitem()),
    "pending.safetensors lacks one": lambda at: tensors(at, "pending.safetensors", lambda each: each.popitem()),
    "pending.safetensors lacks a step": lambda at: tensors(
        at, "pending.safetensors", lambda each: each.update({name: each[name][1:] for name in each})
    ),
    "pending.safetensors is narrower": lambda at: tensors(
        at, "pending.safetensors", lambda each: each.update({"steps/rows": each["steps/rows"][:, :-1].copy()})
    ),
}  # fmt: skip
# All that is wrong with the last part of the record concerns each checkpoint that needs it.
DAMAGED_PARTS: dict[str, Callable[[Path], object]] = {
    "changed": lambda at: flip(part_of(at) / "snapshots/00000016.safetensors", -9),
    "missing": lambda at: shutil.rmtree(part_of(at)),
    "manifest missing": lambda at: (part_of(at) / "manifest.json").unlink(),
    "another one": another_part,
    "without a file": lambda at: [path.unlink() for path in part_of(at).glob("snapshots/*")],
}


def upload(place, uri):
    """Put what is in a folder into the store, as it is."""
    bucket, prefix = split(uri)
    client = Store.from_environment().client
    for path in place.rglob("*"):
        if path.is_file():
            name = prefix + path.relative_to(place).as_posix()
            client.put_object(Bucket=bucket, Key=name, Body=path.read_bytes())
    return uri


def test_the_newest_is_taken_and_nothing_is_said(copy, resume):
    step, said = resume(copy)
    assert step == NEWEST
    assert [line.partition(" (")[0] for line in said] == ["going on from step 27"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_a_sentence_and_the_one_before_it_is_taken(copy, resume, damage):
    newest = checkpoint_of(copy, NEWEST)
    DAMAGES[damage](newest)
    step, (warning, went_on) = resume(copy)
    assert step == BEFORE
    assert warning.startswith("warning: a checkpoint is of no use: ")
    assert newest.name in warning
    assert warning.endswith("; the one before it is taken")
    assert went_on.startswith("going on from step 18 (")


@pytest.mark.parametrize("damage", DAMAGES)
def test_in_the_store_too(s3, copy, resume, damage):
    newest = checkpoint_of(copy, NEWEST)
    DAMAGES[damage](newest)
    step, (warning, _) = resume(upload(copy, s3))
    assert step == BEFORE
    assert warning.startswith("warning: a checkpoint is of no use: ")
    assert newest.name in warning


@pytest.mark.parametrize("damage", DAMAGED_PARTS)
@pytest.mark.parametrize("where", ["local", "s3"])
def test_a_damaged_part_of_the_record_takes_all_with_it_that_need_it(s3, copy, resume, damage, where):
    DAMAGED_PARTS[damage](checkpoint_of(copy, NEWEST))
    step, said = resume(upload(copy, s3) if where == "s3" else copy)
    assert step == 0
    assert [line.rpartition("; ")[2] for line in said] == [
        "the one before it is taken", "there is none before it, so the run begins anew",
    ]  # fmt: skip
    assert all("/record/" in line for line in said)


def test_any_byte(copy, resume):
    """Whichever byte of a checkpoint is another one, it is refused, but for blanks in its manifest."""
    chance = random.Random(5)  # noqa: S311 - no secret
    newest = checkpoint_of(copy, NEWEST)
    for _ in range(60):
        path = chance.choice(sorted(newest.iterdir()))
        data = path.read_bytes()
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= chance.randrange(1, 256)
        if path.name == "manifest.json" and same(data, bytes(changed)):
            continue
        path.write_bytes(changed)
        step, (warning, _) = resume(copy)
        assert step == BEFORE, path.name
        assert newest.name in warning
        path.write_bytes(data)


def same(one, other):
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_a_given_one_that_is_damaged_ends_the_run_and_leaves_its_state(copy, resume, run):
    assert resume(copy)[0] == NEWEST
    newest = checkpoint_of(copy, NEWEST)
    tensors(newest, "gradients.safetensors", lambda each: each.popitem())
    before = {name: each.numpy() for name, each in run.state.variables().items()}
    with pytest.raises(BadInput, match=r"^checkpoint has other gradients than the model has variables: "):
        resume(copy, newest)
    assert all(np.array_equal(before[name], each.numpy()) for name, each in run.state.variables().items())


def test_a_given_one_of_another_run_is_refused(sound, resume, run, ingested, tmp_path):
    given = checkpoint_of(sound, NEWEST)
    other = run.parameters.model_copy(update={"epochs": 3})
    with pytest.raises(BadInput, match=r"^checkpoint is of another run: epochs 2 there, 3 here; give a checkpoint of "):
        Checkpoints.of(other, ingested / "dataset").resume(run.state, given, LAST)
    with pytest.raises(BadInput, match=r"^checkpoint is of a run on another dataset; "):
        Checkpoints(run.parameters, "0" * 64, "").resume(run.state, given, LAST)
    with pytest.raises(BadInput, match=r"^checkpoint is not a checkpoint, but the output metrics of train"):
        resume(tmp_path, sound.parent / "out" / "metrics")
    assert resume(tmp_path, given) == (NEWEST, ["going on from step 27 (checkpoint)"])


def test_what_others_left_there_is_not_looked_at(copy, resume):
    (own,) = copy.iterdir()
    shutil.copytree(checkpoint_of(copy, NEWEST), own / ".tapeline-abc")
    shutil.copytree(checkpoint_of(copy, NEWEST), own / "step-00000099")
    (copy / "a-file").write_text("")
    assert resume(copy)[0] == NEWEST


def test_damaged_ones_go_with_the_old_ones(copy, run, ingested, capsys):
    flip(checkpoint_of(copy, NEWEST) / "state.safetensors", -9)
    checkpoints = resumed(copy, run, ingested)
    assert checkpoints.saved == BEFORE
    capsys.readouterr()
    checkpoints.save(run.state, 20)
    assert steps(copy) == [18, 20]
    shutil.rmtree(checkpoint_of(copy, 18))  # another try of the same run was there first
    checkpoints.save(run.state, 22)
    checkpoints.save(run.state, 24)
    assert steps(copy) == [22, 24]
    assert capsys.readouterr().out == ""


def test_that_old_ones_cannot_be_removed_is_one_warning(copy, run, ingested, capsys, monkeypatch):
    checkpoints = resumed(copy, run, ingested)
    capsys.readouterr()

    def refuse(place):
        raise StoreRefused(f"cannot remove {place}: these credentials may not do this")

    monkeypatch.setattr(location, "remove", refuse)
    for step in (28, 29, 30):
        checkpoints.save(run.state, step)
    assert steps(copy) == [18, 27, 28, 29, 30]
    (warning,) = capsys.readouterr().out.splitlines()
    assert warning.startswith("warning: old checkpoints stay: cannot remove ")


def resumed(place, run, ingested):
    checkpoints = Checkpoints.of(run.parameters.model_copy(update={"checkpoints": str(place)}), ingested / "dataset")
    checkpoints.resume(run.state, None, LAST)
    return checkpoints


def steps(place):
    return sorted(int(each.name.split("-")[1]) for each in place.glob("*/step-*"))
