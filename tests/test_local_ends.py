# mypy: allow-untyped-defs, allow-untyped-calls
"""`make run` in bad weather: no room, no permission, odd terminals, a reader that leaves, and what it says of it."""

import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.local import RUN, SMALL, call, servers_of, wait_for

AS_ROOT = os.geteuid() == 0
# Root without the right to pass over permissions, which is an ordinary user to a file.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner") if AS_ROOT else ()


@pytest.fixture
def disk(tmp_path):
    """Return a function that makes a file system of so many MB."""
    mounted = []

    def mount(megabytes):
        path = tmp_path / "disk"
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
        if not AS_ROOT or subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("only root can mount a small disk")
        mounted.append(path)
        return path

    yield mount
    for path in mounted:
        subprocess.run(["/bin/umount", path], check=True)


@pytest.mark.parametrize("where", ["folder", "temporary files"])
def test_without_room_nothing_is_started(disk, tmp_path, where):
    small = disk(8)
    folder = small / "run" if where == "folder" else tmp_path / "run"
    done = call(folder, **({} if where == "folder" else {"TMPDIR": str(small)}))
    assert (done.returncode, done.stdout) == (1, "")
    advice = "make room, or give another --folder or TMPDIR"
    assert done.stderr == f"run: {small} has 8 MB left, and a run may take 700 MB; {advice}\n"
    assert not folder.exists()


def test_a_disk_that_fills_up_is_said_and_the_next_run_goes_on(disk):
    small = disk(740)
    folder = small / "run"
    with subprocess.Popen(
        [*RUN, f"--folder={folder}", *SMALL, "--epochs=1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        wait_for(process, "── Train")
        size = shutil.disk_usage(small).free - 2**20
        with (small / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        _, errors = process.communicate(timeout=120)
    assert process.returncode in (1, 4)
    last = errors.splitlines()[-1]
    # A step's own failure, or that of keeping its report.
    assert re.match(r"run: (\w+ ended with exit code \d; .* MB left|No space left on device); make room", last), last
    assert "Traceback" not in errors
    (small / "filler").unlink()
    again = call(folder, "--epochs=1")
    assert again.returncode == 0
    assert again.stdout.count("nothing has changed") >= 1


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_cannot_be_is_refused(tmp_path, place):
    (tmp_path / "file").touch()
    done = call(tmp_path / place)
    assert (done.returncode, done.stdout) == (2, "")
    store = tmp_path / place / "store"
    assert done.stderr == f"run: {store} cannot be made: a file is in its way; give another --folder\n"


def test_a_folder_that_is_another_ones_is_said_to_be(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o555)
    whose = ""
    if AS_ROOT:
        shutil.chown(theirs, "nobody")
        whose = f" ({theirs} belongs to nobody, and this is root)"
    done = call(theirs / "run", before=ORDINARY)
    assert (done.returncode, done.stdout) == (1, "")
    advice = "choose a place that you may write to, or have it made yours"
    assert done.stderr == f"run: {theirs}/run: Permission denied{whose}; {advice}\n"


# Python takes UTF-8 for C and POSIX by itself; what is left are encodings that are asked for.
@pytest.mark.parametrize(
    ("environment", "line"),
    [
        ({"PYTHONIOENCODING": "ascii"}, "-- Ingest and validate"),
        ({"PYTHONIOENCODING": "latin-1"}, "-- Ingest and validate"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "-- Ingest and validate"),
        ({"LC_ALL": "C"}, "── Ingest and validate"),
        ({"TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "20"}, "── Ingest and validate"),
    ],
)
def test_any_terminal_will_do(first, environment, line):
    folder, printed = first
    done = call(folder, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == line
    assert done.stdout.splitlines()[-1] == printed.splitlines()[-1]


def test_who_reads_may_leave_early(first):
    folder, _ = first
    with subprocess.Popen(
        [*RUN, f"--folder={folder}", *SMALL], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "── Ingest and validate\n"
        process.stdout.close()
        assert process.wait(60) == 128 + signal.SIGPIPE
        assert process.stderr
        assert process.stderr.read() == ""
    assert servers_of(folder) == []


@pytest.mark.parametrize(("redirection", "code"), [(">&-", 0), (">/dev/full", 1)])
def test_standard_output_may_be_closed_or_full(first, redirection, code):
    folder, _ = first
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *RUN, f"--folder={folder}", *SMALL],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr == ("" if code == 0 else done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("run: No space left on device; make room") == (code == 1)


def test_the_next_run_goes_on_where_one_was_interrupted(tmp_path):
    folder, values = tmp_path / "run", ("--epochs=30", "--checkpoint-every=14")
    process = subprocess.Popen(
        [*RUN, f"--folder={folder}", *SMALL, *values],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    wait_for(process, "epoch 3/")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    again = call(folder, *values)
    assert (again.returncode, again.stderr) == (0, "")
    assert re.search(r"^going on from step \d+ ", again.stdout, re.MULTILINE)
    assert not (folder / "checkpoints").exists()


def test_a_step_that_runs_out_of_memory_is_said_to_be_killed(tmp_path):
    command = [*RUN, f"--folder={tmp_path / 'run'}", *SMALL, "--epochs=10000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1)
    wait_for(process, "epoch 1/")
    step = next(pid for pid in _children(process.pid) if "components.train" in _command(pid))
    os.kill(step, signal.SIGKILL)  # as Linux does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL
    how = "as Linux does when the memory is used up"
    assert errors == f"run: train was ended by SIGKILL, {how}; end other programs, and call again\n"


def test_quiet_prints_the_last_line_alone(first):
    folder, printed = first
    done = call(folder, "--quiet")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", printed.splitlines()[-1] + "\n")
    failed = call(folder, "--quiet", "--batch-size=4096")
    assert (failed.returncode, failed.stdout) == (2, "")
    assert failed.stderr.startswith("train: batch_size: 4096 images a step")


def test_json_is_one_document_whatever_comes(first, tmp_path):
    folder, printed = first
    done = call(folder, "--json")
    assert json.loads(done.stdout) == json.loads((folder / "summary.json").read_text())
    assert json.loads(done.stdout)["sentence"] == printed.splitlines()[-1]
    assert "── Ingest and validate" in done.stderr
    failed = call(folder, "--json", "--batch-size=4096")
    document = json.loads(failed.stdout)
    assert (failed.returncode, document["state"], document["exit_code"]) == (2, "failed", 2)
    assert document["sentence"] == "train: batch_size: 4096 images a step, but there are only 448 to train on"
    assert list(document["artifacts"]) == ["ingest"]
    refused = call(tmp_path / "run", "--json", "--epochs=0")
    assert json.loads(refused.stdout) == {"state": "failed", "exit_code": 2, "sentence": "epochs: 0 is less than 1"}
    assert refused.stderr == "run: epochs: 0 is less than 1\n"


def _children(pid):
    return map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
