# mypy: allow-untyped-defs, allow-untyped-calls
import json

import pytest

from components.contract import artifact
from components.contract.errors import BadInput


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "empty").touch(mode=0o600)
    seal(tmp_path)
    return tmp_path


def seal(folder, **fields):
    given = {"component": "c", "output": "o", "parameters": {"n": 1}, "inputs": {"x": "d"}} | fields
    return artifact.seal(folder, **given)


def test_a_manifest_says_what_is_in_the_folder_and_nothing_of_time_or_place(folder):
    assert json.loads((folder / "manifest.json").read_text()) == {
        "schema_version": 1,
        "component": "c",
        "output": "o",
        "parameters": {"n": 1},
        "inputs": {"x": "d"},
        "versions": {},
        "metadata": {},
        "files": {
            "a.txt": {"bytes": 5, "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"},
            "sub/empty": {"bytes": 0, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        },
    }
    assert artifact.verify(folder).files.keys() == {"a.txt", "sub/empty"}
    assert (folder / "sub" / "empty").stat().st_mode & 0o777 == 0o644


def test_sealing_again_gives_the_same_bytes(folder):
    before = (folder / "manifest.json").read_bytes()
    seal(folder)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_changed_file_is_named(folder):
    (folder / "a.txt").write_text("hellO")
    with pytest.raises(BadInput, match=r"/a\.txt was changed or damaged: the manifest says 5 bytes"):
        artifact.verify(folder)


def test_a_missing_file_is_named(folder):
    (folder / "sub" / "empty").unlink()
    with pytest.raises(BadInput, match="sub/empty is missing"):
        artifact.verify(folder)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path):
    with pytest.raises(BadInput, match=r"is not an artifact: it has no manifest\.json"):
        artifact.verify(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "not a manifest of schema version 1: schema_version"),
        ({"files": {"../../etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "points outside the artifact"),
        ({"files": {"/etc/passwd": {"sha256": "0" * 64, "bytes": 1}}}, "points outside the artifact"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_manifest_that_is_none_is_refused(folder, change, message):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadInput, match=message):
        artifact.verify(folder)


def test_what_is_not_finite_is_no_json():
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifact.canonical_json({"loss": float("nan")})
