# mypy: allow-untyped-defs, allow-untyped-calls
"""Registration, against a small server that checks the requests as the documented API would."""

import email.message
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
from kfp import compiler

from dags.kubeflow_pipeline import build


class Kubeflow(http.server.ThreadingHTTPServer):
    """Pipelines, versions, experiments, runs and recurring runs in memory, one a page."""

    def __init__(self, token=""):
        self.token = token
        self.pipelines, self.versions, self.experiments, self.runs, self.recurring = {}, {}, {}, {}, {}
        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever).start()
        return super().__enter__()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Kubeflow

    def log_message(self, *_):
        pass

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_request(self):
        kubeflow, url = self.server, urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if kubeflow.token and self.headers.get("Authorization") != f"Bearer {kubeflow.token}":
            return self.answer({"message": "no"}, 401)
        path = url.path.removeprefix("/apis/v2beta1")
        if self.command == "GET":
            return self.get(kubeflow, path, query)
        if self.command == "DELETE":
            del kubeflow.recurring[path.removeprefix("/recurringruns/")]
            return self.answer({})
        if path == "/pipelines/upload_version":
            return self.upload(kubeflow, query, body)
        return self.create(kubeflow, path, json.loads(body))

    do_GET = do_POST = do_DELETE = handle_request  # noqa: N815

    def get(self, kubeflow, path, query):
        if path == "/healthz":
            return self.answer({"multi_user": False})
        if found := re.fullmatch("/pipelines/names/(.+)", path):
            named = [p for p in kubeflow.pipelines.values() if p["name"] == found[1]]
            return self.answer(*((named[0],) if named else ({"message": "not found"}, 404)))
        if re.fullmatch("/pipelines/(.+)/versions", path):
            return self.page("pipeline_versions", kubeflow.versions, query)
        lists = {
            "/experiments": ("experiments", kubeflow.experiments),
            "/recurringruns": ("recurringRuns", kubeflow.recurring),
        }
        return self.page(*lists[path], query)

    def page(self, key, items, query):
        assert int(query["page_size"]) <= 200
        place = int(query.get("page_token", 0))
        document = {key: list(items.values())[place : place + 1]}
        return self.answer(document | ({"next_page_token": str(place + 1)} if place + 1 < len(items) else {}))

    def upload(self, kubeflow, query, body):
        message = email.message_from_bytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\n\n" + body)
        part = cast("list[email.message.Message]", message.get_payload())[0]
        assert part.get_param("name", header="content-disposition") == "uploadfile"
        assert query["pipelineid"] in kubeflow.pipelines
        if any(version["display_name"] == query["name"] for version in kubeflow.versions.values()):
            return self.answer({"message": "exists"}, 409)
        key = f"version-{len(kubeflow.versions)}"
        content = cast("bytes", part.get_payload(decode=True))
        kubeflow.versions[key] = {"pipeline_version_id": key, "display_name": query["name"], "bytes": len(content)}
        return self.answer(kubeflow.versions[key])

    def create(self, kubeflow, path, document):
        fields = {"display_name", "experiment_id", "pipeline_version_reference", "runtime_config"}
        allowed = {
            "/pipelines": ("pipeline_id", kubeflow.pipelines, {"name", "display_name"}),
            "/experiments": ("experiment_id", kubeflow.experiments, {"display_name"}),
            "/runs": ("run_id", kubeflow.runs, fields),
            "/recurringruns": (
                "recurring_run_id", kubeflow.recurring, fields | {"trigger", "max_concurrency", "no_catchup", "mode"},
            ),
        }  # fmt: skip
        key, items, known = allowed[path]
        if set(document) != known:
            return self.answer({"message": f"fields {sorted(document)}"}, 400)
        name = f"{path[1:]}-{len(items)}"
        items[name] = document | {key: name}
        return self.answer(items[name])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("register") / "pipeline.yaml"
    compiler.Compiler().compile(build(), str(made))
    return made


def register(path, address, *arguments, **environment):
    command = [sys.executable, "-m", "dags.kubeflow_register", str(path), f"--host={address}", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | environment)


def test_the_same_file_twice_is_one_version_and_another_file_a_second(path, tmp_path):
    with Kubeflow() as kubeflow:
        first = register(path, kubeflow.address)
        again = register(path, kubeflow.address)
        changed = tmp_path / "pipeline.yaml"
        changed.write_text(path.read_text() + "# changed\n")
        other = register(changed, kubeflow.address)
        assert (first.returncode, first.stdout) == (0, "pipeline tapeline: version version-0 is new\n")
        assert again.stdout == "pipeline tapeline: version version-0 is there already\n"
        assert other.stdout == "pipeline tapeline: version version-1 is new\n"
        assert len(kubeflow.pipelines) == 1
        assert [version["bytes"] for version in kubeflow.versions.values()] == [
            path.stat().st_size, changed.stat().st_size,
        ]  # fmt: skip


def test_a_run_has_typed_parameters(path):
    given = ("epochs=3", "model=convnet", "gpu_count=1", 'node_selector={"disk": "ssd"}', "eager=false")
    with Kubeflow() as kubeflow:
        done = register(path, kubeflow.address, "--run", *(f"--parameter={item}" for item in given))
        assert done.stdout.endswith("run runs-0 is started\n"), done.stderr
        (run,) = kubeflow.runs.values()
        assert run["runtime_config"]["parameters"] == {
            "epochs": 3, "model": "convnet", "gpu_count": "1", "node_selector": {"disk": "ssd"}, "eager": False,
        }  # fmt: skip
        assert run["pipeline_version_reference"] == {"pipeline_id": "pipelines-0", "pipeline_version_id": "version-0"}
        assert run["experiment_id"] == "experiments-0"


def test_a_recurring_run_is_one_whatever_is_repeated(path):
    with Kubeflow() as kubeflow:
        said = [register(path, kubeflow.address, f"--cron={cron}").stdout.splitlines()[-1]
                for cron in ("0 0 3 * * *", "0 0 3 * * *", "0 0 4 * * *")]  # fmt: skip
        assert [line.removeprefix("recurring run tapeline ") for line in said] == [
            "is set up", "is there already", "is replaced",
        ]  # fmt: skip
        (recurring,) = kubeflow.recurring.values()
        assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 4 * * *"}}
        assert (recurring["max_concurrency"], recurring["no_catchup"]) == ("1", True)


def test_a_token_comes_from_the_environment(path):
    with Kubeflow(token="secret-token") as kubeflow:  # noqa: S106 - the server is ours
        refused = register(path, kubeflow.address)
        assert refused.returncode == 2
        assert refused.stderr.endswith("/healthz: set KUBEFLOW_TOKEN to a token that may\n")
        assert register(path, kubeflow.address, KUBEFLOW_TOKEN="secret-token").returncode == 0  # noqa: S106


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--parameter=epochs=0"], 2, "register: epochs: 0 is less than 1\n"),
        (
            ["--parameter=epoch=3"],
            2,
            "register: --parameter epoch=3: not NAME=VALUE with a parameter (did you mean epochs?)",
        ),
        (["--parameter=tolerations=x"], 2, "register: --parameter: a list or a mapping is written as JSON"),
        ([], 4, "register: Kubeflow does not answer at http://127.0.0.1:9: "),
    ],
)
def test_what_is_wrong_is_said(path, arguments, code, message):
    done = register(path, "http://127.0.0.1:9", *arguments)
    assert (done.returncode, done.stderr.startswith(message)) == (code, True), done.stderr


def test_a_server_of_another_kind_or_a_missing_file_is_said(path, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "get", lambda self, *_: self.answer({"hello": 1}))
    with Kubeflow() as kubeflow:
        done = register(path, kubeflow.address)
    assert (done.returncode, "does not answer as Kubeflow Pipelines 2 does" in done.stderr) == (1, True)
    done = register(tmp_path / "none.yaml", "http://127.0.0.1:9")
    assert (done.returncode, "`make pipeline` writes it" in done.stderr) == (2, True)
