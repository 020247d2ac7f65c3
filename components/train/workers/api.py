"""Kubernetes' API as a pod sees it, by its service account: the few calls that workers take.

By urllib3, which is there for the store: the package `kubernetes` has 41 MB for what is said here.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import urllib3

from components.contract import waiting
from components.contract.errors import BadInput
from components.contract.rendezvous import POD
from components.contract.waiting import MayPass

T = TypeVar("T")
Json = dict[str, Any]

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where a pod finds who it is
INSTEAD = "or give launcher=processes, for all workers in this pod"
PODS = "api/v1/pods"
GONE, THERE, FORBIDDEN = 404, 409, 403
_SECONDS = urllib3.Timeout(connect=5, read=20)
_WATCHED = urllib3.Timeout(connect=5, read=120)  # a log may say nothing for long; it is asked for again then
_UNNAMED = f"; {POD} is to be the name of this pod, by the field path metadata.name"
_UNKNOWN = "; is Kubeflow Trainer installed? launcher=job does without"
_FORBIDDEN = re.compile(r'User "(.+?)" cannot (\w+) resource "(\S+?)"')


class Refused(Exception):
    """The API answered that it will not; `status` is that of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status


class NotYet(Exception):
    """What was asked for is not there yet, in a few words."""


class Api:
    """The API, at `server`, in the namespace and with the rights of an account."""

    def __init__(self, server: str, account: Path = ACCOUNT) -> None:
        self.server, self.account = server, account
        self.namespace = (account / "namespace").read_text(encoding="utf-8").strip()
        self._pool = urllib3.PoolManager(ca_certs=str(account / "ca.crt"), retries=False, timeout=_SECONDS)

    @classmethod
    def of_this_pod(cls) -> Self:
        """Find the API; raise `BadInput` where this is no pod, or one without a token of its account."""
        host, port = (os.environ.get(f"KUBERNETES_SERVICE_{each}", "") for each in ("HOST", "PORT"))
        if not host:
            raise BadInput(f"launcher: this is no pod of Kubernetes; start it as one, {INSTEAD}")
        if not (ACCOUNT / "token").is_file():
            raise BadInput(
                "launcher: this pod has no token of its service account, which may start others; mount it "
                f"(automountServiceAccountToken; with the chart, workers.enabled=true), {INSTEAD}"
            )
        return cls(f"https://{f'[{host}]' if ':' in host else host}:{port or 443}")

    def this_pod(self) -> Json:
        """Return the pod of this process, once it has an address."""
        name = os.environ.get(POD) or socket.gethostname()

        def get() -> Json:
            pod = self.get(PODS, name)
            if not pod["status"].get("podIP"):
                raise NotYet("it has no address yet")
            return pod

        return self.patiently(f"see this pod, {name}", get)

    def patiently(self, what: str, function: Callable[[], T]) -> T:
        """Return what `function` does, waiting where the API is away; raise `BadInput` where it refuses."""
        try:
            return waiting.patiently(what, function, _passing)
        except Refused as error:
            raise BadInput(self.sentence(what, error)) from None

    def sentence(self, what: str, error: Refused) -> str:
        """Return why the API refuses, and what to do."""
        if found := _FORBIDDEN.search(str(error)):
            who, verb, resource = found.groups()
            who = who.rpartition(":")[2]
            return (
                f"launcher: cannot {what}: the service account {who} may not {verb} {resource} in the namespace "
                f"{self.namespace}; have a Role allow it (with the chart, workers.enabled=true), {INSTEAD}"
            )
        hint = ""
        if error.status == GONE:
            hint = _UNKNOWN if "could not find the requested resource" in str(error) else _UNNAMED
        return f"launcher: cannot {what}: Kubernetes refuses: {error}{hint}"

    def get(self, kind: str, name: str = "", **query: str) -> Json:
        """Return an object of this namespace; without a name, a list. `kind` is api/v1/pods and the like."""
        return self._ask("GET", self._url(kind, name), query)

    def create(self, kind: str, document: Mapping[str, Any]) -> Json:
        """Make an object."""
        return self._ask("POST", self._url(kind), {}, document)

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, and in the background what belongs to it; it may be gone."""
        try:
            self._ask("DELETE", self._url(kind, name), {"propagationPolicy": "Background"})
        except Refused as error:
            if error.status != GONE:
                raise

    def lines(self, kind: str, name: str, **query: str) -> Iterator[str]:
        """Yield what comes line by line, as a log that is followed."""
        answer = self._request("GET", self._url(kind, name), query, preload_content=False, timeout=_WATCHED)
        try:
            rest = b""
            for chunk in answer.stream(2**16, decode_content=True):
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line.decode(errors="replace")
            if rest:
                yield rest.decode(errors="replace")
        finally:
            answer.close()

    def _url(self, kind: str, name: str = "") -> str:
        group, _, resource = kind.rpartition("/")
        return "/".join(filter(None, (self.server, group, "namespaces", self.namespace, resource, name)))

    def _ask(self, method: str, url: str, query: Mapping[str, str], document: object = None) -> Json:
        body = None if document is None else json.dumps(document).encode()
        answer = self._request(method, url, query, body=body)
        try:
            return dict(json.loads(answer.data))
        except (TypeError, ValueError):
            raise Refused(502, "the answer is not that of Kubernetes' API") from None

    def _request(self, method: str, url: str, query: Mapping[str, str], **options: Any) -> urllib3.BaseHTTPResponse:
        token = (self.account / "token").read_text(encoding="utf-8").strip()  # it is changed for another every hour
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": "application/json"}
        answer = self._pool.request(method, f"{url}?{urlencode(query)}", headers=headers, **options)
        if answer.status >= 400:
            raise Refused(answer.status, _message(answer))
        return answer


def _message(answer: urllib3.BaseHTTPResponse) -> str:
    """Return what the API says, as a quota that is used up, without JSON around it."""
    try:
        return str(json.loads(answer.data)["message"])
    except (TypeError, ValueError, KeyError):
        return f"it answered {answer.status}"


def is_away(error: Exception) -> bool:
    """Tell whether the API does not answer, or cannot now."""
    return isinstance(error, urllib3.exceptions.HTTPError) or (
        isinstance(error, Refused) and waiting.may_pass(error.status)
    )


def _passing(error: Exception) -> MayPass | None:
    if isinstance(error, urllib3.exceptions.HTTPError):
        return MayPass(f"Kubernetes' API does not answer ({type(error).__name__})")
    if is_away(error) or isinstance(error, NotYet) or "exceeded quota" in str(error):
        return MayPass(str(error))
    return None
