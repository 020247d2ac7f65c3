"""A file over HTTP, through the proxies that the environment names.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY are read as curl reads them, also in small letters. SSL_CERT_FILE names
the certificates to trust. Names and passwords in an address go to the server or proxy, and are never shown.
"""

import contextlib
import os
import re
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ProxyError, SSLError

from components.contract import waiting
from components.contract.terminal import Progress
from components.contract.waiting import MayPass


class Refused(OSError):
    """The server answers, but not with the file; `status` is HTTP's, `after` the seconds it wants to be left alone."""

    def __init__(self, message: str, status: int = 0, after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.after = after


class NotThere(Refused):
    """The server answers, but has no such file."""


def get(address: str, path: Path) -> None:
    """Download what is at the address to `path`; raise `OSError` or urllib3's `HTTPError` unless it is there whole."""
    plain, user = without_user(address)
    proxy = proxy_of(plain)
    try:
        response = _pool(proxy).request(
            "GET", plain, headers=urllib3.make_headers(basic_auth=user), preload_content=False
        )
    except MaxRetryError as error:
        if isinstance(error.reason, ProxyError):
            reason = str(error.reason.original_error).rpartition(">: ")[2]
            said = re.search(r"Tunnel connection failed: (\d+)", reason)
            status = int(said[1]) if said else 503  # one that does not answer may be back as well
            raise Refused(f"the proxy {without_user(proxy)[0]}: {reason}", status) from None
        raise
    with contextlib.closing(response):
        if response.status != 200:
            kind = NotThere if response.status == 404 else Refused
            after = waiting.asked(response.headers.get("Retry-After"))
            raise kind(f"HTTP status {response.status} for {path.name}", response.status, after)
        size, done = int(response.headers.get("Content-Length", 0)), 0
        with Progress(size) as progress, path.open("wb") as file:
            for part in response.stream(65536):
                done += file.write(part)
                progress.advance(done, f"{path.name}  {done / 1e6:.1f} of {size / 1e6:.1f} MB")


def passing(error: Exception) -> MayPass | None:
    """Return why a download failed if waiting may help, or None."""
    if isinstance(error, Refused):
        return MayPass(str(error), error.after) if waiting.may_pass(error.status) else None
    reason = getattr(error, "reason", None) or error
    if isinstance(error, HTTPError) and not isinstance(reason, SSLError):
        return MayPass(str(reason).rpartition(">: ")[2])
    return None


def without_user(address: str) -> tuple[str, str | None]:
    """Return an address without name and password, and these as `name:password`, if it has any."""
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=host).geturl(), unquote(user) or None


def proxy_of(address: str) -> str:
    """Return the proxy to reach an address through; empty for none."""
    parts, proxies = urlsplit(address), urllib.request.getproxies()
    if urllib.request.proxy_bypass(parts.netloc):
        return ""
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    return proxy if "://" in proxy or not proxy else f"http://{proxy}"


def _pool(proxy: str) -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=10, read=60)
    retries = urllib3.Retry(0, redirect=5)  # what may pass is waited out by waiting.py, in one place
    bundle = os.environ.get("SSL_CERT_FILE") or None
    if not proxy:
        return urllib3.PoolManager(timeout=timeout, retries=retries, ca_certs=bundle)
    plain, user = without_user(proxy)
    if urlsplit(plain).scheme not in ("http", "https"):
        raise OSError(f"the proxy {plain} is none that is asked over HTTP; give one as http://host:port")
    headers = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(plain, proxy_headers=headers, timeout=timeout, retries=retries, ca_certs=bundle)
