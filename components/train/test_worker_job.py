# mypy: allow-untyped-defs, allow-untyped-calls
"""The Job of workers against an API that answers as Kubernetes does, over HTTP; tests/kubernetes has a real one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from components.contract.errors import BadInput
from components.train.test_worker_pods import AIRFLOW, ended
from components.train.workers import job as jobs
from components.train.workers.api import Api
from components.train.workers.job import Job
from components.train.workers.trainjob import TrainJob

NAME = "tapeline-train-ab12cd34"
PODS, JOBS = "/api/v1/namespaces/steps/pods", "/apis/batch/v1/namespaces/steps/jobs"
TRAINJOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/steps/trainjobs"
EVENTS = "/api/v1/namespaces/steps/events"
FORBIDDEN = (
    'jobs.batch is forbidden: User "system:serviceaccount:steps:tapeline-step" cannot create resource "jobs" in API '
    'group "batch" in the namespace "steps"'
)


class Known(Api):
    """The API, with the server that answers."""

    answers: "Answers"


class Answers(ThreadingHTTPServer):
    """What the API says: a status and a document for each method and path, the next one of a list each time."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.told = {("GET", f"{PODS}/{NAME}"): (200, AIRFLOW)}
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Answers

    def do(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = {name: value for name, (value,) in parse_qs(url.query).items()}
        self.server.asked.append((self.command, url.path, query, json.loads(body or "null"), self.headers))
        told = self.server.told.get((self.command, url.path), (404, {"message": f"{url.path} not found"}))
        status, document = (told.pop(0) if len(told) > 1 else told[0]) if isinstance(told, list) else told
        data = document.encode() if isinstance(document, str) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = do  # noqa: N815 - the names of http.server

    def log_message(self, *_):
        pass


@pytest.fixture
def api(tmp_path, monkeypatch):
    monkeypatch.setenv("TAPELINE_POD", NAME)
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0)
    for name, text in (("namespace", "steps"), ("token", "abc"), ("ca.crt", "")):
        (tmp_path / name).write_text(text)
    with Answers() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        made = Known(f"http://127.0.0.1:{server.server_port}", tmp_path)
        made.answers = server
        yield made
        server.shutdown()


def started(api):
    api.answers.told |= {("POST", JOBS): (201, {}), ("GET", EVENTS): (200, {"items": []})}
    job = Job(api, 3, ["--dataset=s3://b/d", "--workers=3"])
    job.start("10.0.0.7:4000")
    return job


def pod(index, **more):
    annotations = {"batch.kubernetes.io/job-completion-index": str(index)}
    return {"metadata": {"name": f"w-{index}", "annotations": annotations}, "status": {}} | more


def items(*pods):
    return 200, {"items": list(pods)}


def test_the_job_has_the_other_workers_and_goes_with_the_pod_of_the_step(api):
    job = started(api)
    method, path, query, made, headers = api.answers.asked[-1]
    assert (method, path, query, headers["Authorization"]) == ("POST", JOBS, {}, "Bearer abc")
    assert job.host == "10.0.0.7"
    assert made["metadata"]["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Pod", "name": "tapeline-train-ab12cd34", "uid": "1-2-3"}
    ]
    assert made["metadata"]["name"].startswith("workers-tapeline-train-ab12cd34-")
    assert len(f"{made['metadata']['name']}-node-0-62-abcde") <= 63
    template = made["spec"].pop("template")
    assert made["spec"] == {
        "completionMode": "Indexed", "completions": 2, "parallelism": 2, "backoffLimit": 0,
        "ttlSecondsAfterFinished": 600,
    }  # fmt: skip
    assert template["metadata"]["labels"]["tapeline/launched-by"] == "tapeline-train-ab12cd34"
    (container,) = template["spec"]["containers"]
    assert container["command"] == ["python", "-m", "components.train", "--dataset=s3://b/d", "--workers=3"]
    assert container["env"][1:] == [
        {"name": "TAPELINE_RENDEZVOUS", "value": "10.0.0.7:4000"},
        {"name": "TAPELINE_WORKER", "valueFrom": {"fieldRef": {
            "fieldPath": "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}},
        {"name": "TAPELINE_FIRST_WORKER", "value": "1"},
    ]  # fmt: skip
    first = job.name
    job.stop()
    method, path, query, *_ = api.answers.asked[-1]
    assert (method, path, query) == ("DELETE", f"{JOBS}/{first}", {"propagationPolicy": "Background"})
    job.start("10.0.0.7:4001")
    assert job.name == first.removesuffix("1") + "2"


def test_as_a_trainjob_they_are_nodes_of_the_runtime_with_the_same_means(api):
    api.answers.told["POST", TRAINJOBS] = 201, {}
    job = TrainJob(api, 3, ["--workers=3"])
    job.start("10.0.0.7:4000")
    made = api.answers.asked[-1][3]
    assert (made["kind"], made["spec"]["runtimeRef"]) == ("TrainJob", {"name": "tensorflow"})
    assert made["metadata"]["ownerReferences"][0]["uid"] == "1-2-3"
    (container,) = AIRFLOW["spec"]["containers"]
    trainer = made["spec"]["trainer"]
    assert (trainer["numNodes"], trainer["image"]) == (2, "r.example/train:7")
    assert trainer["resourcesPerNode"] == container["resources"]
    assert trainer["command"] == ["python", "-m", "components.train", "--workers=3"]
    assert [each["name"] for each in trainer["env"]] == [
        "AWS_ACCESS_KEY_ID", "TAPELINE_RENDEZVOUS", "TAPELINE_WORKER", "TAPELINE_FIRST_WORKER",
    ]  # fmt: skip
    (patch,) = made["spec"]["runtimePatches"]
    (node,) = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]
    assert pod["metadata"]["labels"]["tapeline/workers"] == "true"
    assert pod["spec"]["tolerations"] == AIRFLOW["spec"]["tolerations"]
    (inside,) = pod["spec"]["containers"]
    assert set(inside) == {"name", "securityContext", "volumeMounts"}
    api.answers.told["POST", TRAINJOBS] = 404, {"message": "the server could not find the requested resource"}
    with pytest.raises(BadInput, match=r"is Kubeflow Trainer installed\? launcher=job does without"):
        job.start("10.0.0.7:4001")


def test_an_api_that_is_away_for_a_while_is_waited_for_and_makes_one_job(api, capsys):
    answers = [(503, {"message": "etcd is away"}), (403, {"message": "jobs: exceeded quota: q, requested: 1"}),
               (409, {"message": "already exists"})]  # fmt: skip
    started(api).stop()
    api.answers.told["POST", JOBS] = answers
    Job(api, 3, []).start("10.0.0.7:4000")
    assert "cannot start 2 workers: etcd is away" in capsys.readouterr().err


def test_a_right_that_is_lacking_is_named(api):
    api.answers.told["POST", JOBS] = 403, {"message": FORBIDDEN}
    job = Job(api, 3, [])
    with pytest.raises(BadInput) as error:
        job.start("10.0.0.7:4000")
    assert str(error.value) == (
        "launcher: cannot start 2 workers: the service account tapeline-step may not create jobs in the namespace "
        "steps; have a Role allow it (with the chart, workers.enabled=true), or give launcher=processes, for all "
        "workers in this pod"
    )
    job.stop()
    assert api.answers.asked[-1][0] == "POST"  # nothing to delete


def test_workers_that_end_badly_or_are_gone_are_told_with_how(api):
    job = started(api)
    running = {"phase": "Running", "containerStatuses": [{"name": "worker", "state": {"running": {}}}]}
    api.answers.told["GET", PODS] = items(pod(0, status=running), pod(1, status=running))
    assert job.ended() == []
    assert api.answers.asked[-1][0] == "GET"
    api.answers.told["GET", PODS] = 503, {"message": "away"}
    assert job.ended() == []
    api.answers.told["GET", PODS] = items(pod(1, **ended(3, "train: the store refused")))
    assert [str(each) for each in job.ended()] == [
        "worker 1 of 3 is lost: its pod is gone, as when a node is lost or somebody deletes it",
        "worker 2 of 3 ended with code 3: the store refused",
    ]


def test_workers_that_do_not_come_in_time_are_told_with_why(api, monkeypatch):
    job = started(api)
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    unscheduled = {"phase": "Pending", "conditions": [condition]}
    api.answers.told["GET", PODS] = items(pod(0, status=unscheduled))
    api.answers.told["GET", EVENTS] = items({"message": "pods is forbidden: exceeded quota: q"})
    assert job.ended() == []
    monkeypatch.setenv("TAPELINE_WAIT_SECONDS", "0")
    late = job.ended()
    assert [str(each) for each in late] == [
        "worker 1 of 3 did not come within 0 s: 0/1 nodes are available: 1 Insufficient cpu.",
        "worker 2 of 3 did not come within 0 s: pods is forbidden: exceeded quota: q",
    ]
    assert late[0].may_pass


def test_workers_that_are_not_admitted_are_not_waited_for(api):
    job = started(api)
    api.answers.told["GET", PODS] = items()
    why = 'Error creating: pods "w" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
    api.answers.told["GET", EVENTS] = items({"message": why})
    with pytest.raises(BadInput, match=r"launcher: Kubernetes admits no worker: Error creating: pods .* runAsNonRoot"):
        job.ended()


def test_what_workers_say_is_printed_with_their_number_but_for_their_last_sentence(api, capsys):
    job = started(api)
    running = {"phase": "Running", "containerStatuses": [{"name": "worker", "state": {"running": {}}}]}
    api.answers.told["GET", PODS] = items(pod(0, status=running), pod(1, status=running))
    stamp = "2026-11-26T12:00:00.00000000"
    api.answers.told["GET", f"{PODS}/w-1/log"] = 200, f"{stamp}1Z epoch 1/5\n{stamp}2Z train: it ended\n"
    job.ended()
    job.stop()
    assert capsys.readouterr().out == "worker 2: epoch 1/5\n"


def test_without_a_token_or_outside_of_a_pod_what_to_do_is_said(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(BadInput, match="launcher: this is no pod of Kubernetes; start it as one, or give launcher=pro"):
        Api.of_this_pod()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    with pytest.raises(BadInput, match=r"launcher: this pod has no token .*workers\.enabled=true"):
        Api.of_this_pod()
