# mypy: allow-untyped-defs, allow-untyped-calls
"""The pipeline on the built images, with real MNIST: by kfp's local runner, and as Kubeflow's launcher does it.

Whoever calls, the artifacts are the same to the byte: the manifests' digests are compared with those of `make run`.
"""

import json
import os
import subprocess
import time

import pytest
from kfp import compiler, components, local

from components.contract import artifact
from components.contract.kubeflow import names_of
from components.contract.store.client import Store
from components.contract.store.embedded import serve
from dags import kubeflow_check
from dags.cluster import image_of, reference
from dags.kubeflow_pipeline import build
from dags.workflow import WORKFLOW
from tests import parity
from tests.containers import DOCKER, needs_images
from tests.kubeflow.launcher import BUCKET, docker, launch

pytestmark = needs_images


@pytest.fixture(scope="module")
def expected():
    """Return the digests of a local run."""
    return parity.local()


def digests_in(folder):
    """Return the digests in a folder that has one folder a component, with its outputs by either name."""
    found = {}
    for task in WORKFLOW.tasks:
        for item in task.component.outputs if not task.fresh else ():
            places = [folder / task.component.name / name for name in names_of(task.component, item)]
            (path,) = (place for place in places if place.exists())
            if not item.file:
                artifact.verify(path)
            digest = artifact.sha256(path) if item.file else artifact.digest(path)
            found[f"{task.component.name}/{item.name}"] = digest
    return found


@pytest.mark.filterwarnings("ignore:.*have no effect in the current local runner")
def test_kfp_local_gives_the_same_bytes_as_make_run(expected, tmp_path):
    import docker as docker_sdk

    runner = local.DockerRunner(
        user=f"{os.getuid()}:{os.getgid()}",
        read_only=True,
        tmpfs={"/tmp": ""},  # noqa: S108 - a container's own
        cap_drop=["ALL"],
        mounts=[docker_sdk.types.Mount(target="/cache", source=str(parity.CACHE), type="bind")],
    )
    local.init(runner, pipeline_root=str(tmp_path))
    compiled = str(tmp_path / "pipeline.yaml")
    compiler.Compiler().compile(build(WORKFLOW, dependencies=True), compiled)
    components.load_component_from_file(compiled)(**parity.VALUES, unlisted_parameters={"cache": "/cache"})
    (run,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert parity.record("kfp.local", digests_in(run)) == expected


def test_kubeflows_launcher_gives_the_same_bytes_and_a_strict_output(expected, tmp_path):
    parameters = {
        name: dict(each) for name, each in WORKFLOW.parameters_of(parity.VALUES | {"cache": "/cache"}).items()
    }
    outputs = {}
    with serve(tmp_path / "store", BUCKET) as settings:
        store = Store.from_environment(settings)
        for task in WORKFLOW.tasks:
            scratch = tmp_path / task.component.name
            scratch.mkdir()
            # The backend keeps every number as a double.
            values = {k: float(v) if type(v) is int else v for k, v in parameters[task.component.name].items()}
            outputs[task.component.name] = launch(store, task, values, scratch, f"--volume={parity.CACHE}:/cache")
        run = f"s3://{BUCKET}/v2/artifacts/tapeline/run"
        for name in store.names(run):
            store.read(f"{run}/{name}", tmp_path / "got" / name)
    assert parity.record("launcher", digests_in(tmp_path / "got")) == expected
    metrics = outputs["evaluate"]["artifacts"]["evaluate_metrics"]["artifacts"][0]["metadata"]
    assert metrics["accuracy"] > 0.9
    assert outputs["gate"]["parameterValues"] == {"verdict": "blessed"}
    shown = outputs["evaluate"]["artifacts"]["classification"]["artifacts"][0]["metadata"]
    assert len(shown["confusionMatrix"]["rows"]) == len(shown["confusionMatrix"]["annotationSpecs"]) == 10
    assert all(0 <= value <= 1 for point in shown["confidenceMetrics"] for value in point.values())


CHECK = (kubeflow_check.NAME, list(kubeflow_check.COMMAND), "before anything is computed")
STEPS = [(task.name, task.component.command, task.component.help) for task in WORKFLOW.tasks]


@pytest.mark.parametrize(("name", "command", "help_text"), [CHECK, *STEPS])
def test_an_image_is_lean_and_harmless(name, command, help_text):
    image = reference(name)
    inspected = subprocess.run([DOCKER, "image", "inspect", image], check=True, capture_output=True, text=True)
    config = json.loads(inspected.stdout)[0]["Config"]
    assert config["User"] == "65532:65532"
    assert not config["Entrypoint"]
    assert not [line for line in config["Env"] if "AWS" in line or "SECRET" in line or "/run/secrets" in line]
    names = ("title", "source", "revision", "version", "licenses")
    assert set(config["Labels"]) == {f"org.opencontainers.image.{name}" for name in names}
    shown = docker(image, [*command, "--help"])
    assert (shown.returncode, help_text in shown.stdout) == (0, True)
    found = "import importlib.util as u, shutil as s; print(*[m for m in ('tensorflow', 'pip') if u.find_spec(m)], "
    found += "*[c for c in ('gcc', 'cc', 'pip', 'uv', 'curl') if s.which(c)])"
    listed = docker(image, ["python", "-c", found]).stdout.split()
    assert listed == (["tensorflow"] if name in ("train", "evaluate", "handover") else [])
    left = docker(
        image,
        ["find", "/app", "/root", "-name", "test_*", "-o", "-name", "*.gz", "-o", "-name", ".cache"],
    )
    assert left.stdout == ""


def test_a_wrong_value_ends_the_run_at_its_first_task_with_a_sentence():
    document = {
        "inputs": {"parameterValues": {"epochs": 0, "unlisted_parameters": {}}},
        "outputs": {"parameters": {}, "outputFile": "/tmp/output.json"},  # noqa: S108 - the container's own
    }
    done = docker(reference(kubeflow_check.NAME), [*kubeflow_check.COMMAND, "--executor-input", json.dumps(document)])
    assert (done.returncode, done.stderr) == (2, "check: error: epochs: 0 is less than 1\n")


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("train", ["--epochs=0", "--dataset=/x"], 2, "train: epochs: 0 is less than 1\n"),
        ("train", ["--dataset=/x"], 2, "train: missing output: --trained-model"),
        (
            "ingest", ["--source=s3://missing/x", "--dataset=/tmp/d", "--report=/tmp/r"], 2,
            "ingest: no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n",
        ),
        ("export", ["--gradients=/none", "--gradient-tables=/tmp/t", "--report=/tmp/r"], 2, "export: /none is not an"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_in_the_log(name, arguments, code, message):
    (component,) = (task.component for task in WORKFLOW.tasks if task.component.name == name)
    done = docker(image_of(component), [*component.command, *arguments])
    assert done.returncode == code
    assert done.stderr.startswith(message)


def test_a_missing_bucket_is_one_sentence_and_final(tmp_path):
    (component,) = (task.component for task in WORKFLOW.tasks if task.component.name == "ingest")
    arguments = ["--source=s3://nowhere/x", "--dataset=/tmp/d", "--report=/tmp/r"]
    with serve(tmp_path, "there") as settings:
        options = [f"--env={name}={value}" for name, value in settings.items()]
        done = docker(image_of(component), [*component.command, *arguments], *options)
    assert done.returncode == 3
    assert done.stderr.endswith(": there is no such bucket\n")


def test_docker_stop_ends_a_training_at_once_and_leaves_nothing(expected, tmp_path):
    assert expected  # its run has filled the cache
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o777)
    script = (
        "python -m components.train --dataset /w/dataset --epochs 10000 --model convnet "
        "--trained-model /w/m --gradients /w/g --metrics /w/e"
    )
    flags = ["--source=mnist", "--cache=/cache", "--dataset=/w/dataset", "--report=/w/report"]
    options = [f"--volume={work}:/w", f"--volume={parity.CACHE}:/cache"]
    made = docker("tapeline/ingest:dev", ["python", "-m", "components.ingest", *flags], *options)
    assert made.returncode == 0, made.stderr
    before = sorted(path.name for path in work.iterdir())
    command = [DOCKER, "run", "--detach", "--read-only", "--tmpfs=/tmp", f"--volume={work}:/w", "tapeline/train:dev"]
    container = subprocess.run([*command, *script.split()], check=True, capture_output=True, text=True).stdout.strip()
    try:
        while (
            "epoch 1/"
            not in (
                log := subprocess.run([DOCKER, "logs", container], capture_output=True, text=True, check=True)
            ).stdout
        ):
            assert "Traceback" not in log.stderr
            time.sleep(0.2)
        subprocess.run([DOCKER, "stop", "--time=60", container], check=True, capture_output=True)
        code = subprocess.run(
            [DOCKER, "inspect", "--format={{.State.ExitCode}}", container], check=True, capture_output=True, text=True
        )
        assert code.stdout == "143\n"
    finally:
        subprocess.run([DOCKER, "rm", "--force", container], check=True, capture_output=True)
    assert sorted(path.name for path in work.iterdir()) == before
