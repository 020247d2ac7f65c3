# mypy: allow-untyped-defs, allow-untyped-calls
"""A signal ends a process wherever it comes, and leaves no folder behind."""

import subprocess
import sys

import pytest

BEGINNING = """\
import os, signal, sys, tempfile, time, weakref
from pathlib import Path

from components.contract import ending
from components.contract.command import guard
from components.contract.errors import BadInput


def strike():
    os.kill(os.getpid(), signal.SIGTERM)


def work():
    for _ in range(500):
        time.sleep(0.02)
    print("was not ended")


class Struck:
    def __del__(self):
        strike()

"""


def run(body, *words):
    code = BEGINNING + "\n".join(["def main():", *(f"    {line}" for line in body.splitlines()), "guard('it', main)"])
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    "body",
    [
        "work_began = Struck()\ndel work_began\nwork()",
        "struck, kept = Struck(), {}\nweakref.finalize(struck, strike)\ndel struck\nwork()",
        "class Key: pass\nkey = Key()\nseen = weakref.ref(key, lambda _: strike())\ndel key\nwork()",
        "import gc\ngc.callbacks.append(lambda *_: strike())\ngc.collect()\nwork()",
        "twice = [Struck(), Struck()]\ntwice.clear()\nwork()",
        "with ending.held() as asked:\n    key = Struck()\n    del key\n    asked.end()\nwork()",
    ],
    ids=["destructor", "finalizer", "weak reference", "collector", "two at once", "held back"],
)
def test_a_signal_that_comes_where_python_drops_exceptions_is_not_lost(body):
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "it: terminated\n")


@pytest.mark.parametrize("error", ["ValueError('by the library')", "BadInput('by a step')", "OSError(12, 'memory')"])
def test_an_error_that_was_made_of_a_signal_is_said_as_the_signal(error):
    done = run(f"try:\n    strike()\n    work()\nexcept BaseException:\n    raise {error}")
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "it: terminated\n")


def test_what_a_library_did_not_finish_as_it_dropped_the_signal_is_not_published(tmp_path):
    body = """\
import types
from components.contract.declaration import Component, Output, Parameters
from components.contract.run import run
def half(parameters, made):
    try:
        strike()
        work()
    except BaseException:
        (made / "half").write_text("of it")
module = sys.modules["library"] = types.ModuleType("library")
module.half = half
outputs = (Output("made", "Artifact", "Something"),)
component = Component("it", "It", "It.", "library:half", Parameters, (), outputs)
run(component, Parameters(), {}, {"made": sys.argv[1] + "/made"})"""
    done = run(body, str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "it: terminated\n")
    assert list(tmp_path.iterdir()) == []


def test_another_exception_that_python_drops_is_shown_as_ever():
    done = run("class Bad:\n    def __del__(self):\n        raise ValueError('shown')\nbad = Bad()\ndel bad")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "ValueError: shown")


@pytest.mark.parametrize("function", ["mkdir", "unlink", "rmdir", "scandir"])
def test_a_temporary_folder_is_gone_whenever_the_signal_comes(function, tmp_path):
    body = f"""\
real = os.{function}
def struck(*words, **named):
    os.{function} = real
    made = real(*words, **named)
    strike()
    return made
os.{function} = struck
with ending.temporary_folder("x-", Path(sys.argv[1])) as folder:
    for name in "abc":
        (folder / name).mkdir()
        (folder / name / "file").write_text("something")
print("was not ended")"""
    done = run(body, str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "it: terminated\n")
    assert list(tmp_path.iterdir()) == []


def test_a_transfer_that_begins_as_the_signal_comes_is_waited_for():
    """Else it writes into a folder that is being removed."""
    body = """\
from concurrent.futures import ThreadPoolExecutor
from components.contract.store import transfers
submit = ThreadPoolExecutor.submit
def struck(*words):
    made = submit(*words)
    strike()
    return made
ThreadPoolExecutor.submit = struck
def transfer(item, stopped):
    time.sleep(0.5)
    print(item, stopped.is_set())
transfers.in_parallel(transfer, ["first"])"""
    done = run(body)
    assert (done.returncode, done.stdout, done.stderr) == (143, "first True\n", "it: terminated\n")
