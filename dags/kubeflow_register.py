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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
import yaml

from components.contract.command import Parser, guard
from components.contract.errors import BadInput, StepError, StoreUnavailable
from components.contract.kubeflow import OTHERS
from dags.definition import Workflow
from dags.kubeflow_form import fields_of, given
from dags.workflow import WORKFLOW

API = "/apis/v2beta1"
PAGE = 200
NAME_LENGTH = 128  # of a run


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


def register(server: Server, content: bytes, name: str, text: str, namespace: str = "") -> tuple[dict[str, str], bool]:
    """Make `content` a version of the pipeline `name`; return the reference of it, and whether it is new.

    `text` describes it where the pipeline and the version are opened: the API does not take that from the YAML.
    """
    pipeline, found = lookup(server, content, name, namespace)
    if not pipeline:
        names = {"name": name, "display_name": name, "description": text}
        pipeline = server.call("POST", "/pipelines", json=names | _where(namespace))
    key, version, new = pipeline["pipeline_id"], _version(content, name), not found
    if new:
        path = f"/pipelines/upload_version?{urlencode({'name': version, 'pipelineid': key, 'description': text})}"
        try:
            found = server.call("POST", path, fields={"uploadfile": (f"{version}.yaml", content, "application/x-yaml")})
        except StepError as error:
            if 'unknown field "literals"' not in str(error):
                raise
            raise BadInput(
                f"Kubeflow at {server.host} is older than 2.16, whose form cannot offer choices: compile with "
                "make pipeline ARGS=--no-choices"
            ) from None
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
        # Where there are no parameters, Kubeflow hands nothing back of the runtime's configuration.
        known = {"runtime_config": {}} | found
        known["runtime_config"] = {"parameters": known["runtime_config"].get("parameters", {})}
        if all(known.get(field) == value for field, value in wanted.items()):
            return "is there already"
        server.call("DELETE", f"/recurringruns/{found['recurring_run_id']}")  # they cannot be changed
    document = wanted | {"max_concurrency": "1", "no_catchup": True, "mode": "ENABLE"}
    server.call("POST", "/recurringruns", json=document)
    return "is replaced" if found else "is set up"


def values_of(workflow: Workflow, items: Sequence[str], form: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of `name=value`s for the compiled `form`.

    Those in the field of JSON are added to what it begins with. Raises `BadInput` for what was fixed when it was
    compiled.
    """
    values = given(workflow, items, "--parameter")
    if OTHERS in values:
        values[OTHERS] = form[OTHERS].get("defaultValue", {}) | values[OTHERS]
    if fixed := sorted(values.keys() - fields_of(workflow)):
        raise BadInput(f"{', '.join(fixed)}: fixed when the pipeline is compiled: make pipeline ARGS='--default …'")
    return values


def run(workflow: Workflow, options: argparse.Namespace) -> None:
    """Do what the command line says."""
    try:
        content = options.path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {options.path}: {error.strerror}; `make pipeline` writes it") from None
    spec = next(yaml.safe_load_all(content))
    values = values_of(workflow, options.parameter, spec["root"]["inputDefinitions"]["parameters"])
    name, text = spec["pipelineInfo"]["name"], spec["pipelineInfo"].get("description", "")
    server = Server(options.host, os.environ.get("KUBEFLOW_TOKEN", ""))
    if options.check:
        found = lookup(server, content, name, options.namespace)[1]
        if not found:
            raise StepError(f"Kubeflow at {options.host} does not have this version of the pipeline {name}")
        print(f"pipeline {name}: version {found['pipeline_version_id']} is registered")
        return
    reference, new = register(server, content, name, text, options.namespace)
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
        called = {"display_name": " ".join([name, *options.parameter])[:NAME_LENGTH]}
        print(f"run {server.call('POST', '/runs', json=wanted | called)['run_id']} is started")
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
