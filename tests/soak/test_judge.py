# mypy: allow-untyped-defs, allow-untyped-calls
"""Whatever is wrong is noticed: each of the judge's checks on what is sound, and on what is not."""

import base64
import subprocess
import sys

import pytest

from components.contract import artifact
from components.contract.store.client import Store
from tests.soak import judge, machine
from tests.soak.conftest import sealed
from tests.soak.ground import BUCKET, Run

GOOD = Run(2, "", "waiting: the store is away\nexport: what is wrong\n", 1.0)
TRACE = "Traceback (most recent call last):\n  File x\nexport: what is wrong\n"


@pytest.mark.parametrize(
    ("code", "errors", "noticed"),
    [
        (2, "waiting\nexport: what is wrong\n", []),
        (0, "", []),
        (143, "export: terminated\n", []),
        (-9, "whatever was being said", []),
        (1, "export: what is wrong\n", ["it ended with 1, right is 2 or 0 or 143 or -9"]),
        (2, TRACE, ["there is 'Traceback (most recent call last)' on standard error"]),
        (0, f"{TRACE}\n", ["there is 'Traceback (most recent call last)' on standard error"]),
        (2, "", ["standard error does not end in a sentence of export, but in []"]),
        (2, "export: what\nis wrong\n", ["standard error does not end in a sentence of export, but in ['is wrong']"]),
        (2, "export: a\nexport: b\n", ["there are 2 sentences, not one: ['export: a', 'export: b']"]),
        (143, "", ["it does not say that it was terminated, but []"]),
    ],
)
def test_how_a_step_ends(code, errors, noticed):
    assert list(judge.of_ending("export", Run(code, "", errors, 1.0), (2, 0, 143, -9))) == noticed


def test_a_step_that_hangs():
    assert list(judge.of_ending("export", Run(-9, "", "", 180.0, hung=True), (-9,))) == [
        "it hangs: it was killed after 180 s"
    ]


@pytest.mark.parametrize("where", ["folder", "store"])
def test_what_is_published_is_whole_and_the_right_one(settings, tmp_path, uri, where):
    base = uri if where == "store" else str(tmp_path / "places")
    folder = sealed(tmp_path / "made", "sound")
    store, digest = Store.from_environment(settings), artifact.digest(folder)
    right = {"step/output": [digest]}

    def noticed(whole=True, right=right):
        return list(judge.of_places(base, right, settings, whole=whole))

    (tmp_path / "places/step").mkdir(parents=True)
    assert noticed() == ["step/output is not there"]
    assert noticed(whole=False) == []
    if where == "store":
        store.publish(folder, f"{base}/step/output")
    else:
        folder.rename(tmp_path / "places/step/output")
    assert noticed() == []
    other = "0" * 64
    assert noticed(right={"step/output": [other]}) == [
        f"step/output has other bytes than an undisturbed run makes: {digest}"
    ]
    # A byte that is wrong, with and without being one of the step's outputs; then a file that is missing.
    key = f"{base.removeprefix(f's3://{BUCKET}/')}/step/output/c"
    if where == "store":
        store.client.put_object(Bucket=BUCKET, Key=key, Body=b"c sounD " * 50)
    else:
        (tmp_path / "places/step/output/c").write_bytes(b"c sounD " * 50)
    for outputs in (right, {}):
        (sentence,) = noticed(whole=False, right=outputs)
        assert sentence.startswith("half-published: ")
        assert "c was changed or damaged" in sentence
    if where == "store":
        store.client.delete_object(Bucket=BUCKET, Key=key)
    else:
        (tmp_path / "places/step/output/c").unlink()
    (sentence,) = noticed(whole=False)
    assert "c is missing, but the manifest lists it" in sentence


def test_what_is_left_behind(tmp_path):
    temporary, places = tmp_path / "tmp", tmp_path / "places"
    (places / "step/.tapeline-x/output").mkdir(parents=True)
    temporary.mkdir()
    (temporary / "tapeline-y").mkdir()
    assert list(judge.of_leftovers(temporary, places)) == ["left behind: .tapeline-x, tapeline-y"]
    assert list(judge.of_leftovers(tmp_path / "none", tmp_path / "none")) == []


def test_a_process_that_is_left_behind():
    # A child of a child, whose parents have ended.
    code = "import subprocess; subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    assert process.wait() == 0
    try:
        assert list(judge.of_processes(process.pid)) == ["1 processes are still there"]
    finally:
        machine.end(machine.in_session(process.pid))
    while machine.in_session(process.pid):
        pass
    assert list(judge.of_processes(process.pid)) == []


@pytest.mark.parametrize("form", [str, lambda each: base64.b64encode(each.encode()).decode()])
def test_a_secret_in_a_file_or_in_an_object(settings, tmp_path, uri, form):
    secret = settings["AWS_SECRET_ACCESS_KEY"]
    (tmp_path / "sound").write_text(secret[:-1])
    assert list(judge.of_secrets([tmp_path], [secret], [uri], settings)) == []
    (tmp_path / "log").write_text(f"the key is {form(secret)}!")
    assert list(judge.of_secrets([tmp_path], [secret], [uri], settings)) == ["the secret is in log"]
    key = f"{uri.removeprefix(f's3://{BUCKET}/')}/some/object"
    Store.from_environment(settings).client.put_object(Bucket=BUCKET, Key=key, Body=form(secret).encode())
    assert len(list(judge.of_secrets([], [secret], [uri], settings))) == 1
