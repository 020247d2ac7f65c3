# mypy: allow-untyped-defs, allow-untyped-calls
import errno
import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from components.contract import terminal
from components.contract.errors import of_the_machine


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3500, "58 min"), (7800, "2 h 10 min")]
)
def test_a_duration_reads_as_one_would_say_it(seconds, said):
    assert terminal.duration(seconds) == said


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter([0, 10, 10, 29, 29, 40, 40, 41, 41, 41])
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with terminal.Progress(10, 2) as progress:
        progress.advance(3, "step 3")  # after 10 s: too early for a line
        progress.advance(4, "step 4")
        progress.advance(6, "step 6")  # 4 of 8 took 40 s
        progress.advance(7, "step 7")
    assert capsys.readouterr().out == "step 6, 40 s left\n"


def test_in_a_terminal_progress_is_one_line_with_a_bar_and_the_time_left():
    script = (
        "import time\n"
        "from components.contract.terminal import Progress\n"
        "with Progress(4) as progress:\n"
        "    progress.advance(2, 'half')\n"
        "    progress.print('a line that stays')\n"
        "    progress._bar.refresh()\n"
    )
    done = subprocess.run(
        ["/usr/bin/script", "-qec", f'{sys.executable} -c "{script}"', "/dev/null"],
        check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )  # fmt: skip
    assert "half" in done.stdout
    assert "━" in done.stdout
    assert " 0 s left" in done.stdout
    assert "a line that stays" in done.stdout


def test_what_an_encoding_lacks_is_written_more_plainly(monkeypatch):
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", None)  # as where it was closed
    terminal.show_in_any_encoding()
    print("── 28×28 … ≥ 3 é", flush=True)
    assert data.getvalue() == b"-- 28x28 ... >= 3 ?\n"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "/x: No space left on device; make room there"),
        (MemoryError(), "there is not enough memory; give it more"),
        (ImportError("x.so: failed to map segment from shared object"), "there is not enough memory; give it more"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "there is not enough memory; give it more"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "I/O error: No space left on device"),
        (OSError(errno.EROFS, "Read-only file system", "/"), "/: Read-only file system"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; allow more of them (ulimit -n 4096)"),
    ],
)
def test_what_the_machine_lacks_is_a_sentence(error, sentence):
    assert of_the_machine(error).startswith(sentence)


def test_other_errors_are_not_the_machines():
    assert of_the_machine(ValueError("wrong")) == ""
    assert of_the_machine(FileNotFoundError(errno.ENOENT, "No such file or directory", "/x")) == ""
