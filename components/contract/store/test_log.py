# mypy: allow-untyped-defs, allow-untyped-calls
"""A log has each number once, whoever writes at the same time, in a folder and in a real store."""

import concurrent.futures
import json
import re
from pathlib import Path

import pytest

from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store
from components.contract.store.conftest import answering, problem
from components.contract.store.log import Entry, Log


@pytest.fixture(params=["folder", "store"])
def place(request, tmp_path, s3):
    return str(tmp_path / "log") if request.param == "folder" else f"{s3}/log"


def test_entries_come_back_in_order(place):
    log = Log(place)
    assert log.entries() == []
    assert [log.add({"what": word}) for word in ("one", "two", "three")] == [1, 2, 3]
    assert Log(place + "/").entries(after=1) == [Entry(2, {"what": "two"}), Entry(3, {"what": "three"})]


def test_of_fifty_writers_each_gets_a_number_of_its_own(place):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        numbers = list(pool.map(lambda writer: Log(place).add({"writer": writer}), range(50)))
    assert sorted(numbers) == list(range(1, 51))
    entries = Log(place).entries()
    assert [entry.number for entry in entries] == list(range(1, 51))
    assert {entry.number: entry.document["writer"] for entry in entries} == dict(zip(numbers, range(50), strict=True))


def test_of_fifty_who_want_the_same_number_one_has_it(place):
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        # All say the very same, so only what each has put tells them apart.
        won = list(pool.map(lambda _: Log(place).append({"what": "first"}, 1), range(50)))
    assert won.count(True) == 1
    assert Log(place).entries() == [Entry(1, {"what": "first"})]


def test_what_is_decided_is_true_of_what_is_there(place):
    log = Log(place)
    seen: list[int] = []

    def choose(entries):
        if not seen:
            Log(place).add({"what": "in between"})
        seen.append(len(entries))
        return {"after": len(entries)} if len(entries) < 2 else None

    assert log.decide(choose) == (2, {"after": 1})
    assert log.decide(choose) == (2, None)
    assert seen == [0, 1, 2]


def test_other_files_are_no_entries(tmp_path):
    Log(str(tmp_path)).add({"what": "one"})
    for name in ("notes.txt", "00002.json", "٠٠٠٠٠٢.json", ".000002.json"):
        (tmp_path / name).write_text("{}")
    assert Log(str(tmp_path)).entries() == [Entry(1, {"what": "one"})]
    assert min(path.name for path in tmp_path.iterdir() if path.name.startswith("0")) == "000001.json"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"document": 1}', '{"document": {}', '{"document": {"a": NaN}}'])
def test_an_entry_that_is_none_is_named(tmp_path, text):
    (tmp_path / "000001.json").write_text(text)
    with pytest.raises(BadInput, match=re.escape(f"{tmp_path}/000001.json")):
        Log(str(tmp_path)).entries()


def test_an_entry_that_was_changed_in_the_store_is_named(s3):
    log = Log(s3)
    log.add({"what": "one"})
    store = Store.from_environment()
    bucket, _, key = f"{s3}/000001.json".removeprefix("s3://").partition("/")
    found = store.client.get_object(Bucket=bucket, Key=key)
    changed = found["Body"].read().replace(b"one", b"two")
    store.client.put_object(Bucket=bucket, Key=key, Body=changed, Metadata=found["Metadata"])
    with pytest.raises(BadInput, match=r"000001\.json was changed or damaged"):
        log.entries()


@pytest.mark.usefixtures("keys")
def test_without_conditional_writes_there_is_no_log(monkeypatch):
    # One store says so, another takes no notice of the condition.
    for answer, deleted in (problem(501, "NotImplemented"), False), ((200, b"", {"ETag": '"1"'}), True):
        with answering([answer]) as (port, asked):
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            with pytest.raises(StoreRefused, match=r"write s3://tests/log/000007\.json: this store knows no cond"):
                Log("s3://tests/log").append({"what": "one"}, 7)
        assert (asked[-1] == "DELETE /tests/log/000007.json") is deleted


@pytest.mark.usefixtures("keys")
def test_an_answer_that_was_lost_does_not_lose_the_number(monkeypatch):
    held: list[bytes] = []

    def answer(asked):
        if asked.command == "GET":
            return 200, held[0], {"ETag": '"1"'}
        if held:
            return problem(412, "PreconditionFailed")
        held.append(asked.body)
        return 0, b""  # it is stored, and nobody hears of it

    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "10")
    with answering(answer) as (port, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        assert Log("s3://tests/log").append({"what": "one"}, 1)
    assert json.loads(held[0])["document"] == {"what": "one"}


def test_a_number_that_no_entry_has_is_refused(tmp_path):
    for number in (0, 1_000_000):
        with pytest.raises(BadInput, match=f"from 1 to 999999, and this would be {number}"):
            Log(str(tmp_path)).append({}, number)
    assert list(Path(tmp_path).iterdir()) == []
