# mypy: allow-untyped-defs, allow-untyped-calls
"""The registry: versions, the blessed one, and what many at once make of it, in a folder and in a real store."""

import concurrent.futures
import json
import subprocess
import sys
from pathlib import Path

import pytest

from components.artifacts.registry import Registry, State
from components.contract import artifact
from components.contract.errors import BadInput

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["folder", "store"])
def registry(request, tmp_path, s3, monkeypatch):
    monkeypatch.setenv("TAPELINE_BY", "somebody")
    monkeypatch.setenv("TAPELINE_RUN", "a run")
    return Registry(str(tmp_path / "registry") if request.param == "folder" else f"{s3}/registry")


def model(folder, text="weights"):
    """Return an artifact, as a model or its metrics are."""
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "file.txt").write_text(text)
    artifact.seal(folder, component="train", output="trained_model", parameters={}, inputs={})
    return folder


def a_version(number, why="it is better"):
    digest = f"{number:064}"
    return {"model": digest, "metrics": digest, "dataset": digest, "figures": {"accuracy": number / 10}, "why": why}


def test_a_shelf_from_the_first_version_on(registry):
    shelf = registry.shelf("digits", "0123456789ab")
    assert shelf.state() == State()
    assert shelf.state().current is None
    for number in (1, 2, 3):
        assert shelf.bless(lambda state: a_version(len(state.versions) + 1)).current.number == number
    assert shelf.bless(lambda _: None).current.number == 3  # nothing is decided
    assert shelf.promote(1, "the last two are slow").current.model == f"{1:064}"
    assert shelf.roll_back("they are not").current.number == 3
    state = shelf.roll_back("")
    assert (state.current.number, state.withdrawn, sorted(state.versions)) == (2, {1, 3}, [1, 2, 3])
    assert [(each.action, each.version, each.why) for each in state.events] == [
        ("bless", 1, "it is better"), ("bless", 2, "it is better"), ("bless", 3, "it is better"),
        ("promote", 1, "the last two are slow"), ("roll back", 3, "they are not"), ("roll back", 2, ""),
    ]  # fmt: skip
    assert {(each.by, each.run) for each in state.events} == {("somebody", "a run")}
    assert shelf.promote(3, "after all").withdrawn == {1}


def test_what_cannot_be_done_changes_nothing(registry):
    shelf = registry.shelf("digits", "0123456789ab")
    with pytest.raises(BadInput, match="nothing before the blessed version of digits to go back to"):
        shelf.roll_back("")
    shelf.bless(lambda _: a_version(1))
    with pytest.raises(BadInput, match="there is no version 2; there are: 1"):
        shelf.promote(2, "")
    with pytest.raises(BadInput, match="version 1 of digits is the blessed one already"):
        shelf.promote(1, "")
    assert len(shelf.state().events) == 1


def test_of_fifty_who_bless_at_once_none_is_lost(registry):
    def bless(number):
        return registry.shelf("digits", "0123456789ab").bless(
            lambda state: a_version(number, f"after {len(state.versions)}")
        )

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        list(pool.map(bless, range(50)))
    state = registry.shelf("digits", "0123456789ab").state()
    assert sorted(int(version.model) for version in state.versions.values()) == list(range(50))
    assert [event.version for event in state.events] == list(range(1, 51))
    # Each decided on what was there, and on nothing older.
    assert [event.why for event in state.events] == [f"after {number}" for number in range(50)]
    assert state.current.number == 50


def test_artifacts_are_kept_beside_it(registry, tmp_path):
    folder = model(tmp_path / "model")
    digest = registry.keep(folder)
    assert registry.keep(folder) == digest == artifact.digest(folder)  # once more does no harm
    assert artifact.verify(folder)  # and what was kept is still there
    assert artifact.digest(registry.fetch(digest, tmp_path / "got")) == digest


def test_shelves_are_found(registry, tmp_path):
    assert registry.shelves() == []
    registry.keep(model(tmp_path / "model"))
    for name in ("letters", "digits"):
        registry.shelf(name, "0123456789ab").bless(lambda _: a_version(1))
    assert [(shelf.name, shelf.test_set) for shelf in registry.shelves()] == [
        ("digits", "0123456789ab"), ("letters", "0123456789ab")
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "artifacts", "a/b", "..", "-x", "é", "x" * 64])
def test_a_name_that_is_none_is_refused(name, tmp_path):
    with pytest.raises(BadInput, match="is no name for a model"):
        Registry(str(tmp_path)).shelf(name, "0123456789ab")


@pytest.mark.parametrize(
    "said",
    [
        {}, {"action": "bless"}, {"action": "bless", "version": 2, **a_version(1)}, {"action": "sell", "version": 1},
        {"action": "promote", "version": 1}, {"action": "roll back", "version": 1}, {"action": "bless", "version": "x"},
    ],
)  # fmt: skip
def test_an_entry_that_is_none_is_named(said, tmp_path):
    place = tmp_path / "digits" / "0123456789ab"
    place.mkdir(parents=True)
    (place / "000001.json").write_text(json.dumps({"document": said}))
    with pytest.raises(BadInput, match=r"0123456789ab: entry 1 is none of a registry: "):
        Registry(str(tmp_path)).shelf("digits", "0123456789ab").state()


def call(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "components.artifacts.registry", *arguments], cwd=ROOT, capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "TAPELINE_BY": "somebody", **environment}, check=False,
    )  # fmt: skip


def test_the_command(tmp_path):
    registry = Registry(str(tmp_path / "registry"))
    place = {"TAPELINE_REGISTRY": registry.place}
    empty = call("list", **place)
    assert (empty.returncode, empty.stdout) == (0, f"{registry.place} is empty: nothing has been blessed yet\n")
    kept = [registry.keep(model(tmp_path / text, text)) for text in ("one", "two")]
    for version in [a_version(9) | {"model": digest, "metrics": digest} for digest in kept]:
        registry.shelf("digits", "0123456789ab").bless(lambda _, version=version: version)  # type: ignore[misc]
    listed = call("list", **place).stdout.splitlines()
    assert listed[3].split()[:6] == ["digits", "0123456789ab", "2", "2", "90.00", "%"]
    back = call("rollback", "digits", "--why", "it is slow", **place)
    assert back.returncode == 0
    assert [line.split()[:2] for line in back.stdout.splitlines() if "artifacts/" in line] == [
        ["1", "blessed"], ["2", "withdrawn"]
    ]  # fmt: skip
    assert "it is slow" in back.stdout
    assert call("promote", "digits/0123456789ab", "2", **place).returncode == 0
    assert call("verify", **place).stdout == f"{registry.place}: 1 models, 2 artifacts, all as they were put\n"
    (Path(registry.artifact(kept[0])) / "more" / "file.txt").write_text("changed")
    damaged = call("verify", "digits", **place)
    assert (damaged.returncode, "more/file.txt was changed or damaged" in damaged.stderr) == (2, True)


def test_what_the_command_refuses(tmp_path):
    registry = Registry(str(tmp_path))
    for test_set in ("0123456789ab", "ba9876543210"):
        registry.shelf("digits", test_set).bless(lambda _: a_version(1))
    for arguments, sentence in (
        (
            ["--folder", str(tmp_path / "none"), "list"],
            "no registry: give --registry or TAPELINE_REGISTRY, a path or s3",
        ),
        (["--registry", registry.place, "show", "digit"], "has no model 'digit' (did you mean digits?)"),
        (["--registry", registry.place, "show", "digits"], "say which: digits/0123456789ab, digits/ba9876543210"),
        (["--registry", registry.place, "promote", "digits/0123456789ab", "7"], "there is no version 7"),
    ):
        refused = call(*arguments)
        assert (refused.returncode, refused.stdout, sentence in refused.stderr) == (2, "", True), refused.stderr
