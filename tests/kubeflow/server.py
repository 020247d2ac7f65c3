# mypy: allow-untyped-defs, allow-untyped-calls
"""A small Kubeflow Pipelines that checks the requests as the documented API would."""

import email.message
import http.server
import json
import re
import threading
from typing import cast
from urllib.parse import parse_qs, urlsplit


class Kubeflow(http.server.ThreadingHTTPServer):
    """Pipelines, versions, experiments, runs and recurring runs in memory, one a page."""

    def __init__(self, token="", host="127.0.0.1", port=0, *, before_choices=False):
        self.token, self.before_choices = token, before_choices
        self.pipelines, self.versions, self.experiments, self.runs, self.recurring = {}, {}, {}, {}, {}
        super().__init__((host, port), Handler)
        self.address = f"http://{host}:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever).start()
        return super().__enter__()

    def __exit__(self, *error):
        self.shutdown()
        super().__exit__(*error)


def handed_back(run):
    """Return a recurring run as the server has it: without a runtime configuration where there are no parameters.

    Seen on 2.17; backend/src/apiserver/server/api_converter.go, toApiRecurringRun.
    """
    configured = run["runtime_config"].get("parameters")
    more = {"status": "ENABLED", "created_at": "2026-11-25T03:00:00Z", "namespace": "kubeflow"}
    return {k: v for k, v in run.items() if configured or k != "runtime_config"} | more


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
        if path == "/recurringruns":
            return self.page("recurringRuns", {k: handed_back(run) for k, run in kubeflow.recurring.items()}, query)
        if re.fullmatch("/pipelines/(.+)/versions", path):
            return self.page("pipeline_versions", kubeflow.versions, query)
        assert path == "/experiments"
        return self.page("experiments", kubeflow.experiments, query)

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
        if kubeflow.before_choices and b"literals:" in content:
            return self.answer(
                {"message": 'invalid v2 pipeline spec: proto: (line 1:1): unknown field "literals"'}, 400
            )
        kubeflow.versions[key] = {
            "pipeline_version_id": key, "display_name": query["name"], "description": query["description"],
            "bytes": len(content),
        }  # fmt: skip
        return self.answer(kubeflow.versions[key])

    def create(self, kubeflow, path, document):
        fields = {"display_name", "experiment_id", "pipeline_version_reference", "runtime_config"}
        allowed = {
            "/pipelines": ("pipeline_id", kubeflow.pipelines, {"name", "display_name", "description"}),
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
