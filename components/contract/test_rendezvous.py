# mypy: allow-untyped-defs, allow-untyped-calls
"""Several processes of a step: they find each other, follow the chief, and end when one is lost; real processes."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from components.contract.errors import BadInput
from components.contract.rendezvous import ALONE, NUMBER, PLACE, Group, number

# A worker: it meets the others, says what the chief decides, and does what the test says; its times are short.
WORKER = """
import sys, time
from components.contract import command, rendezvous
rendezvous.SILENT_SECONDS, rendezvous.BEAT_SECONDS, rendezvous.GRACE_SECONDS = 1.5, 0.2, 0.5
count, about, do = int(sys.argv[1]), sys.argv[2], sys.argv[3]
def work():
    group = rendezvous.Group(count, {"parameters": about, "dataset": "d"})
    print(*group.meet(1000 + group.number), flush=True)
    for i in range(3):
        print(group.decide("stop", f"{i} of {group.number}"), flush=True)
    with group.watch():
        if do == "follow" and not group.leads:
            group.decide("stop", "")
        if do == "hang":
            time.sleep(60)
        if do == "lead":
            group.part()
            time.sleep(0.5)
    rendezvous._current.finish()
    print("published", flush=True)
command.guard("train", work)
"""


@pytest.fixture
def start():
    """Return a function that starts a worker; all of them are gone afterwards."""
    started = []

    def begin(number, port, count=2, about="p", do="follow", host="127.0.0.1", **env):
        given = {PLACE: f"{host}:{port}", NUMBER: str(number), "TAPELINE_WAIT_SECONDS": "20", **env}
        arguments = [sys.executable, "-c", WORKER, str(count), about, do]
        worker = subprocess.Popen(
            arguments, env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(worker)
        return worker

    yield begin
    for worker in started:
        worker.kill()
        worker.communicate()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def said(worker):
    """Return how a worker ended, what it said, and its last sentence."""
    out, err = worker.communicate(timeout=30)
    return worker.returncode, out.splitlines(), err.strip().splitlines()[-1] if err else ""


def test_all_follow_the_chief_to_the_end_whoever_comes_first(start):
    port = free_port()
    third, second = start(2, port, 3, do="lead"), start(1, port, 3, do="lead")
    time.sleep(0.5)  # they come before the chief is there, and wait for it
    chief = start(0, port, 3, do="lead")
    wait_for(port)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no worker, and in nobody's way
    heard = [" ".join(f"127.0.0.1:{1000 + i}" for i in range(3)), "0 of 0", "1 of 0", "2 of 0", "published"]
    assert [said(worker) for worker in (chief, second, third)] == [(0, heard, "")] * 3


def wait_for(port):
    """Wait until somebody listens there, without a connection that would be taken for a worker's."""
    for _ in range(100):
        with open("/proc/net/tcp") as table:  # noqa: PTH123
            if any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(table)[1:]):
                return
        time.sleep(0.05)


@pytest.mark.parametrize(("sign", "why"), [("KILL", "it ended"), ("STOP", "it has been silent for 1.5 s")])
@pytest.mark.parametrize("lost", [0, 2])
def test_whoever_is_lost_the_others_end_and_say_who(start, sign, why, lost):
    port = free_port()
    workers = [start(i, port, 3, do="hang") for i in range(3)]
    for worker in workers:
        for _ in range(4):
            worker.stdout.readline()
    workers[lost].send_signal(signal.Signals[f"SIG{sign}"])
    code, _, sentence = said(workers[1])
    if lost == 0:
        ends = "; this process does not end by itself, so it is ended"
        assert (code, sentence) == (4, f"the chief, worker 0 of 3, is lost: {why}{ends}")
    else:  # the chief notices, and then it is the chief that ends
        assert (code, sentence.partition(" is lost")[0]) == (4, "the chief, worker 0 of 3,")
        assert said(workers[0])[::2] == (
            4,
            f"worker 2 of 3 is lost: {why}; this process does not end by itself, so it is ended",
        )


def test_one_that_does_not_come_is_named(start):
    port = free_port()
    chief, second = (start(i, port, 4, TAPELINE_WAIT_SECONDS="2") for i in (0, 1))
    assert said(chief) == (4, [], "train: worker 2 and worker 3 of 4 did not come within 2 s")
    code, _, sentence = said(second)
    assert (code, sentence.partition(" was not")[0]) == (4, "train: the chief, worker 0 of 4,")


def test_a_chief_that_is_not_there_nor_known_is_named(start):
    one = start(1, 1, host="nowhere.invalid", TAPELINE_WAIT_SECONDS="1")
    code, _, sentence = said(one)
    assert code == 4
    assert sentence.startswith("train: the chief, worker 0 of 2, was not at nowhere.invalid:1 within 1 s: ")


def test_one_that_does_other_work_is_refused(start):
    port = free_port()
    chief, second = start(0, port), start(1, port, about="q")
    sentence = "train: worker 1 of 2 was started with other parameters than the chief; start all alike"
    assert [said(chief), said(second)] == [(2, [], sentence)] * 2


def test_a_port_that_is_taken_is_worth_another_try(start):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, _, sentence = said(start(0, port))
    assert (code, sentence) == (
        4, f"train: TAPELINE_RENDEZVOUS: the chief cannot listen on port {port}: Address already in use"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({PLACE: "chief:1"}, f"{NUMBER}: '' is not the number of a worker, 0 for the chief; {PLACE} needs it"),
        ({PLACE: "chief:1", NUMBER: "one"}, f"{NUMBER}: 'one' is not the number of a worker, 0 for the chief"),
        ({PLACE: "chief:1", NUMBER: "2"}, f"{NUMBER}: 2, but with workers=2 the last one is 1"),
        ({PLACE: "chief", NUMBER: "1"}, f"{PLACE}: 'chief' is not host:port, where the chief is to be found"),
        ({PLACE: "chief:http", NUMBER: "1"}, f"{PLACE}: 'chief:http' is not host:port"),
    ],
)
def test_settings_that_are_wrong_are_named(monkeypatch, settings, sentence):
    for name in (PLACE, NUMBER):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as failure:
        Group(2).meet(1)
    assert str(failure.value).startswith(sentence)


def test_one_alone_decides_and_waits_for_nobody():
    assert (number(), ALONE.leads, ALONE.decide("stop", 3), ALONE.meet(5)) == (0, True, 3, ["localhost:5"])
    ALONE.finish()
