"""Where the S3 store is and who asks, as the environment says it, checked before anything is asked.

Botocore reads the same names, and files, roles and proxies besides. What is checked here are the mistakes that it would
answer with a traceback, with a puzzle, or with a secret. No sentence here shows a value that may be or hold a secret.
"""

import re
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.contract.errors import BadInput

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
TOKEN = "AWS_SESSION_TOKEN"  # noqa: S105 - the name of a variable
ANONYMOUS = "AWS_NO_SIGN_REQUEST"
_YES, _NO = ("true", "yes", "1", "on"), ("false", "no", "0", "off", "")


@dataclass(frozen=True)
class Settings:
    """What the environment says of the store; None is what it does not say."""

    endpoint: str | None
    region: str | None
    bundle: str | None
    profile: str | None
    keys: tuple[str, str, str | None] | None  # access key, secret key, session token
    anonymous: bool
    files: Mapping[str, str]  # other places of ~/.aws/config and ~/.aws/credentials, by botocore's names of them


def read(environment: Mapping[str, str]) -> Settings:
    """Return the store's settings; an empty one is none. Raises `BadInput` for what they cannot be."""

    def first(*names: str) -> tuple[str, str | None]:
        name = next((name for name in names if environment.get(name)), names[0])
        value = environment.get(name) or None
        if value is not None:
            _refuse_blanks(name, value)
        return name, value

    name, endpoint = first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    if endpoint and (wrong := wrong_with(endpoint)):
        raise BadInput(not_an_address(name, endpoint, wrong))
    name, bundle = first("AWS_CA_BUNDLE", "SSL_CERT_FILE")
    if bundle:
        check_bundle(name, bundle)
    _check_proxies()
    anonymous = environment.get(ANONYMOUS, "").strip().lower()
    if anonymous not in (*_YES, *_NO):
        raise BadInput(f"{ANONYMOUS} is neither true nor false")
    _, profile = first("AWS_PROFILE", "AWS_DEFAULT_PROFILE")
    files = {"config_file": "AWS_CONFIG_FILE", "credentials_file": "AWS_SHARED_CREDENTIALS_FILE"}
    return Settings(
        endpoint=endpoint,
        region=first("AWS_REGION", "AWS_DEFAULT_REGION")[1],
        bundle=bundle,
        profile=None if profile == "default" else profile,  # which is taken without a name, if it is there
        keys=_keys(environment),
        anonymous=anonymous in _YES,
        files={ours: environment[name] for ours, name in files.items() if environment.get(name)},
    )


def not_an_address(name: str, endpoint: str, wrong: str) -> str:
    """Return the sentence on an endpoint that is none; what stands where a host does not is not shown."""
    host = re.fullmatch(r"((?:\w+://)?[\w.-]+(?::\d+)?)(/.*)?", endpoint)
    shown = f": {host[1]}{'/…' if host[2] else ''}" if host else ""
    return f"{name}{shown} is not of the form http(s)://host[:port]: {wrong}"


def wrong_with(endpoint: str) -> str:
    """Return what is wrong with an endpoint's address; nothing if it is one."""
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:  # also of brackets that do not match
        return "its host or its port, a number up to 65535, is none"
    if parts.scheme not in ("http", "https"):
        return "it does not begin with http:// or https://"
    if "@" in parts.netloc:
        return f"it has a name or a password in it; these are {KEYS[0]} and {KEYS[1]}"
    if not parts.hostname or port == 0 or parts.netloc.endswith(":"):
        return "it lacks its host or its port"
    if parts.path.strip("/") or parts.query or parts.fragment:
        return "there is more behind the host; a bucket is part of s3://bucket/prefix"
    try:
        host = parts.hostname.encode("idna").decode()
    except UnicodeError:
        host = ""
    return "" if re.fullmatch(r"[\w.-]+|[0-9a-f:.]+(%\w+)?", host) else "its host is none"


def refuse_what_no_key_has(name: str, value: str) -> None:
    """Raise `BadInput`, which names it and does not show it, if a key has a character that cannot be sent."""
    _refuse_blanks(name, value)
    if not (value.isascii() and value.isprintable()):
        raise BadInput(f"{name} has a character in it that no key has, such as a line break or an umlaut")


def _refuse_blanks(name: str, value: str) -> None:
    if value != value.strip():
        raise BadInput(f"{name} begins or ends with a blank or a line break; take that away (echo -n, or printf %s)")


def _keys(environment: Mapping[str, str]) -> tuple[str, str, str | None] | None:
    key, secret = (environment.get(name) for name in KEYS)
    token = environment.get(TOKEN) or None
    if bool(key) != bool(secret):
        there, missing = KEYS if key else KEYS[::-1]
        raise BadInput(f"{there} is set, but {missing} is not: set {KEYS[0]} and {KEYS[1]}, or neither")
    if not key or not secret:
        return None
    for name, value in ((KEYS[0], key), (KEYS[1], secret), (TOKEN, token or "")):
        refuse_what_no_key_has(name, value)
    return key, secret, token


def check_bundle(name: str, bundle: str) -> None:
    """Raise `BadInput` unless the file has certificates to trust."""
    if not Path(bundle).is_file():
        raise BadInput(f"{name}: there is no file {bundle}")
    try:
        ssl.create_default_context(cafile=bundle)
    except (ssl.SSLError, OSError):
        raise BadInput(f"{name}: {bundle} has no certificates to read; it is to be in PEM form") from None


def _check_proxies() -> None:
    """Refuse a proxy that is no address, before it is used; its name and password are never shown."""
    for scheme, proxy in urllib.request.getproxies().items():
        if scheme not in ("http", "https"):
            continue
        try:
            parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
            sound = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 80) and proxy.isascii()
        except ValueError:
            sound = False
        if not sound or proxy != proxy.strip() or set(" \t\r\n") & set(proxy):
            raise BadInput(f"{scheme.upper()}_PROXY is not of the form http://host:port")
