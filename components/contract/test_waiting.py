# mypy: allow-untyped-defs, allow-untyped-calls
import threading
import time

import pytest

from components.contract import waiting
from components.contract.errors import BadInput, StoreUnavailable
from components.contract.waiting import MayPass, patiently


class Away(Exception):
    pass


def away(after=0.0):
    return lambda error: MayPass("it is away", after) if isinstance(error, Away) else None


def failing(times, error=Away):
    """Return a function that fails so often before it answers with how often it was called."""
    calls = []

    def function():
        calls.append(time.monotonic())
        if len(calls) <= times:
            raise error
        return len(calls)

    return function, calls


@pytest.fixture(autouse=True)
def _nothing_was_told(monkeypatch):
    monkeypatch.setattr(waiting, "_told", float("-inf"))


def test_what_may_pass_is_waited_out_and_said_once(capsys):
    assert patiently("see it", failing(3)[0], away()) == 4
    assert capsys.readouterr().err == "waiting (for 5 min at most): cannot see it: it is away\n"


def test_threads_that_wait_for_the_same_say_so_together(capsys):
    threads = [threading.Thread(target=patiently, args=("see it", failing(2)[0], away())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_any_other_failure_is_raised_at_once(capsys):
    function, calls = failing(1, ValueError)
    with pytest.raises(ValueError):
        patiently("see it", function, away())
    assert (len(calls), capsys.readouterr().err) == (1, "")


def test_without_time_to_wait_there_is_one_try(monkeypatch, capsys):
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0")
    function, calls = failing(9)
    with pytest.raises(StoreUnavailable, match=r"^cannot see it: it is away \(not waited for\)$") as error:
        patiently("see it", function, away())
    assert (len(calls), error.value.exit_code, capsys.readouterr().err) == (1, 4, "")


def test_there_is_a_last_try_when_the_time_is_over(monkeypatch):
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0.4")
    function, calls = failing(99)
    with pytest.raises(StoreUnavailable, match="cannot see it: it is away"):
        patiently("see it", function, away(after=3600))
    assert len(calls) == 2
    assert calls[1] - calls[0] >= 0.4


def test_it_is_asked_again_no_sooner_than_it_wants():
    function, calls = failing(1)
    patiently("see it", function, away(after=0.5))
    assert calls[1] - calls[0] >= 0.5


def test_a_failure_that_has_a_sentence_of_its_own_keeps_it(monkeypatch):
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0")

    def function():
        raise StoreUnavailable("nobody has it")

    with pytest.raises(StoreUnavailable, match="nobody has it") as error:
        patiently("see it", function, lambda _: MayPass("it is away"))
    assert error.value.__notes__ == ["not waited for"]


@pytest.mark.parametrize("given", ["five", "-1", "nan", "inf", "1,5"])
def test_a_time_that_is_none(given, monkeypatch):
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", given)
    with pytest.raises(BadInput, match=f"TAPELINE_WAIT_SECONDS: '{given}' is not a number of seconds"):
        waiting.limit()


@pytest.mark.parametrize(
    ("header", "seconds"), [(None, 0), ("120", 120), ("0", 0), ("soon", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_when_to_ask_again(header, seconds):
    assert waiting.asked(header) == seconds


def test_which_answers_may_be_others_soon():
    assert [status for status in range(200, 600) if waiting.may_pass(status)] == [
        408, 429, *(status for status in range(500, 600) if status not in (501, 505))
    ]  # fmt: skip
