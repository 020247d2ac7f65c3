"""Credentials that are not in the environment: of a file, a program, or a role; botocore's chain finds them.

Whatever goes wrong there is one sentence that shows nothing of what a file holds or a program prints.
"""

import configparser
import os
from typing import Any

from botocore import exceptions as boto

from components.contract.errors import BadInput, StepError
from components.contract.store import failures, settings
from components.contract.store.settings import KEYS

ENDPOINT = "endpoint_url of the profile"
_PROGRAM = "custom-process"
NO_CREDENTIALS = f"no S3 credentials: set {KEYS[0]} and {KEYS[1]}"


def found(session: Any) -> Any:
    """Return the credentials that the chain finds, ready to be used.

    Raises `BadInput` where there are none, or botocore's own errors.
    """
    try:
        credentials = session.get_credentials()
    except (OSError, ValueError, AttributeError, TypeError):
        if "credential_process" not in session.get_scoped_config():
            raise
        raise boto.CredentialRetrievalError(provider=_PROGRAM, error_msg="") from None
    if credentials is None:
        profile = session.get_config_variable("profile")
        if profile:
            session.get_scoped_config()  # raises if there is none of that name
            raise BadInput(f"no S3 credentials in the profile {profile}, and none elsewhere; see docs/store.md")
        raise BadInput(NO_CREDENTIALS)
    _look_at(credentials)
    return credentials


def fresh(credentials: Any) -> None:
    """Renew the credentials of a role if it is time."""
    try:
        _look_at(credentials)
    except Exception as error:
        if isinstance(error, StepError) or failures.passing(error):
            raise
        raise explained(error) from None


def _look_at(credentials: Any) -> None:
    frozen = credentials.get_frozen_credentials()
    source = f"the {{}} that {credentials.method} gives"
    for what, value in (("access key", frozen.access_key), ("secret key", frozen.secret_key), ("token", frozen.token)):
        if not isinstance(value or "", str):
            raise BadInput(f"{source.format(what)} is no text")
        settings.refuse_what_no_key_has(source.format(what), value or "")
    if not frozen.access_key or not frozen.secret_key:
        raise BadInput(f"{source.format('access key or secret key')} is empty")


def explained(error: Exception) -> StepError:
    """Return why there are no credentials, or no client, as a sentence without any secret."""
    if isinstance(error, (boto.ClientError, boto.HTTPClientError, boto.ConnectionError)):
        return BadInput(str(failures.explained("get S3 credentials", error)))
    for kinds, explain in _KINDS:
        if isinstance(error, kinds):
            return BadInput(explain(error))
    return BadInput(
        f"no S3 credentials: what the profile or the environment says does not work ({type(error).__name__})"
    )


def _profile(error: Any) -> str:
    return f"AWS_PROFILE: there is no profile {error.kwargs['profile']} in ~/.aws/config or ~/.aws/credentials"


def _file(error: Any) -> str:
    cause = error.__context__
    line = getattr(cause, "lineno", None) or next((number for number, _ in getattr(cause, "errors", ())), None)
    kind = {
        configparser.DuplicateOptionError: "a name is there twice",
        configparser.DuplicateSectionError: "a section is there twice",
        configparser.MissingSectionHeaderError: "a section, such as [default], is to come first",
        UnicodeDecodeError: "it is no text",
    }.get(type(cause), "it has lines that are not of the form name = value")
    return f"{error.kwargs['path']} cannot be read{f', line {line}' if line else ''}: {kind}"


def _program(error: Any) -> str:
    if error.kwargs.get("provider") == _PROGRAM:
        return "no S3 credentials: the profile's credential_process failed, or printed other than credentials"
    return f"no S3 credentials: {error.kwargs.get('provider')} gave none"


def _os(error: Any) -> str:
    """Return the sentence on a file that cannot be read; a program's name may be anything, and is not shown."""
    name = next((name for name, value in os.environ.items() if value and value == error.filename), "")
    place = f"{name}: {error.filename}" if name else "a file or a program that the profile names"
    return f"no S3 credentials: {place}: {error.strerror or 'cannot be read'}"


def _value(error: ValueError) -> str:
    if str(error).startswith("Invalid endpoint: "):
        return settings.not_an_address(ENDPOINT, "@", "give it as http://host:port")
    return f"no S3 credentials: what the profile or the environment says does not work ({type(error).__name__})"


# The first that fits.
_KINDS: tuple[tuple[Any, Any], ...] = (
    (boto.ProfileNotFound, _profile),
    (boto.ConfigParseError, _file),
    (boto.CredentialRetrievalError, _program),
    (
        boto.PartialCredentialsError,
        lambda error: f"no S3 credentials: {error.kwargs['provider']} lacks {error.kwargs['cred_var']}",
    ),
    (
        (boto.SSOError, boto.SSOTokenLoadError, boto.UnauthorizedSSOTokenError),
        lambda _: "no S3 credentials: the login of the profile has ended; run aws sso login",
    ),
    (boto.NoCredentialsError, lambda _: NO_CREDENTIALS),
    (
        boto.InvalidRegionError,
        lambda error: f"{error.kwargs['region_name']!r} is not the name of a region, such as us-east-1",
    ),
    (
        boto.ParamValidationError,
        lambda _: "no S3 credentials: the token or the name of the role (AWS_ROLE_ARN) is empty, or none",
    ),
    (OSError, _os),
    (ValueError, _value),
)
