"""The connection to an S3 store: where it is and who asks, from the environment; and how it is asked.

A failure that may pass is tried again; any other is said in a sentence.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import tenacity
import urllib3
from minio import Minio
from minio.credentials.providers import AWSConfigProvider, IamAwsProvider, Provider, StaticProvider
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from components.contract.errors import BadInput, StepError, StoreRefused, StoreUnavailable

T = TypeVar("T")

CONNECTIONS = 4  # at the same time
ATTEMPTS = 5

_PASSING = {"InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable", "SlowDown", "XMinioServerBusy"}
_REFUSALS = {
    "AccessDenied": "these credentials may not do this",
    "ExpiredToken": "the session token has expired",
    "InvalidAccessKeyId": "the store does not know this access key; check AWS_ACCESS_KEY_ID",
    "InvalidBucketName": "the bucket's name is not a valid one",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the store's",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
}


def connect(environment: Mapping[str, str] = os.environ) -> tuple[Minio, str]:
    """Return a client, which connects when it is first used, and the store's address.

    The names are those that every S3 client reads: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (default: Amazon's),
    AWS_REGION or AWS_DEFAULT_REGION, AWS_CA_BUNDLE, and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, or
    a profile in ~/.aws/credentials, or the role of the pod (AWS_WEB_IDENTITY_TOKEN_FILE,
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or ..._FULL_URI). Raises `BadInput` for what they cannot be.
    """
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    endpoint = endpoint or "https://s3.amazonaws.com"
    address = urlsplit(endpoint)
    if address.scheme not in ("http", "https") or not address.netloc or address.path.strip("/"):
        raise BadInput(f"AWS_ENDPOINT_URL: {endpoint!r} is not of the form http(s)://host[:port]")
    bundle = environment.get("AWS_CA_BUNDLE") or environment.get("SSL_CERT_FILE") or None
    if bundle and not Path(bundle).is_file():
        raise BadInput(f"AWS_CA_BUNDLE: there is no file {bundle}")
    # Retries are tenacity's business, in one place, so the connection pool makes none of its own.
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=10, read=60), retries=False, maxsize=CONNECTIONS, ca_certs=bundle
    )
    client = Minio(
        address.netloc,
        secure=address.scheme == "https",
        region=environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None,
        credentials=_credentials(environment),
        http_client=pool,
    )
    return client, endpoint


def call(what: str, function: Callable[..., T], *arguments: Any) -> T:
    """Call the store, again where the failure may pass; raise `StoreUnavailable` or `StoreRefused` where it does not.

    The error's sentence is "cannot", and then `what`: say, "read s3://bucket/key at https://host".
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    try:
        return retrying(function, *arguments)
    except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _explained(f"cannot {what}: ", error) from error


def _explained(sentence: str, error: Exception) -> StepError:
    if _may_pass(error):
        return StoreUnavailable(f"{sentence}{_short(error)} (tried {ATTEMPTS} times)")
    if isinstance(error, S3Error):
        return StoreRefused(sentence + _REFUSALS.get(error.code or "", f"{error.code}: {error.message}"))
    return StoreRefused(sentence + _short(error))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, S3Error):
        return error.code in _PASSING
    if isinstance(error, ServerError):
        return True
    if isinstance(error, InvalidResponseError):  # an answer that is not S3's: a proxy in between, or no S3 store at all
        return " 50" in str(error)
    return isinstance(error, urllib3.exceptions.HTTPError) and not isinstance(error, urllib3.exceptions.SSLError)


def _short(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(">: ")[2].rpartition("): ")[2] or type(error).__name__


def _credentials(environment: Mapping[str, str]) -> Provider:
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return StaticProvider(key, secret, environment.get("AWS_SESSION_TOKEN") or None)
    pod_role = (
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    )
    if any(environment.get(name) for name in pod_role):
        return IamAwsProvider()
    profile = Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    if profile.is_file():
        return AWSConfigProvider(str(profile), environment.get("AWS_PROFILE"))
    raise BadInput("no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
