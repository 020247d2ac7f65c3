"""Register the compiled pipeline with a running Kubeflow; start a run, or have it run by the clock.

python -m dags.kubeflow_register pipeline.yaml --host http://localhost:8888 [--check] [--run] [--cron "0 0 3 * * *"]

Registering the same file again changes nothing; --check changes nothing at all. A bearer token, where Kubeflow asks for
one, is read from the environment variable KUBEFLOW_TOKEN.
"""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import urllib3
import yaml

from components.contract.command import Parser, guard
from components.contract.declaration import did_you_mean
from components.contract.errors import BadInput, StepError, StoreUnavailable
from dags.cluster import Cluster
from dags.definition import Workflow
from dags.workflow import WORKFLOW

API = "/apis/v2beta1"
PAGE = 200


class Server:
    """The REST API of Kubeflow Pipelines, v2beta1."""

    def __init__(self, host: str, token: str = "") -> None:
        self.host = host.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pool = urllib3.PoolManager(headers=headers, timeout=urllib3.Timeout(connect=10, read=60), retries=False)
        health = self.call("GET", "/healthz")
        if not isinstance(health, dict) or "multi_user" not in health:
            raise StepError(f"{self.host} does not answer as Kubeflow Pipelines 2 does: {str(health)[:100]}")

    def call(self, method: str, path: str, *, absent: object = None, **request: Any) -> Any:
        """Call the API and return its JSON; `absent`, if given, is returned where the server knows no such thing."""
        try:
            answer = self._pool.request(method, self.host + API + path, **request)
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailable(f"Kubeflow does not answer at {self.host}: {error}") from None
        try:
            document = json.loads(answer.data or b"{}")
        except ValueError:
            document = answer.data.decode(errors="replace")
        if answer.status == 404 and absent is not None:
            return absent
        if answer.status in (401, 403):
            raise BadInput(f"Kubeflow at {self.host} refuses {method} {path}: set KUBEFLOW_TOKEN to a token that may")
        if answer.status != 200:
            said = document.get("message") or document.get("error") if isinstance(document, dict) else document[:200]
            raise StepError(f"Kubeflow at {self.host} answered {answer.status} to {method} {path}: {said}")
        return document

    def find(self, path: str, key: str, name: str, **query: Any) -> dict[str, Any]:
        """Return the item of a list whose display name is `name`, or {}."""
        query |= {"page_size": PAGE}
        while True:
            document = self.call("GET", path, fields=query)
            for item in document.get(key, []):
                if item["display_name"] == name:
                    return dict(item)
            if not document.get("next_page_token"):
                return {}
            query["page_token"] = document["next_page_token"]


def lookup(server: Server, content: bytes, name: str, namespace: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the pipeline `name` and its version that is `content`, each {} where Kubeflow has none."""
    pipeline = server.call("GET", f"/pipelines/names/{name}", fields=_where(namespace), absent={})
    if not pipeline:
        return {}, {}
    path = f"/pipelines/{pipeline['pipeline_id']}/versions"
    return pipeline, server.find(path, "pipeline_versions", _version(content, name))


def register(server: Server, content: bytes, name: str, namespace: str = "") -> tuple[dict[str, str], bool]:
    """Make `content` a version of the pipeline `name`; return the reference of it, and whether it is new."""
    pipeline, found = lookup(server, content, name, namespace)
    if not pipeline:
        pipeline = server.call("POST", "/pipelines", json={"name": name, "display_name": name, **_where(namespace)})
    key, version, new = pipeline["pipeline_id"], _version(content, name), not found
    if new:
        path = f"/pipelines/upload_version?name={version}&pipelineid={key}"
        found = server.call("POST", path, fields={"uploadfile": (f"{version}.yaml", content, "application/x-yaml")})
    return {"pipeline_id": key, "pipeline_version_id": found["pipeline_version_id"]}, new


def _version(content: bytes, name: str) -> str:
    """Return the name of a version: it follows from the content, so the same content is one version."""
    return f"{name}-{hashlib.sha256(content).hexdigest()[:12]}"


def _where(namespace: str) -> dict[str, str]:
    return {"namespace": namespace} if namespace else {}


def experiment(server: Server, name: str, namespace: str = "") -> str:
    """Return the id of an experiment, made if there is none of that name."""
    where = _where(namespace)
    found = server.find("/experiments", "experiments", name, **where)
    return str((found or server.call("POST", "/experiments", json={"display_name": name, **where}))["experiment_id"])


def recur(server: Server, run: dict[str, Any], cron: str, namespace: str = "") -> str:
    """Have `run` run by the clock; return what was done. One of another version or clock is replaced."""
    trigger = {"cron_schedule": {"cron": cron}}
    wanted = run | {"trigger": trigger}
    found = server.find("/recurringruns", "recurringRuns", run["display_name"], **_where(namespace))
    if found:
        if all(found.get(field) == value for field, value in wanted.items()):
            return "is there already"
        server.call("DELETE", f"/recurringruns/{found['recurring_run_id']}")  # they cannot be changed
    document = wanted | {"max_concurrency": "1", "no_catchup": True, "mode": "ENABLE"}
    server.call("POST", "/recurringruns", json=document)
    return "is replaced" if found else "is set up"


def values_of(workflow: Workflow, given: Sequence[str], form: Collection[str], flag: str) -> dict[str, Any]:
    """Return the values of `name=value`s for the pipeline's form, checked against the declarations."""
    texts: dict[str, Any] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or name not in form:
            raise BadInput(f"{flag} {item}: not NAME=VALUE with a parameter{did_you_mean(name, form)}")
        texts[name] = text
    of_steps = {name for task in workflow.tasks for name in task.component.parameters.model_fields}
    checked = for_form(Cluster.checked({name: text for name, text in texts.items() if name in Cluster.model_fields}))
    for parameters in workflow.parameters_of({name: texts[name] for name in texts if name in of_steps}).values():
        checked |= dict(parameters)
    return {name: checked.get(name, text) for name, text in texts.items()}


def for_form(cluster: Cluster) -> dict[str, Any]:
    """Return the values for the pipeline's form: a number of GPUs as text, since the backend drops a whole number."""
    return {name: str(value) if isinstance(value, int) else value for name, value in cluster}


def run(workflow: Workflow, options: argparse.Namespace) -> None:
    """Do what the command line says."""
    try:
        content = options.path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {options.path}: {error.strerror}; `make pipeline` writes it") from None
    spec = next(yaml.safe_load_all(content))
    values = values_of(workflow, options.parameter, spec["root"]["inputDefinitions"]["parameters"], "--parameter")
    name = spec["pipelineInfo"]["name"]
    server = Server(options.host, os.environ.get("KUBEFLOW_TOKEN", ""))
    if options.check:
        found = lookup(server, content, name, options.namespace)[1]
        if not found:
            raise StepError(f"Kubeflow at {options.host} does not have this version of the pipeline {name}")
        print(f"pipeline {name}: version {found['pipeline_version_id']} is registered")
        return
    reference, new = register(server, content, name, options.namespace)
    print(f"pipeline {name}: version {reference['pipeline_version_id']} {'is new' if new else 'is there already'}")
    if not options.run and not options.cron:
        return
    wanted = {
        "display_name": name,
        "experiment_id": experiment(server, name, options.namespace),
        "pipeline_version_reference": reference,
        "runtime_config": {"parameters": values},
    }
    if options.run:
        print(f"run {server.call('POST', '/runs', json=wanted)['run_id']} is started")
    if options.cron:
        print(f"recurring run {name} {recur(server, wanted, options.cron, options.namespace)}")


def main(workflow: Workflow) -> None:
    """Parse the command line and run."""
    parser = Parser(prog="python -m dags.kubeflow_register", description=__doc__)
    parser.add_argument("path", type=Path, help="the compiled pipeline")
    parser.add_argument("--host", required=True, help="address of the API, as http://ml-pipeline.kubeflow:8888")
    parser.add_argument("--namespace", default="", help="of a multi-user Kubeflow")
    parser.add_argument("--check", action="store_true", help="only say whether it is registered; if not, exit with 1")
    parser.add_argument("--run", action="store_true", help="start a run")
    parser.add_argument("--cron", default="", help="have it run by the clock: six fields, the first one seconds")
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the run; again and again"
    )
    guard("register", lambda: run(workflow, parser.parse_args(sys.argv[1:])))


if __name__ == "__main__":
    main(WORKFLOW)
