# mypy: allow-untyped-defs, allow-untyped-calls
"""`make` on a bare machine: what it lists, a set-up that fails with the sentence that helps, and the doctor."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
AS_ROOT = os.geteuid() == 0
HINT = "`make doctor` says what this machine lacks, and what mends it; then call again."
# What the Makefile and dags/environment call, besides Python and what comes with uv.
TOOLS = ("awk", "dirname", "env", "grep", "head", "make", "mkdir", "mv", "rm", "sed", "sh", "tail")


@pytest.fixture
def machine(tmp_path):
    """Return a fresh clone in a path with spaces, and a function that calls make with a PATH of these programs."""
    clone, programs = tmp_path / "my tape line", tmp_path / "bin"
    programs.mkdir()
    (clone / "dags").mkdir(parents=True)
    (clone / "components/ingest/known").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "uv.lock", "dags/environment", "dags/uv.txt", "dags/doctor.py"):
        shutil.copy(ROOT / name, clone / name)
    shutil.copy(ROOT / "components/ingest/known/mnist.py", clone / "components/ingest/known/mnist.py")
    for name in TOOLS:
        (programs / name).symlink_to(str(shutil.which(name)))

    def make(*arguments, before=(), **environment):
        return subprocess.run(
            [*before, str(programs / "make"), *arguments], check=False, capture_output=True, text=True, cwd=clone,
            env={"PATH": str(programs), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"} | environment,
        )  # fmt: skip

    return clone, programs, make


def python(programs, script='exec "$real" "$@"'):
    """Put a python3 there, which is the real one behind a script."""
    real = os.path.realpath(ROOT / ".venv/bin/python")
    (programs / "python3").write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
    (programs / "python3").chmod(0o755)


def alone():
    """Return the words before a command that keep it from the network, as far as this machine lets us."""
    words = ("unshare", "--net") if AS_ROOT else ("unshare", "--net", "--map-root-user")
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network of its own can be made for a process here")
    return (str(shutil.which("unshare")), *words[1:])


def test_make_lists_every_command_in_groups(machine):
    _, _, make = machine
    done = make()
    assert (done.returncode, done.stderr) == (0, "")
    groups = re.findall(r"^(?!  )(.+)$", done.stdout, re.MULTILINE)
    assert groups == ["Start", "Choose", "Test", "Kubeflow and Airflow", "Images", "Maintenance"]
    listed = re.findall(r"^  make ([a-z-]+) +\S.*$", done.stdout, re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert ["help", *listed] == targets
    assert listed[:2] == ["doctor", "run"]
    assert all(len(line) <= 110 for line in done.stdout.splitlines())


def test_without_python_the_package_is_named(machine):
    clone, _, make = machine
    done = make("run")
    assert done.stderr.startswith("There is no python3 here. As root: apt-get install python3-venv\n")
    assert done.returncode == 2  # make's own
    assert not (clone / ".uv").exists()


@pytest.mark.parametrize("target", ["run", "doctor"])
def test_an_old_python_is_refused_by_its_version(machine, target):
    _, programs, make = machine
    python(programs, '[ "$1" = --version ] && echo Python 3.9.2; exit 1')
    assert make(target).stderr.startswith(
        "Python 3.11 or newer is needed, this is Python 3.9.2. As root: apt-get install python3-venv\n"
    )


def test_a_python_that_makes_no_environments_leads_to_the_doctor(machine):
    clone, programs, make = machine
    python(programs, '[ "$2" = venv ] && exit 1; exec "$real" "$@"')
    assert make("run").stderr.startswith(f"python3 cannot make environments in {clone}.\n{HINT}\n")
    assert list(clone.glob(".uv*")) == []


def test_a_folder_of_another_one_is_said_to_be(machine):
    clone, programs, make = machine
    python(programs)
    clone.chmod(0o555)
    before = ("/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search") if AS_ROOT else ()
    if AS_ROOT:
        shutil.chown(clone, "nobody")
    expected = f"{clone} is not yours to write to: clone the repository to a folder of your own.\n"
    assert make("run", before=before).stderr.startswith(expected)
    doctor = make("doctor", before=before)
    assert f"  lacks  folder    {clone} is not yours to write to\n" in doctor.stdout


def test_without_network_the_set_up_says_so_and_leaves_nothing(machine):
    clone, programs, make = machine
    python(programs)
    done = make("run", before=alone())
    assert re.match(rf"uv could not be downloaded: .*name resolution\.\n{re.escape(HINT)}\n", done.stderr), done.stderr
    assert list(clone.glob(".uv*")) == []


def test_uv_that_cannot_download_leads_to_the_doctor(machine):
    clone, programs, make = machine
    python(programs)
    uv = shutil.which("uv") or ROOT / ".uv/bin/uv"
    (programs / "uv").symlink_to(uv)
    done = make("run", before=alone(), UV_CACHE_DIR=str(clone / "cache"), UV_HTTP_RETRIES="0")
    assert done.returncode == 2
    assert done.stderr.startswith("── Set up .venv from uv.lock, which may take minutes, once\nerror: ")
    assert f"The environment could not be set up.\n{HINT}\n" in done.stderr


def test_the_environment_is_used_without_network_or_a_home(tmp_path):
    done = subprocess.run(
        [*alone(), str(ROOT / "dags/environment"), "dev", "python", "-c", "import numpy, os; print(os.getcwd())"],
        check=True, capture_output=True, text=True, env=os.environ | {"HOME": "/proc/1/nowhere"}, cwd=tmp_path,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == (f"{ROOT}\n", "")


def test_the_doctor_finds_what_a_bare_machine_lacks(machine):
    _, programs, make = machine
    python(programs)
    done = make("doctor", before=alone())
    assert done.returncode == 2
    assert done.stdout.startswith("This machine, for make run and make test: not ready\n")
    rows = dict(re.findall(r"^  (?:ok|lacks|-) +(\w+)  +(.*)$", done.stdout, re.MULTILINE))
    assert rows["git"] == "no git, for updates"
    assert rows["packages"].startswith("pypi.org: ")
    assert rows["data"].startswith("no mirror of MNIST answers")
    assert rows["Docker"] == "no docker"
    assert rows["cluster"] == "no kubectl"
    lacks = re.findall(r"^  lacks +(\w+) .*\n {17}  > (.+)$", done.stdout, re.MULTILINE)
    assert ("Docker", "apt-get install docker.io") in lacks
    assert {name for name, _ in lacks} == {"packages", "data", "Docker", "cluster", "helm"}


def test_the_doctor_is_content_with_a_machine_that_is_set_up(tmp_path):
    # As a person calls it, also when these tests were started by make, which would say that it is the second one.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        [*alone(), "/usr/bin/make", "doctor"], check=False, capture_output=True, text=True, cwd=ROOT,
        env=own | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    first = done.stdout.splitlines()[0]
    assert first == "This machine, for make run and make test: ready", done.stdout
    assert done.returncode == 0
    assert re.search(r"^  - +packages .*not needed while the environment stays as it is$", done.stdout, re.MULTILINE)
