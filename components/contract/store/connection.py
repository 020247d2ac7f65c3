"""The connection to an S3 store: who asks, and how it is asked.

A failure that may pass is waited out; any other is said in a sentence.
"""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import botocore.session
from botocore import UNSIGNED
from botocore import exceptions as boto
from botocore.config import Config
from botocore.handlers import BUILTIN_HANDLERS
from botocore.httpsession import get_cert_path

from components.contract import waiting
from components.contract.errors import BadInput, StepError
from components.contract.store import failures, roles, settings
from components.contract.store.settings import Settings

T = TypeVar("T")

CONNECTIONS = 4  # at the same time
_CONFIG = {
    # What may pass is waited out by waiting.py, in one place.
    "retries": {"total_max_attempts": 1},
    "connect_timeout": 10,
    "read_timeout": 60,
    "max_pool_connections": CONNECTIONS,
    # Not every S3 store knows the newer checksums; what arrives here is held against the manifest's anyway.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


class Connection:
    """A client of the store that the environment describes, and the one way to call it."""

    def __init__(self, environment: Mapping[str, str] = os.environ, seconds: float = 60) -> None:
        """Find the store and the credentials; the store itself is not asked yet.

        `seconds` is how long an answer, or the next part of one, may take before the connection is taken for dead.
        The names are those that every S3 client reads (docs/store.md). Raises `BadInput` for what they cannot be, and
        `StoreUnavailable` if whoever gives credentials to a role is not there.
        """
        given = settings.read(environment)
        self.client: Any
        self.client, self.endpoint, self._credentials = waiting.patiently(
            "get S3 credentials", lambda: _connect(given, seconds), failures.passing
        )

    def call(self, what: str, function: Callable[[Any], T]) -> T:
        """Return what `function` does with the client, called again as long as its failure may pass.

        Raises `StoreUnavailable` or `StoreRefused`, or `BadInput` where the settings are to blame. The sentence is
        "cannot", and then `what`: say, "read s3://bucket/key"; the store is named after it.
        """
        what = f"{what} at {self.endpoint}"

        def once() -> T:
            if self._credentials:  # those of a role are renewed in time
                roles.fresh(self._credentials)
            try:
                return function(self.client)
            except failures.ERRORS as error:
                if failures.passing(error):
                    raise
                return function(self.client)  # no is believed when it is said twice: a bit may have been wrong

        try:
            return waiting.patiently(what, once, failures.passing)
        except failures.ERRORS as error:
            raise failures.explained(what, error) from error


def to(environment: Mapping[str, str] = os.environ) -> Connection:
    """Return the connection to the store that the environment describes; the same one as long as that is the same.

    To make one takes a good part of a second, and those who give credentials to a role are to be asked rarely.
    """
    waiting.limit()  # what is wrong with it is said before it is needed
    names = {name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")}
    around = {name: os.environ.get(name, "") for name in (*names, "HOME", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")}
    said = tuple(sorted((around | dict(environment)).items() if environment is not os.environ else around.items()))
    places = (
        environment.get("AWS_CONFIG_FILE") or "~/.aws/config",
        environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",
        environment.get("AWS_CA_BUNDLE") or environment.get("SSL_CERT_FILE") or "",
    )
    return _kept(os.getpid(), said, tuple(_written(place) for place in places))


@functools.lru_cache(maxsize=4)
def _kept(_process: int, said: tuple[tuple[str, str], ...], _files: tuple[int, ...]) -> Connection:
    return Connection(dict(said))


def _written(place: str) -> int:
    """Return when a file was last written, in nanoseconds; 0 if it is not there."""
    try:
        return Path(place).expanduser().stat().st_mtime_ns
    except (OSError, RuntimeError):  # no such file, or no such home
        return 0


def _connect(given: Settings, seconds: float) -> tuple[Any, str, Any]:
    """Return a client, the store's address, and the credentials, if they are to be renewed."""
    try:
        session = _session(given)
        config: dict[str, Any] = {"read_timeout": seconds}
        if given.anonymous:
            config["signature_version"] = UNSIGNED
        if given.endpoint and _is_here(given.endpoint):
            config["proxies"] = {}
        keys = dict(
            zip(("aws_access_key_id", "aws_secret_access_key", "aws_session_token"), given.keys or (), strict=False)
        )
        credentials = None
        if not given.anonymous and not given.keys:
            credentials = roles.found(session)
        client = session.create_client("s3", endpoint_url=given.endpoint, config=Config(**config), **keys)
    except (StepError, *failures.ERRORS) as error:
        if isinstance(error, StepError) or failures.passing(error):
            raise
        raise roles.explained(error) from None
    except Exception as error:  # noqa: BLE001 - files, programs and servers of any kind: botocore has no word for all
        raise roles.explained(error) from None
    endpoint = client.meta.endpoint_url
    if wrong := settings.wrong_with(endpoint):
        raise BadInput(settings.not_an_address(roles.ENDPOINT, endpoint, wrong))
    _check_first(client.meta.events)
    return client, endpoint, credentials


def _session(given: Settings) -> Any:
    # An empty variable is none: without a name botocore looks for a profile of that name, and for a file.
    names: dict[str, Any] = {"ca_bundle": ("ca_bundle", None, None, None)}
    if not given.profile:
        names["profile"] = (None, None, None, None)
    session = botocore.session.Session(session_vars=names)
    for name, value in given.files.items():
        session.set_config_variable(name, value)
    if given.profile not in (None, os.environ.get("AWS_PROFILE"), os.environ.get("AWS_DEFAULT_PROFILE")):
        session.set_config_variable("profile", given.profile)
    if given.region:
        session.set_config_variable("region", given.region)
    if not os.environ.get("AWS_METADATA_SERVICE_NUM_ATTEMPTS"):
        session.set_config_variable("metadata_service_num_attempts", 2)  # a second each, where there is no instance
    bundle = given.bundle or session.get_config_variable("ca_bundle")
    if bundle and not given.bundle:
        settings.check_bundle("ca_bundle of the profile", bundle)
    session.set_config_variable("ca_bundle", bundle or os.environ.get("REQUESTS_CA_BUNDLE") or get_cert_path(True))
    session.set_default_client_config(Config(**_CONFIG))
    return session


def _is_here(endpoint: str) -> bool:
    """Tell whether the store is on this machine, which no proxy leads to."""
    host = urlsplit(endpoint).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _check_first(events: Any) -> None:
    """Have each answer looked at before botocore looks, which would take a page for an answer that broke off."""
    name = "before-parse.s3.*"
    theirs = [handler for at, handler, *_ in BUILTIN_HANDLERS if at == name]
    for handler in theirs:
        events.unregister(name, handler)
    for handler in (_check, *theirs):
        events.register(name, handler)


def _check(response_dict: dict[str, Any], operation_model: Any, **_: object) -> None:
    """Raise unless the answer is there whole, and no page: botocore would take either for what can be read in it."""
    expected, body = response_dict["headers"].get("content-length"), response_dict["body"]
    if operation_model.http["method"] == "HEAD" or not isinstance(body, bytes):  # it has none, or is a stream
        return
    if expected and len(body) < int(expected):
        raise boto.IncompleteReadError(actual_bytes=len(body), expected_bytes=int(expected))
    begins = body.lstrip()[:9].lower()
    page = not begins.startswith(b"<") or begins.startswith((b"<html", b"<!doctype"))
    if response_dict["status_code"] < 300 and begins and page:
        raise failures.NotS3(error="it is a page, such as that of a login, or no XML")
