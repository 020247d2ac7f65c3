# mypy: allow-untyped-defs, allow-untyped-calls
"""A step as a pod, from its start to its end, with what stands in for Kubernetes' API; the triggerer is restarted."""

import asyncio
import contextlib
import copy
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.sdk.exceptions import TaskDeferred

from tests.airflow.whole import Ti


def status(phase, state):
    container = {"name": "base", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}
    return {"phase": phase, "containerStatuses": [container]}


RUNNING = status("Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
DONE = status("Succeeded", {"terminated": {"exitCode": 0}})


class Kubernetes(BaseHTTPRequestHandler):
    """Pods in memory: made, listed, read, changed and deleted; each runs until somebody says that it is done."""

    pods: ClassVar[dict[str, Any]] = {}
    address, reads = "", 0

    def do_POST(self):
        pod = self.given()
        pod["status"] = RUNNING
        self.pods[pod["metadata"]["name"]] = pod
        self.answer(pod)

    def do_GET(self):
        type(self).reads += 1
        *_, kind, name = urlsplit(self.path).path.split("/")
        if name == "log":
            self.answer("2026-01-01T00:00:00Z epoch 1/1\n")
        elif name in ("pods", "events"):
            self.answer({"items": list(self.pods.values()) if name == "pods" else [], "metadata": {}})
        elif name in self.pods:
            self.answer(self.pods[name])
        else:
            self.answer({"message": f"{kind} {name} not found"}, 404)

    def do_PATCH(self):
        self.answer({})

    def do_DELETE(self):
        self.answer(self.pods.pop(self.path.split("?")[0].rpartition("/")[2], {}))

    def given(self):
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body, status=200):
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def kubernetes():
    """Start what stands in for the API, and return its pods."""
    Kubernetes.pods.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    Kubernetes.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Kubernetes
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def train(monkeypatch, tmp_path, kubernetes):
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "own",
        "clusters": [{"name": "own", "cluster": {"server": kubernetes.address}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
        "users": [{"name": "own", "user": {}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("TAPELINE_AIRFLOW_RUNNER", "kubernetes")
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", '{"conn_type": "kubernetes"}')
    task = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["tapeline"].task_dict["train"]
    task.config_file, task.poll_interval = str(tmp_path / "kubeconfig"), 0.1
    return task


def context(task, attempt):
    ti = Ti(dag_id="tapeline", task_id="train", map_index=-1, try_number=attempt, start_date=datetime.now(UTC))
    task.arguments = [f"--gradients=s3://b/{attempt}/gradients", "--seed=0"]
    return {"ti": ti, "run_id": "one", "dag": task.dag}


def deferred(task, context):
    """Start a try, and return what the triggerer is told to wait for."""
    with pytest.raises(TaskDeferred) as waits:
        task.execute_async(context)
    assert waits.value.method_name == "trigger_reentry"
    assert waits.value.timeout > timedelta(hours=5)
    return waits.value.trigger.serialize()[1]


async def first(trigger):
    """Return what a trigger comes to see."""
    return (await anext(trigger.run())).payload


async def stopped(trigger, kubernetes):
    """Run a trigger until it has seen the pod a few times, and stop it as a triggerer that ends does."""
    task, before = asyncio.create_task(first(trigger)), kubernetes.reads
    while kubernetes.reads < before + 5:  # noqa: ASYNC110 - it is another thread that reads
        await asyncio.sleep(0.05)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await trigger.cleanup()


def test_a_pod_is_waited_for_across_a_restart_of_the_triggerer_and_another_try(train, kubernetes):
    kept = deferred(train, context(train, 1))
    asyncio.run(stopped(KubernetesPodTrigger(**kept), kubernetes))
    (name,) = kubernetes.pods  # it goes on

    # The task's worker is lost, too: another try finds the pod, and knows where it writes to.
    other = copy.copy(train)
    other.pod = None
    second = context(other, 2)
    kept = deferred(other, second)
    assert list(kubernetes.pods) == [name]
    kubernetes.pods[name]["status"] = DONE
    event = asyncio.run(first(KubernetesPodTrigger(**kept)))
    assert (event["status"], event["name"]) == ("success", name)
    other.trigger_reentry(second, event)
    assert list(other.called_with) == ["--gradients=s3://b/1/gradients", "--seed=0"]
    assert kubernetes.pods == {}  # one that succeeded goes
