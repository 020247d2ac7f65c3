"""A client of MLflow's REST interface, as far as tracking needs it; it knows no step.

https://mlflow.org/docs/latest/rest-api.html. What to connect with is said by the variables that MLflow's own client
reads; no sentence here shows a secret.
"""

import configparser
import os
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import urllib3
from botocore.httpsession import get_cert_path

from components.contract import outside
from components.contract.errors import BadInput

URI = "MLFLOW_TRACKING_URI"
ANSWER_SECONDS = 5  # for a server to answer, or to go on with its answer
LARGEST = 2**22  # bytes of an answer
PER_CALL = {"metrics": 1000, "params": 100, "tags": 100}  # that the server takes at once
SERVED = "mlflow-artifacts:"  # how an artifact's place begins where the server itself takes artifacts
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # of a pod
_YES = ("true", "1")


class Untracked(Exception):
    """MLflow did not take something; the message is the second half of a sentence: "MLflow at … ", and it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code  # MLflow's word for it, if it is one of its own


class Client:
    """A connection to one server."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        """Read the environment; the server is not asked yet. Raises `Untracked` for what cannot be one."""
        parts = _address(environment.get(URI, ""))
        self._base = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        self.shown = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
        self._headers = {"Accept": "application/json", **_identity(environment, parts.username, parts.password)}
        self._pool = _pool(environment, parts.scheme, parts.hostname or "")

    def call(self, method: str, path: str, **values: Any) -> dict[str, Any]:
        """Return the answer to a request, whose values are its body, or of a GET its query."""
        place = f"{self._base}/api/2.0/mlflow/{path}"
        text = self._send(method, place, **{"fields" if method == "GET" else "json": values})
        try:
            answer = outside.document(text, "its answer")
        except BadInput:
            answer = None
        if not isinstance(answer, dict):
            raise Untracked(f"does not answer as MLflow does; {URI} is to name its address")
        return answer

    def log(self, run_id: str, **items: Sequence[Mapping[str, Any]]) -> None:
        """Log `metrics`, `params` and `tags` of a run, as many at a time as the server takes."""
        for kind, each in items.items():
            for start in range(0, len(each), PER_CALL[kind]):
                self.call("POST", "runs/log-batch", run_id=run_id, **{kind: each[start : start + PER_CALL[kind]]})

    def upload(self, place: str, name: str, data: bytes) -> bool:
        """Put a file below a run's place for artifacts; return whether the server is who takes them."""
        parts = urlsplit(place)
        if not place.startswith(SERVED) or parts.netloc not in ("", urlsplit(self._base).netloc):
            return False
        path = quote(f"{unquote(parts.path).strip('/')}/{name}")
        kind = {"Content-Type": "text/html; charset=utf-8" if name.endswith(".html") else "application/octet-stream"}
        self._send("PUT", f"{self._base}/api/2.0/mlflow-artifacts/artifacts/{path}", body=data, headers=kind)
        return True

    def _send(self, method: str, place: str, headers: Mapping[str, str] | None = None, **content: Any) -> bytes:
        try:
            answer = self._pool.request(
                method, place, headers={**self._headers, **(headers or {})}, retries=False,  # and no redirect
                timeout=urllib3.Timeout(total=ANSWER_SECONDS), preload_content=False, **content,
            )  # fmt: skip
            text: bytes = answer.read(LARGEST, decode_content=True)
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Untracked(f"cannot be reached ({_reason(error)})") from None
        if not 200 <= answer.status < 300:
            raise _refused(answer.status, text)
        return text


def _address(uri: str) -> Any:
    try:
        parts = urlsplit(uri)
        fine = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 80)
    except ValueError:
        fine = None
    if not fine or uri != uri.strip():
        raise Untracked(f"cannot be reached: {URI} is not of the form http(s)://host[:port]")
    return parts


def _identity(environment: Mapping[str, str], user: str | None, password: str | None) -> dict[str, str]:
    """Return the headers that say who asks: a pod's account, a name and password, or a token."""
    space = {"X-MLFLOW-WORKSPACE": environment.get("MLFLOW_WORKSPACE", "")}
    auth = environment.get("MLFLOW_TRACKING_AUTH", "")
    if auth in ("kubernetes", "kubernetes-namespaced"):
        try:
            bearer = (ACCOUNT / "token").read_text(encoding="utf-8").strip()
            if auth.endswith("namespaced") and not space["X-MLFLOW-WORKSPACE"]:
                space["X-MLFLOW-WORKSPACE"] = (ACCOUNT / "namespace").read_text(encoding="utf-8").strip()
        except OSError:
            raise Untracked(
                f"is not asked: MLFLOW_TRACKING_AUTH is {auth}, but there is no account in {ACCOUNT}"
            ) from None
    elif auth:
        raise Untracked("is not asked: of MLFLOW_TRACKING_AUTH only kubernetes and kubernetes-namespaced are known")
    else:
        bearer = environment.get("MLFLOW_TRACKING_TOKEN", "")
        named = _named(environment)
        user, password = (unquote(user), unquote(password or "")) if user else named
        if user and password:
            bearer = ""
            space |= urllib3.make_headers(basic_auth=f"{user}:{password}")
    known = space | ({"Authorization": f"Bearer {bearer}"} if bearer else {})
    if any(not value.isascii() or not value.isprintable() for value in known.values()):
        raise Untracked(
            "is not asked: its token or workspace has a character that cannot be sent, such as a line break"
        )
    return {name: value for name, value in known.items() if value}


def _named(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return name and password, from the environment or from MLflow's file for them."""
    names = ("mlflow_tracking_username", "mlflow_tracking_password")
    file = configparser.ConfigParser(interpolation=None)
    try:
        file.read(Path("~/.mlflow/credentials").expanduser(), encoding="utf-8")
        kept = dict(file["mlflow"]) if file.has_section("mlflow") else {}
    except (configparser.Error, OSError, RuntimeError, UnicodeDecodeError):
        kept = {}
    user, password = (environment.get(name.upper()) or kept.get(name, "") for name in names)
    return user, password


def _pool(environment: Mapping[str, str], scheme: str, host: str) -> urllib3.PoolManager:
    options: dict[str, Any] = {}
    if scheme == "https":
        options["ssl_context"] = _trust(environment)
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host):
        return urllib3.PoolManager(**options)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=user)
    try:
        return urllib3.ProxyManager(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", proxy_headers=headers, **options
        )
    except urllib3.exceptions.HTTPError:
        raise Untracked(f"cannot be reached: {scheme.upper()}_PROXY is not of the form http://host:port") from None


def _trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    names = ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    name = next((name for name in names if environment.get(name)), "")
    try:
        context = ssl.create_default_context(cafile=environment[name] if name else get_cert_path(True))
        if environment.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in _YES:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        if own := environment.get("MLFLOW_TRACKING_CLIENT_CERT_PATH"):
            context.load_cert_chain(own)
    except (OSError, ssl.SSLError):
        raise Untracked(f"is not asked: {name or 'a file of certificates'} names none that can be read") from None
    return context


def _refused(status: int, text: bytes) -> Untracked:
    if status in (401, 403):
        return Untracked(
            f"refuses (HTTP {status}): see MLFLOW_TRACKING_USERNAME and …_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    try:
        said = outside.document(text, "its answer")
    except BadInput:
        said = None
    code, message = (said.get(name) if isinstance(said, dict) else None for name in ("error_code", "message"))
    if isinstance(code, str) and isinstance(message, str):
        return Untracked(f"refuses: {message.splitlines()[0][:300] if message else code}", code)
    return Untracked(f"answers with HTTP {status}, and not as MLflow does")


def _reason(error: Exception) -> str:
    """Return why there was no answer, in a few words."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return f"no answer within {ANSWER_SECONDS} s"
    inner: BaseException = getattr(error, "reason", None) or error.__cause__ or error.__context__ or error
    inner = inner if isinstance(inner, BaseException) else error
    return str(getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or type(inner).__name__)
