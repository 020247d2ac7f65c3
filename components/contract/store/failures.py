"""What a failure at the S3 store means: whether it may pass, and its sentence.

Whether it may pass goes by the HTTP status of the answer (5xx, 408, 429) and, where there was no answer, by the
connection. A name of an error decides only where S3 says by it what another protocol would say by the status.
"""

import re

import urllib3
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from components.contract import waiting
from components.contract.errors import BadInput, StepError, StoreRefused
from components.contract.waiting import MayPass

# A body that did not arrive, or not as it was sent, and a change at the same time: answered with 400 and 409.
_PASSING_CODES = {
    "BadDigest", "ConditionalRequestConflict", "IncompleteBody", "OperationAborted", "RequestTimeout",
    "XAmzContentSHA256Mismatch",
}  # fmt: skip
_REFUSALS = {
    "AccessDenied": "these credentials may not do this",
    "ExpiredToken": "the session token has expired",
    "InvalidAccessKeyId": "the store does not know this access key; check AWS_ACCESS_KEY_ID",
    "InvalidBucketName": "the bucket's name is not a valid one",
    "InvalidToken": "the store does not take this session token; check AWS_SESSION_TOKEN",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the store's",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
}
_REGIONS = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
_STEPS_TO_A_ROLE = {
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "AssumeRoleWithSAML",
    "GetRoleCredentials",
    "CreateToken",
}

ERRORS = (boto.BotoCoreError, boto.ClientError, ResponseParserError, urllib3.exceptions.HTTPError)


class NotS3(boto.BotoCoreError):  # type: ignore[misc]
    """An answer that an S3 store would not give, such as that of a login page in between."""

    fmt = "the answer is not that of an S3 store ({error})"


def passing(error: Exception) -> MayPass | None:
    """Return why a call failed if waiting may help, or None."""
    if isinstance(error, boto.ClientError):
        code = code_of(error)
        if waiting.may_pass(status_of(error)) or code in _PASSING_CODES:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            return MayPass(_said(error), waiting.asked(headers.get("retry-after")))
        return None
    return MayPass(_reason(error)) if _of_the_connection(error) else None


def status_of(error: boto.ClientError) -> int:
    """Return the HTTP status of the answer; 0 if there is none."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: Exception) -> str:
    """Return S3's word for an error; empty if it has none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, boto.ClientError) else ""


def explained(what: str, error: Exception) -> StepError:
    """Return the failure that does not pass, as a sentence: "cannot", `what`, and why."""
    sentence = f"cannot {what}: "
    if isinstance(error, boto.ClientError):
        return _refused(sentence, error)
    if isinstance(error, NotS3):
        return StoreRefused(f"{sentence}{error}")
    if isinstance(error, ResponseParserError):  # whose text is the whole answer
        return StoreRefused(f"{sentence}the answer is not that of an S3 store (it is no XML)")
    if isinstance(error, boto.ParamValidationError):
        return BadInput(f"{sentence}its name is not one that S3 allows")
    return StoreRefused(sentence + _reason(error))


def _refused(sentence: str, error: boto.ClientError) -> StepError:
    code = code_of(error)
    if error.operation_name in _STEPS_TO_A_ROLE:
        return BadInput(f"no S3 credentials: {error.operation_name} was refused with {_said(error)}")
    if code in _REGIONS:
        there = error.response.get("Error", {}).get("Region")
        return BadInput(f"{sentence}the region is another one; set AWS_REGION" + (f" to {there}" if there else ""))
    return StoreRefused(sentence + (_REFUSALS.get(code) or _said(error)), code)


def _of_the_connection(error: Exception) -> bool:
    text = _short(error)
    if isinstance(error, boto.CredentialRetrievalError) and error.kwargs.get("provider") == "container-role":
        answer = re.search(r"non 200 response (\d+)", str(error))  # botocore says the status only so
        return waiting.may_pass(int(answer[1])) if answer else "Received error when attempting" in str(error)
    if isinstance(error, boto.SSLError | urllib3.exceptions.SSLError):  # a connection that broke off, no certificate
        return "EOF" in text or "reset" in text
    if isinstance(error, boto.ProxyConnectionError):  # the proxy answers "403", or nothing
        return "failed: 4" not in text
    if type(error) is boto.HTTPClientError:  # what botocore has no word for: a header or a host that cannot be
        return False
    return isinstance(
        error, boto.HTTPClientError | boto.IncompleteReadError | urllib3.exceptions.HTTPError | boto.ConnectionError
    )


def _said(error: boto.ClientError) -> str:
    said = error.response.get("Error", {})
    code, message = str(said.get("Code") or ""), " ".join(str(said.get("Message") or "").split())[:300]
    name = f"HTTP status {code}" if code.isdigit() else code or f"HTTP status {status_of(error)}"
    return f"{name}: {message}" if message else name


def _reason(error: Exception) -> str:
    if isinstance(error, boto.ProxyConnectionError):
        proxy = str(error.kwargs.get("proxy_url", "")).rpartition("@")[2].rpartition("//")[2]
        return f"the proxy {proxy}: {_short(error)}"
    return _short(error)


def _short(error: Exception) -> str:
    """Return the innermost reason without the objects and addresses that libraries put around it."""
    inner = getattr(error, "kwargs", {}).get("error") or error
    inner = getattr(inner, "original_error", None) or getattr(inner, "reason", None) or inner
    text = str(inner).rpartition(">: ")[2].rpartition("): ")[2]
    return " ".join(text.split())[:300] or type(inner).__name__
