# mypy: allow-untyped-defs, allow-untyped-calls
"""What fails a task says why, in the step's own words or in those of what runs it."""

import json
import os
import shutil
from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from dags.airflow_process import Step, failure
from tests.airflow.whole import Ti

SAME = ": the same call would end in the same way"
SHORT = ": it was killed, as when memory is short"


def test_bad_input_is_final_and_everything_else_is_tried_again():
    final = {code: isinstance(failure(Ti(), "train", code, []), AirflowFailException)
             for code in (1, 2, 3, 4, 5, 125, 137, 143)}  # fmt: skip
    assert final == {1: False, 2: True, 3: True, 4: False, 5: True, 125: False, 137: False, 143: False}
    assert isinstance(failure(Ti(), "train", 4, []), AirflowException)


@pytest.mark.parametrize(
    ("code", "lines", "sentence"),
    [
        (2, ["epoch 1/5", "train: epochs: 0 is less than 1"], f"train: epochs: 0 is less than 1 (exit code 2{SAME})"),
        (3, ["train: no bucket a", "no bucket b"], f"train: no bucket a\nno bucket b (exit code 3{SAME})"),
        (2, ["train: no such file", "Traceback (most recent call last):", "OSError"],
         f"train: no such file (exit code 2{SAME})"),
        (4, ["train: the store does not answer"], "train: the store does not answer (exit code 4)"),
        (1, ["Traceback (most recent call last):", "MemoryError: no"], "MemoryError: no (exit code 1)"),
        (-9, ["train: a warning", "epoch 1/5"], f"train ended with exit code -9{SHORT}; its last line: epoch 1/5"),
        (137, [], f"train ended with exit code 137{SHORT}"),
        (143, ["train: terminated"], "train: terminated (exit code 143: it was ended from outside)"),
        (-15, ["epoch 1/5"], "train ended with exit code -15: it was ended from outside; its last line: epoch 1/5"),
        (125, ["docker: no such image.", "", "Run 'docker run --help'"], "docker: no such image. (exit code 125)"),
        (125, ["Unable to find image 'x' locally", "docker: pull access denied for x.", "See 'docker run --help'."],
         "docker: pull access denied for x.\nSee 'docker run --help'. (exit code 125)"),
        (125, ["unknown flag: --nework", "See 'docker run --help'."], "unknown flag: --nework (exit code 125)"),
        (127, ["setpriv: failed to execute docker: No such file or directory"],
         "setpriv: failed to execute docker: No such file or directory (exit code 127)"),
    ],
)  # fmt: skip
def test_what_a_step_said_of_its_failure_is_in_the_exception(code, lines, sentence):
    ti = Ti()
    assert str(failure(ti, "train", code, lines)) == sentence
    assert ti.told == {"failure": {"sentence": sentence, "exit_code": code}}


needs_docker = pytest.mark.skipif(not shutil.which("docker"), reason="needs Docker's command")


def shell(script, **options):
    """Return a step that is a shell's script."""
    return Step(task_id="train", command=["sh", "-c"], arguments=[script], on_blocked=lambda _: None, **options)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo epoch 1/5; kill -KILL $$", f"train ended with exit code -9{SHORT}; its last line: epoch 1/5"),
        ("echo train: terminated >&2; exit 143", "train: terminated (exit code 143: it was ended from outside)"),
        pytest.param("docker run no.such.registry.invalid/x", "docker: ", marks=needs_docker),
        pytest.param("docker run --no-such-option", "unknown flag: --no-such-option", marks=needs_docker),
        ("exit 3", f"train ended with exit code 3{SAME}"),
    ],
)
def test_a_process_that_ends_says_why(script, sentence):
    with pytest.raises(AirflowException) as error:
        shell(script).execute({"ti": Ti()})
    assert str(error.value).startswith(sentence)


def test_a_process_is_told_what_the_deployment_does_not_say_itself(monkeypatch):
    monkeypatch.setenv("SAID", "by the deployment")
    step, ti = shell('echo "$SAID, $MORE"; exit 1', variables={"SAID": "by default", "MORE": "and more"}), Ti()
    with pytest.raises(AirflowException, match="by the deployment, and more"):
        step.execute({"ti": ti})


def test_a_process_that_takes_too_long_is_ended_and_says_what_it_did_last():
    step, ti = shell("echo epoch 1/5; exec sleep 60", execution_timeout=timedelta(seconds=1)), Ti()
    with pytest.raises(AirflowTaskTimeout) as error, timeout(1):
        step.execute({"ti": ti})
    assert str(error.value) == "train: it was ended after 1 s, its time limit; its last line: epoch 1/5"
    assert ti.told["failure"]["sentence"] == str(error.value)
    assert step._process.returncode == -15


class Cluster:
    """What stands in for Kubernetes: it notes which pods are deleted."""

    def __init__(self):
        self.deleted = []

    def delete_pod(self, pod):
        self.deleted.append(pod.metadata.name)


@pytest.fixture
def train(monkeypatch):
    """Return the task of train as a pod, without a cluster."""
    monkeypatch.setenv("TAPELINE_AIRFLOW_RUNNER", "kubernetes")
    task = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["tapeline"].task_dict["train"]
    task.log_events_on_failure = False  # there is no cluster to ask
    task.patch_already_checked = task.process_pod_deletion = task.is_istio_enabled = lambda *_, **__: None
    task.pod_manager = Cluster()
    return task


def pod(phase="Failed", state=None, **status):
    """Return a pod in a phase, the container of the step being in a state."""
    statuses = [k8s.V1ContainerStatus(name="base", image="", image_id="", ready=False, restart_count=0, state=state)]
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="pod"), spec=k8s.V1PodSpec(containers=[]),
        status=k8s.V1PodStatus(phase=phase, container_statuses=statuses if state else None, **status),
    )  # fmt: skip


def ended(code, message=None, reason=None):
    return k8s.V1ContainerState(
        terminated=k8s.V1ContainerStateTerminated(exit_code=code, message=message, reason=reason)
    )


def waits(reason, message):
    return k8s.V1ContainerState(waiting=k8s.V1ContainerStateWaiting(reason=reason, message=message))


def condition(kind, status, reason, message):
    return [k8s.V1PodCondition(type=kind, status=status, reason=reason, message=message)]


LATE = "Pod took too long to be scheduled on the cluster, giving up."
OOM = "OOMKilled: it took more memory than it may"
PULL = 'Back-off pulling image "x/train:9": not found'


@pytest.mark.parametrize(
    ("failed", "sentence", "final"),
    [
        (pod(state=ended(2, "train: epochs: 0 is less than 1")), f"train: epochs: 0 is less than 1 (exit code 2{SAME})",
         True),
        (pod(state=ended(4, "epoch 1/5\ntrain: the store does not answer")),
         "train: the store does not answer (exit code 4)", False),
        (pod(state=ended(137, "epoch 1/5", "OOMKilled")),
         f"train ended with exit code 137{SHORT} ({OOM}); its last line: epoch 1/5", False),
        (pod(state=ended(143, "train: terminated"),
             conditions=condition("DisruptionTarget", "True", "PreemptionByScheduler", "making\nroom")),
         "train: terminated (exit code 143: it was ended from outside (PreemptionByScheduler: making room))", False),
        (pod(state=ended(1)), "train ended with exit code 1", False),
        (pod(reason="Evicted", message="The node was low on resource: memory."),
         "train: Evicted: The node was low on resource: memory.", False),
        (pod("Pending", waits("ImagePullBackOff", PULL)), f"train: ImagePullBackOff: {PULL}", False),
        (pod("Pending", waits("CreateContainerConfigError", 'secret "tapeline-store" not found')),
         'train: CreateContainerConfigError: secret "tapeline-store" not found', False),
    ],
)  # fmt: skip
def test_a_pod_that_failed_says_what_its_step_or_kubernetes_said(train, failed, sentence, final):
    told = Ti()
    with pytest.raises(AirflowException) as error:
        train.cleanup(pod=failed, remote_pod=failed, xcom_result=None, context={"ti": told})
    assert str(error.value) == sentence
    assert isinstance(error.value, AirflowFailException) is final
    assert told.told["failure"]["sentence"] == sentence
    assert train.pod_manager.deleted == (["pod"] if failed.status.phase == "Pending" else [])


@pytest.mark.parametrize(
    ("waiting", "event", "sentence"),
    [
        (pod("Pending", conditions=condition("PodScheduled", "False", "Unschedulable", "0/1: 1 Insufficient gpu")),
         LATE, f"train: {LATE}; Unschedulable: 0/1: 1 Insufficient gpu"),
        (pod("Running", k8s.V1ContainerState(running=k8s.V1ContainerStateRunning())), "is late", "train: is late"),
    ],
)  # fmt: skip
def test_a_pod_that_is_late_is_ended_and_says_what_it_waited_for(train, monkeypatch, waiting, event, sentence):
    hook = SimpleNamespace(get_pod=lambda *_: waiting)
    monkeypatch.setattr(type(train), "hook", hook)
    train._write_logs = lambda *_, **__: None
    told = Ti()
    with pytest.raises(AirflowException) as error:
        train.trigger_reentry({"ti": told}, {"status": "timeout", "message": event, "name": "pod", "namespace": "n"})
    assert str(error.value) == told.told["failure"]["sentence"] == sentence
    assert train.pod_manager.deleted == ["pod"]


def test_a_pod_that_is_gone_or_refused_is_said(train, monkeypatch):
    def answer(status, message):
        error = ApiException(status=status)
        error.body = json.dumps({"message": message})

        def ask(*_, **__):
            raise error

        return ask

    monkeypatch.setattr(type(train), "hook", SimpleNamespace(get_pod=answer(404, "not found")))
    told = Ti()
    with pytest.raises(AirflowException) as error:
        train.trigger_reentry({"ti": told}, {"status": "failed", "message": "", "name": "pod", "namespace": "n"})
    gone = "train: its pod pod is gone, as when a node is lost or somebody deletes it"
    assert str(error.value) == told.told["failure"]["sentence"] == gone
    train.durable = train.reattach_on_restart = False
    train.pod_manager.create_pod = answer(403, "pods is forbidden: exceeded quota: small")
    with pytest.raises(AirflowException) as error:
        train.get_or_create_pod(pod(), {"ti": told})
    assert str(error.value) == "train: Kubernetes refuses its pod: pods is forbidden: exceeded quota: small"


def test_a_pod_of_an_earlier_try_is_waited_for_only_if_it_does_the_same(train, monkeypatch):
    def asked(attempt, image="x/train:1", seed=0, phase="Running"):
        made = pod(phase)
        args = [f"--gradients=s3://b/{attempt}/gradients", "--dataset=s3://b/dataset", f"--seed={seed}"]
        made.spec.containers = [k8s.V1Container(name="sidecar"), k8s.V1Container(name="base", image=image, args=args)]
        made.metadata.name = attempt
        return made

    for other, kept, deleted in (
        (asked("old"), "old", []),
        (asked("old", seed=1), "new", ["old"]),
        (asked("old", image="x/train:2"), "new", ["old"]),
        (asked("old", phase="Failed"), "new", []),
    ):
        there = [other]
        train.pod_manager = Cluster()
        train.pod_manager.create_pod = lambda pod: pod
        train._get_pod_from_task_state_store = lambda _: None
        train._persist_pod_identity_to_task_state_store = lambda *_: None
        monkeypatch.setattr(train, "find_pod", lambda *_, there=there, **__: next(iter(there), None))
        train.patch_already_checked = lambda *_, there=there, **__: there.clear()
        train.pod = train.get_or_create_pod(asked("new"), {"ti": Ti()})
        assert train.pod.metadata.name == kept
        assert train.called_with[0] == f"--gradients=s3://b/{kept}/gradients"
        assert train.pod_manager.deleted == deleted
