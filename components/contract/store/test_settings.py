# mypy: allow-untyped-defs, allow-untyped-calls
"""Mistakes in the store's settings: one sentence, exit code 2, and never a secret."""

import contextlib
import io
import os
import traceback
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.contract.errors import BadInput, StepError, StoreUnavailable
from components.contract.store.client import Store

SECRET = "wJalrXUtnFEMI-K7MDENG"  # noqa: S105 - planted, to be looked for
NOWHERE = "http://127.0.0.1:9"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA0123456789", "AWS_SECRET_ACCESS_KEY": SECRET}


def outcome(environment, files, folder):
    """Ask a store that is not there; return the error, and all that is printed, as --verbose prints it."""
    (folder / "config").write_bytes(b"")
    (folder / "credentials").write_bytes(b"")
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    around = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"), "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": NOWHERE, "TAPELINE_WAIT_SECONDS": "0",
    } | environment  # fmt: skip
    with (
        mock.patch.dict(os.environ, around, clear=True),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        pytest.raises(StepError) as error,
    ):
        Store.from_environment().names("s3://tests/x")
    return error.value, out.getvalue() + err.getvalue() + "".join(traceback.format_exception(error.value))


MISTAKES = [
    ({"AWS_ENDPOINT_URL": "127.0.0.1:9000"}, "AWS_ENDPOINT_URL: 127.0.0.1:9000 is not of the form"),
    ({"AWS_ENDPOINT_URL": "ftp://host"}, "it does not begin with http:// or https://"),
    ({"AWS_ENDPOINT_URL": "http://"}, "it lacks its host or its port"),
    ({"AWS_ENDPOINT_URL": "http://host:"}, "it lacks its host or its port"),
    ({"AWS_ENDPOINT_URL": "http://:9000"}, "it lacks its host or its port"),
    ({"AWS_ENDPOINT_URL": "http://host:0"}, "it lacks its host or its port"),
    ({"AWS_ENDPOINT_URL": "http://host:99999"}, "its host or its port, a number up to 65535, is none"),
    ({"AWS_ENDPOINT_URL": "http://host:abc"}, "its host or its port, a number up to 65535, is none"),
    ({"AWS_ENDPOINT_URL": "http://[::1"}, "its host or its port, a number up to 65535, is none"),
    ({"AWS_ENDPOINT_URL": f"http://host/{SECRET}"}, "AWS_ENDPOINT_URL: http://host/… is not"),
    ({"AWS_ENDPOINT_URL": "http://host/minio"}, "there is more behind the host"),
    ({"AWS_ENDPOINT_URL": f"http://host?x={SECRET}"}, "AWS_ENDPOINT_URL is not of the form"),
    ({"AWS_ENDPOINT_URL": f"http://me:{SECRET}@host:9000"}, "it has a name or a password in it"),
    ({"AWS_ENDPOINT_URL": f"http://me:{SECRET}@host:abc"}, "AWS_ENDPOINT_URL is not of the form"),
    ({"AWS_ENDPOINT_URL": "http://a..b"}, "its host is none"),
    ({"AWS_ENDPOINT_URL": "http://h ost"}, "its host is none"),
    ({"AWS_ENDPOINT_URL": "http://host\n"}, "AWS_ENDPOINT_URL begins or ends with a blank or a line break"),
    ({"AWS_ENDPOINT_URL_S3": "host"}, "AWS_ENDPOINT_URL_S3: host is not of the form"),
    ({"AWS_REGION": "us-east-1\n"}, "AWS_REGION begins or ends with a blank or a line break"),
    ({"AWS_REGION": "us east"}, "'us east' is not the name of a region, such as us-east-1"),
    ({"AWS_CA_BUNDLE": "/nowhere.pem"}, "AWS_CA_BUNDLE: there is no file /nowhere.pem"),
    ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: there is no file /nowhere.pem"),
    ({"AWS_CA_BUNDLE": "{folder}/junk"}, "AWS_CA_BUNDLE: {folder}/junk has no certificates to read"),
    ({"HTTPS_PROXY": f"http://me:{SECRET}@host:abc"}, "HTTPS_PROXY is not of the form http://host:port"),
    ({"HTTP_PROXY": f"socks5://me:{SECRET}@host:1"}, "HTTP_PROXY is not of the form http://host:port"),
    ({"https_proxy": "http://"}, "HTTPS_PROXY is not of the form http://host:port"),
    ({"AWS_ACCESS_KEY_ID": "AKIA\n"}, "AWS_ACCESS_KEY_ID begins or ends with a blank or a line break"),
    ({"AWS_SECRET_ACCESS_KEY": f"{SECRET}\n"}, "AWS_SECRET_ACCESS_KEY begins or ends with a blank or a line break"),
    ({"AWS_SECRET_ACCESS_KEY": f" {SECRET}"}, "AWS_SECRET_ACCESS_KEY begins or ends with a blank or a line break"),
    ({"AWS_SESSION_TOKEN": f"{SECRET}\r\n"}, "AWS_SESSION_TOKEN begins or ends with a blank or a line break"),
    ({"AWS_SESSION_TOKEN": f"{SECRET}\n{SECRET}"}, "AWS_SESSION_TOKEN has a character in it that no key has"),
    ({"AWS_SECRET_ACCESS_KEY": f"{SECRET}ü"}, "AWS_SECRET_ACCESS_KEY has a character in it that no key has"),
    ({"AWS_SECRET_ACCESS_KEY": ""}, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"),
    ({"AWS_ACCESS_KEY_ID": ""}, "AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not"),
    ({"AWS_NO_SIGN_REQUEST": "maybe"}, "AWS_NO_SIGN_REQUEST is neither true nor false"),
    ({"AWS_PROFILE": "prod"}, "AWS_PROFILE: there is no profile prod in ~/.aws/config or ~/.aws/credentials"),
    ({"TAPELINE_WAIT_SECONDS": "soon"}, "TAPELINE_WAIT_SECONDS: 'soon' is not a number of seconds"),
]


@pytest.mark.parametrize(("environment", "said"), MISTAKES, ids=lambda each: str(each)[:60].replace(SECRET, ""))
def test_a_mistake_in_the_environment_is_a_sentence(environment, said, tmp_path):
    (tmp_path / "junk").write_text("-----BEGIN CERTIFICATE-----\nx\n")
    environment = KEYS | {name: value.replace("{folder}", str(tmp_path)) for name, value in environment.items()}
    error, shown = outcome(environment, {}, tmp_path)
    assert said.replace("{folder}", str(tmp_path)) in str(error)
    assert (type(error), "\n" in str(error), SECRET in shown) == (BadInput, False, False)


PAIR = f"aws_access_key_id = AKIA\naws_secret_access_key = {SECRET}\n"
PRINTED = f'{{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "{SECRET} "}}'
FILES = [
    ({"credentials": PAIR}, "credentials cannot be read, line 1: a section, such as [default], is to come first"),
    ({"credentials": f"[default]\n{PAIR}{PAIR}"}, "credentials cannot be read, line 4: a name is there twice"),
    ({"credentials": f"[default]\n{PAIR}[default]\n"}, "credentials cannot be read, line 4: a section is there twice"),
    ({"credentials": f"[default]\n{SECRET}\n"}, "credentials cannot be read, line 2: it has lines that are not"),
    ({"credentials": b"[default]\n\xff\xfe\x00" + SECRET.encode()}, "credentials cannot be read: it is no text"),
    ({"config": f"[default\n{PAIR}"}, "config cannot be read, line 1: "),
    ({"credentials": "[default]\naws_access_key_id = AKIA\n"}, "no S3 credentials: shared-credentials-file lacks"),
    ({"credentials": ""}, "no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ({"config": f"[default]\ncredential_process = sh -c 'echo {SECRET} >&2; exit 1'"}, "credential_process failed"),
    ({"config": f"[default]\ncredential_process = echo {SECRET}"}, "credential_process failed, or printed other"),
    ({"config": "[default]\ncredential_process = echo [1]"}, "credential_process failed, or printed other than"),
    ({"config": "[default]\ncredential_process = echo '{\"Version\": 2}'"}, "credential_process failed, or printed"),
    ({"config": f"[default]\ncredential_process = {SECRET}"}, "credential_process failed, or printed other than"),
    ({"config": f"[default]\ncredential_process = 'x{SECRET}"}, "credential_process failed, or printed other than"),
    ({"config": f"[default]\ncredential_process = echo '{PRINTED}'"}, "the secret key that custom-process gives "),
    ({"config": f"[default]\nendpoint_url = http://me:{SECRET}@host\n{PAIR}"}, "endpoint_url of the profile is not"),
    ({"config": f"[default]\nendpoint_url = host:{SECRET}\n{PAIR}"}, "endpoint_url of the profile is not of the form"),
    ({"config": f"[default]\nca_bundle = /nowhere.pem\n{PAIR}"}, "ca_bundle of the profile: there is no file /nowhere"),
    ({"config": f"[default]\nregion = not a region\n{PAIR}"}, "'not a region' is not the name of a region"),
    ({"config": "[default]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = none\n"}, "no S3 credentials: "),
    ({"config": "[default]\nrole_arn = arn:aws:iam::1:role/x\n"}, "no S3 credentials: "),
    ({"config": f"[default]\nsso_session = x\nsso_account_id = 1\nsso_role_name = {SECRET}\n"}, "no S3 credentials: "),
]  # fmt: skip


@pytest.mark.parametrize(("files", "said"), FILES, ids=lambda each: str(each)[:60].replace(SECRET, ""))
def test_a_mistake_in_a_file_is_a_sentence(files, said, tmp_path):
    profile = "endpoint_url" in str(files)
    error, shown = outcome({"AWS_ENDPOINT_URL": ""} if profile else {}, files, tmp_path)
    assert said in str(error)
    assert (type(error), "\n" in str(error), SECRET in shown) == (BadInput, False, False)


@pytest.mark.parametrize("secret", [f"{SECRET}%", f"%{SECRET}", f"{SECRET}%(x)s", f"{SECRET}=/+", f"'{SECRET}'"])
def test_a_secret_with_any_character_is_taken_as_it_is(secret, tmp_path):
    error, shown = outcome(
        {}, {"credentials": f"[default]\naws_access_key_id = A\naws_secret_access_key = {secret}"}, tmp_path
    )
    assert (type(error), SECRET in shown) == (StoreUnavailable, False)


def test_the_default_profile_need_not_be_there(tmp_path):
    error, _ = outcome(KEYS | {"AWS_PROFILE": "default"}, {}, tmp_path)
    assert type(error) is StoreUnavailable


def test_an_empty_bundle_does_not_switch_the_check_of_certificates_off(tmp_path):
    empty = dict.fromkeys(["AWS_CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"], "")
    with mock.patch.dict(os.environ, KEYS | empty | {"HOME": str(tmp_path)}):
        verify = Store.from_environment().client._endpoint.http_session._verify
    assert Path(verify).is_file()


def decorated(text):
    """Yield values that have the secret somewhere in them, as a slip of the hand leaves it there."""
    edge = st.sampled_from(
        ["", " ", "\n", "\r\n", "%", "%(x)s", "ü", "\t", "'", '"', "=", "#", "@", ":", "/", "\\", "["]
    )
    return st.builds("{}{}{}{}".format, edge, st.just(text), edge, edge)


SECRETS = decorated(SECRET)
ADDRESSES = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "", "//", "socks5://", "http:/"]),
    st.one_of(st.just(""), st.builds("me:{}@".format, SECRETS), st.builds("{}@".format, SECRETS)),
    st.sampled_from(["127.0.0.1", "", "[::1]", "[::1", "a..b", "h ost", "host.invalid"]),
    st.sampled_from(["", ":9", ":abc", ":99999", ":"]),
    st.one_of(st.just(""), st.builds("/{}".format, SECRETS), st.builds("?x={}".format, SECRETS)),
)
ENVIRONMENTS = st.fixed_dictionaries(
    {},
    optional={
        "AWS_ACCESS_KEY_ID": st.sampled_from(["AKIA", "", "AKIA\n", " "]),
        "AWS_SECRET_ACCESS_KEY": SECRETS,
        "AWS_SESSION_TOKEN": SECRETS,
        "AWS_ENDPOINT_URL": ADDRESSES,
        "HTTPS_PROXY": ADDRESSES,
        "HTTP_PROXY": ADDRESSES,
        "AWS_CA_BUNDLE": st.sampled_from(["", "/nowhere", "/dev/null", "/"]),
        "AWS_REGION": st.sampled_from(["", "eu", "eu\n", "e u", "-"]),
        "AWS_PROFILE": st.sampled_from(["", "default", "other", "none"]),
        "AWS_ROLE_ARN": st.sampled_from(["", "x", "arn:aws:iam::123456789012:role/x"]),
        "AWS_WEB_IDENTITY_TOKEN_FILE": st.sampled_from(["", "/nowhere", "/", "token"]),
    },
)
LINES = st.one_of(
    st.sampled_from(["[default]", "[profile other]", "[other]", "[default", "", " ", "=", "region = eu", "\x00", "]"]),
    st.builds("aws_secret_access_key{}{}".format, st.sampled_from(["=", " = ", ":", " ", "\n  "]), SECRETS),
    st.builds("{}".format, SECRETS),
    st.builds("endpoint_url = {}".format, ADDRESSES),
    st.sampled_from(["aws_access_key_id = AKIA", "aws_access_key_id=", "role_arn = x", "source_profile = default"]),
    st.builds(
        "credential_process = {}".format,
        st.sampled_from(
            [
                f"echo {SECRET}",
                f"sh -c 'echo {SECRET} >&2; false'",
                f"{SECRET} x",
                f"'{SECRET}",
                f'echo {{"{SECRET}": 1}}',
            ]
        ),
    ),
)
CONTENTS = st.one_of(
    st.lists(LINES, max_size=6).map("\n".join).map(str.encode),
    st.lists(LINES, max_size=4).map(lambda lines: "\n".join(["[default]", *lines]).encode()),
    st.binary(max_size=20).map(lambda data: data + SECRET.encode()),
)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(environment=ENVIRONMENTS, config=CONTENTS, credentials=CONTENTS, token=st.sampled_from([b"", SECRET.encode()]))
def test_no_setting_whatever_shows_a_secret(environment, config, credentials, token, tmp_path):
    if environment.get("AWS_WEB_IDENTITY_TOKEN_FILE") == "token":
        environment |= {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ENDPOINT_URL_STS": NOWHERE}
    environment = {name: value.replace("\x00", "") for name, value in environment.items()}
    error, shown = outcome(environment, {"config": config, "credentials": credentials, "token": token}, Path(tmp_path))
    assert SECRET not in shown
    assert "\n" not in str(error)
    assert error.exit_code in (2, 3, 4)
