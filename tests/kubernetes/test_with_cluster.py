# mypy: allow-untyped-defs, allow-untyped-calls
"""The script that brings a cluster up and down, with a cluster that only writes down what it is asked for."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from tests.containers import images
from tests.kubernetes.cluster import ROOT

SCRIPT = ROOT / "tests/kubernetes/with-cluster"
CLUSTERS = ("k3d", "kind", "minikube")
# All that the script and images/build call, so that nothing else of this machine is found.
TOOLS = ("awk", "basename", "bash", "cut", "dirname", "echo", "git", "mkdir", "realpath", "rm", "sed", "sh", "tee")
WRITES = """#!/bin/sh
echo "${0##*/} $*" >>"$TMPDIR/calls"
test "$1" != "$FAILS"
"""


class Machine:
    """A machine with Docker, kubectl and helm, which do nothing."""

    def __init__(self, folder):
        self.folder = folder
        self.commands = folder / "bin"
        self.commands.mkdir()
        for name in (*TOOLS, "xargs"):
            self.has(name, shutil.which(name))
        for name in ("docker", "kubectl", "helm", "true"):
            self.has(name, shutil.which("true"))

    def has(self, name, path):
        (self.commands / name).unlink(missing_ok=True)
        (self.commands / name).symlink_to(path)

    def writes(self, name):
        """Add a command that writes down its arguments; return its path."""
        path = self.commands / name
        path.write_text(WRITES)
        path.chmod(0o755)
        return path

    def start(self, *command, **environment):
        variables = {"PATH": str(self.commands), "TMPDIR": str(self.folder), "FAILS": "", **environment}
        # Whoever runs the tests in the background has them ignore an interrupt.
        heeds = ["/usr/bin/env", "--default-signal=INT"]
        return subprocess.Popen(
            [*heeds, SCRIPT, *command], env=variables, text=True, cwd=self.folder, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command, **environment):
        """Return the exit code and what was said."""
        with self.start(*command, **environment) as process:
            said = process.communicate()[0]
        return process.returncode, said

    @property
    def calls(self):
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def left(self):
        return (self.folder / "tapeline-test").exists()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_command_has_the_cluster_and_its_exit_code_counts(machine):
    own = machine.writes("own")
    code, said = machine.run("sh", "-c", 'echo "$KUBECONFIG $TAPELINE_CLUSTER"; exit 7', CLUSTER=str(own), TAG="v1")
    kubeconfig = machine.folder / "tapeline-test/kubeconfig"
    assert (code, said.splitlines()[-1]) == (7, f"{kubeconfig} {kubeconfig}")
    names = " ".join(f"tapeline/{name}:v1" for name in images("step", "cluster"))
    assert machine.calls == ["own up", f"own load-image {names}", "own down"]
    assert not machine.left


@pytest.mark.parametrize("verb", ["up", "load-image"])
def test_what_cannot_be_brought_up_is_taken_down_and_the_command_not_run(machine, verb):
    own = machine.writes("own")
    code, said = machine.run("echo", "run", CLUSTER=str(own), FAILS=verb)
    assert (code, "run" in said.splitlines()) == (1, False)
    assert machine.calls[-2].startswith(f"own {verb}")
    assert machine.calls[-1] == "own down"
    assert not machine.left


def test_an_interrupted_command_has_its_cluster_taken_down(machine):
    own = machine.writes("own")
    command = "import time; print('up', flush=True); time.sleep(60)"
    with machine.start(sys.executable, "-c", command, CLUSTER=str(own)) as process:
        assert "up\n" in process.stdout
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait() == -signal.SIGINT
    assert machine.calls[-1] == "own down"
    assert not machine.left


def test_what_cannot_be_taken_down_is_said_with_the_command(machine):
    own = machine.writes("own")
    code, said = machine.run("true", CLUSTER=str(own), FAILS="down")
    assert (code, said.splitlines()[-1]) == (1, f"with-cluster: not taken down; try again: {own} down")


def test_within_a_cluster_that_one_is_used(machine):
    assert machine.run("echo", "run", TAPELINE_CLUSTER="there") == (0, "run\n")
    assert machine.calls == []


def test_a_second_one_at_once_is_refused_and_leaves_the_first_one_alone(machine):
    own = machine.writes("own")
    (machine.folder / "tapeline-test").mkdir()
    code, said = machine.run("true", CLUSTER=str(own))
    assert (code, machine.calls) == (2, [])
    assert said.endswith(f"if it was killed: {own} down; rm -r {machine.folder}/tapeline-test\n")


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_by_name_and_the_first_one_that_is_installed(machine, name):
    machine.writes(name)
    for environment in ({"CLUSTER": name}, {}):
        assert machine.run("true", **environment, CLUSTER_ARGS="--one 1 --two")[0] == 0
    half = machine.calls[: len(machine.calls) // 2]
    assert machine.calls == half + half
    # All that is made or touched has our name.
    assert [call for call in half if "tapeline-test" not in call] == []
    assert half[0].endswith(" --one 1 --two")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "kind, k3d or minikube is needed"),
        ({"CLUSTER": "kind"}, "CLUSTER=kind: there is no command kind"),
        ({"CLUSTER": "kinds"}, "CLUSTER=kinds is neither one of k3d kind minikube nor a script"),
    ],
)
def test_what_is_missing_is_said(machine, environment, said):
    code, output = machine.run("true", **environment)
    assert code == 2
    assert output.startswith(f"with-cluster: {said}")


@pytest.mark.parametrize(
    ("command", "said"),
    [("kubectl", "kubectl is needed"), ("helm", "helm 3 is needed"), ("docker", "Docker does not answer")],
)
def test_a_missing_command_is_said_before_anything_is_made(machine, command, said):
    own = machine.writes("own")
    machine.has(command, shutil.which("false") if command == "docker" else "/nowhere")
    code, output = machine.run("true", CLUSTER=str(own))
    assert (code, machine.calls) == (2, [])
    assert output.startswith(f"with-cluster: {said}")
