"""A notice of how a run ended: one JSON, posted to an address of the deployment's choice.

    TAPELINE_NOTICE_URL    the address; without it nothing is posted
    TAPELINE_NOTICE_TOKEN  goes along as a bearer token, if there is one

Both may be secrets: neither is printed, and nothing is posted on where a receiver points elsewhere. A receiver that
does not take the notice fails nothing.
"""

import json
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from typing import Any

from dags.definition import Workflow

URL, TOKEN = "TAPELINE_NOTICE_URL", "TAPELINE_NOTICE_TOKEN"
FINISHED, FAILED, INTERRUPTED = "finished", "failed", "interrupted"
PATIENCE_SECONDS = 5  # for each part of the answer; for all of it twice as long


@dataclass(frozen=True)
class Notice:
    """What is posted; what a caller cannot know is empty."""

    workflow: str
    run: str  # as its caller names it
    caller: str  # local, airflow or kubeflow
    state: str  # finished, failed or interrupted
    sentence: str  # what the run ended with, or why it failed
    verdict: str = ""  # of the gate
    metrics: Mapping[str, float] = field(default_factory=dict)  # of the gate
    parameters: Mapping[str, Any] = field(default_factory=dict)  # those that are not the defaults
    link: str = ""  # to the run


def judged(workflow: Workflow, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict and the metrics of a notice, from the figures that the gate handed back, if it did."""
    numbers = {name: each for name, each in figures.items() if type(each) in (int, float)}
    return {"verdict": figures.get(workflow.gate.verdict, ""), "metrics": numbers}


def changed(workflow: Workflow, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values given for parameters that are not the declared defaults."""
    defaults = {name: declared.model_fields[name].default for name, declared in workflow.fields.items()}
    return {
        name: value
        for name, value in given.items()
        # A form says nothing as null, and a deployment's settings may say a number as text.
        if value is not None and value != defaults.get(name) and str(value) != str(defaults.get(name))
    }


def post(notice: Notice, environment: Mapping[str, str] = os.environ) -> str:
    """Post a notice if there is an address; return a sentence that says why it was not taken, or an empty one."""
    url, token = (environment.get(name, "").strip() for name in (URL, TOKEN))
    if not url:
        return ""
    said = [f"no answer within {2 * PATIENCE_SECONDS} seconds"]
    # In a thread, as nothing else bounds how long a name is looked up, or an answer comes in by single bytes.
    thread = threading.Thread(target=lambda: said.append(_post(asdict(notice), url, token)), daemon=True)
    thread.start()
    thread.join(2 * PATIENCE_SECONDS)
    return said[-1] and f"the notice of this run was not taken: {said[-1]}"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow nowhere: what is answered is an error."""


def _post(document: Mapping[str, Any], url: str, token: str) -> str:
    """Return why the receiver did not take it; empty if it did. No message has a part of the address in it."""
    if not url.lower().startswith(("http://", "https://")):
        return f"{URL} is no address that begins with http:// or https://"
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        asked = urllib.request.Request(url, json.dumps(document).encode(), headers)  # noqa: S310 - looked at above
        urllib.request.build_opener(_Stay).open(asked, timeout=PATIENCE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        return f"the receiver answered {error.code}"
    except urllib.error.URLError as error:
        return _why(error.reason)
    except OSError as error:
        return _why(error)
    except (ValueError, HTTPException):
        return f"{URL} or {TOKEN} cannot be sent as they are, or what answered does not speak HTTP"
    return ""


def _why(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {PATIENCE_SECONDS} seconds"
    if isinstance(reason, ssl.SSLError):
        return f"no secure connection: {reason.reason or type(reason).__name__}"
    return (isinstance(reason, OSError) and reason.strerror) or type(reason).__name__
