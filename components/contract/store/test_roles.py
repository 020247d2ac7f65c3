# mypy: allow-untyped-defs, allow-untyped-calls
"""Who asks, where no keys are in the environment: real small servers stand for the clouds'."""

import contextlib
import json
import os
import ssl

import pytest
import trustme

from components.contract.errors import BadInput, StepError, StoreUnavailable
from components.contract.store.client import Store
from components.contract.store.conftest import answering, problem

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
EMPTY = (200, b"<ListBucketResult><Name>tests</Name><IsTruncated>false</IsTruncated></ListBucketResult>")
GIVEN = {"AccessKeyId": "ROLEKEY", "SecretAccessKey": "role-secret", "Expiration": "2099-01-01T00:00:00Z"}
JSON = json.dumps(GIVEN | {"Token": "role-token", "Code": "Success"}).encode()


def assumed(action):
    """Return how an STS answers."""
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in (GIVEN | {"SessionToken": "role-token"}).items())
    user = "<AssumedRoleUser><AssumedRoleId>A:x</AssumedRoleId><Arn>arn:aws:sts::1:x</Arn></AssumedRoleUser>"
    result = f"<{action}Result><Credentials>{fields}</Credentials>{user}</{action}Result>"
    return (
        200,
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">{result}</{action}Response>'.encode(),
    )


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Return how to set variables in an environment that says nothing else, and waits for nobody."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    put(HOME=tmp_path, TAPELINE_WAIT_SECONDS=0, AWS_EC2_METADATA_DISABLED="true", SSL_CERT_FILE="")
    return put


@pytest.fixture
def store(environment):
    """Yield the headers that a store on the loopback was asked with, one after the other."""
    headers = []

    def answer(asked):
        headers.append(asked.headers)
        return EMPTY

    with answering(answer) as (port, _):
        environment(AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{port}")
        yield headers


def asks_as_the_role(headers):
    """Ask the store; tell whether it was asked with the role's credentials."""
    assert Store.from_environment().names("s3://tests/x") == []
    asked = headers[-1]
    return "Credential=ROLEKEY/" in asked["Authorization"] and asked["X-Amz-Security-Token"] == "role-token"


def test_the_role_of_an_instance(environment, store):
    def answer(asked):
        if asked.command == "PUT":
            return 200, b"a token"
        return 200, JSON if asked.path.endswith("/the-role") else b"the-role"

    with answering(answer) as (port, asked):
        environment(AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{port}")
        assert asks_as_the_role(store)
    assert asked == [
        "PUT /latest/api/token",
        "GET /latest/meta-data/iam/security-credentials/",
        "GET /latest/meta-data/iam/security-credentials/the-role",
    ]


def test_where_there_is_no_instance_it_is_not_waited_for(environment, store):
    environment(AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:9")
    environment(TAPELINE_WAIT_SECONDS=300)
    with pytest.raises(BadInput, match=r"^no S3 credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY$"):
        Store.from_environment()
    assert store == []


@pytest.mark.usefixtures("store")
def test_a_profile_without_credentials_is_named(environment, tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile prod]\nregion = eu-west-1\n")
    environment(AWS_PROFILE="prod")
    with pytest.raises(BadInput, match=r"^no S3 credentials in the profile prod, and none elsewhere"):
        Store.from_environment()


def test_the_role_of_a_container_whose_agent_is_busy_at_first(environment, store, tmp_path):
    (tmp_path / "token").write_text("the-token")
    tokens = []

    def answer(asked):
        tokens.append(asked.headers["Authorization"])
        return (200, JSON) if len(tokens) > 1 else (503, b"")

    with answering(answer) as (port, asked):
        environment(AWS_CONTAINER_CREDENTIALS_FULL_URI=f"http://127.0.0.1:{port}/role")
        environment(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=tmp_path / "token")
        assert asks_as_the_role(store)
    assert (asked, tokens) == (["GET /role"] * 2, ["the-token"] * 2)


@contextlib.contextmanager
def sts(environment, folder, answers):
    """Run an STS over https whose authority only AWS_CA_BUNDLE names; yield what it is asked."""
    authority, context, bodies = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), []
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    def answer(asked):
        bodies.append(asked.body.decode())
        return answers[min(len(bodies), len(answers)) - 1]

    with answering(answer, context) as (port, _):
        environment(AWS_ENDPOINT_URL_STS=f"https://127.0.0.1:{port}", AWS_CA_BUNDLE=folder / "ca.pem")
        yield bodies


@pytest.fixture
def identity(environment, tmp_path):
    """Return the file with a pod's token, which the environment names with a role."""
    (tmp_path / "token").write_text("pod-token")
    environment(AWS_ROLE_ARN="arn:aws:iam::123456789012:role/x", AWS_WEB_IDENTITY_TOKEN_FILE=tmp_path / "token")
    return tmp_path / "token"


@pytest.mark.usefixtures("identity")
def test_a_pods_identity_with_an_sts_of_ones_own_that_starts(environment, store, tmp_path):
    environment(TAPELINE_WAIT_SECONDS=9)
    with sts(
        environment, tmp_path, [problem(503, "ServiceUnavailable"), assumed("AssumeRoleWithWebIdentity")]
    ) as bodies:
        assert asks_as_the_role(store)
        assert asks_as_the_role(store)  # with the same credentials: the STS is asked once
    assert len(bodies) == 2
    assert "WebIdentityToken=pod-token" in bodies[1]


@pytest.mark.usefixtures("identity", "store")
def test_an_sts_that_refuses_or_is_away(environment, tmp_path):
    with sts(
        environment, tmp_path, [(403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")]
    ):
        with pytest.raises(
            BadInput, match=r"^no S3 credentials: AssumeRoleWithWebIdentity was refused with AccessDenied"
        ):
            Store.from_environment()
        environment(AWS_CA_BUNDLE="")
        with pytest.raises(BadInput, match=r"^cannot get S3 credentials: .*certificate verify failed"):
            Store.from_environment()
    with pytest.raises(StoreUnavailable, match=r"^cannot get S3 credentials: .*refused"):
        Store.from_environment()


@pytest.mark.usefixtures("store")
def test_a_token_that_is_not_there(environment, identity):
    environment(AWS_ENDPOINT_URL_STS="http://127.0.0.1:9")
    identity.unlink()
    with pytest.raises(BadInput, match=f"^no S3 credentials: AWS_WEB_IDENTITY_TOKEN_FILE: {identity}: No such file"):
        Store.from_environment()
    identity.write_text("")
    with pytest.raises(BadInput, match=r"^no S3 credentials: .*token"):
        Store.from_environment()


def test_a_profile_that_assumes_a_role(environment, store, tmp_path):
    (tmp_path / ".aws").mkdir()
    role = "[profile prod]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = base\nregion = eu-west-1\n"
    (tmp_path / ".aws/config").write_text(role)
    (tmp_path / ".aws/credentials").write_text("[base]\naws_access_key_id = A\naws_secret_access_key = b%b\n")
    environment(AWS_PROFILE="prod")
    with sts(environment, tmp_path, [assumed("AssumeRole")]) as bodies:
        assert asks_as_the_role(store)
    assert "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fx" in bodies[0]
    assert "/eu-west-1/s3/aws4_request" in store[0]["Authorization"]


def test_a_profile_with_a_program_and_an_address(environment, store, tmp_path):
    (tmp_path / "given.json").write_bytes(json.dumps(GIVEN | {"SessionToken": "role-token", "Version": 1}).encode())
    (tmp_path / ".aws").mkdir()
    address = os.environ["AWS_ENDPOINT_URL_S3"]
    text = f"[default]\ncredential_process = cat {tmp_path}/given.json\nendpoint_url = {address}\n"
    (tmp_path / ".aws/config").write_text(text)
    environment(AWS_ENDPOINT_URL_S3="")
    assert asks_as_the_role(store)


def test_without_credentials_where_everybody_may_read(environment, store):
    environment(AWS_NO_SIGN_REQUEST="true")
    assert Store.from_environment().names("s3://tests/x") == []
    assert store[0]["Authorization"] is None


def test_a_proxy_leads_to_the_store(environment):
    environment(**KEYS, AWS_REGION="us-east-1")
    with answering([EMPTY]) as (port, asked):
        environment(HTTP_PROXY=f"http://127.0.0.1:{port}", HTTPS_PROXY=f"http://me:pw@127.0.0.1:{port}")
        environment(AWS_ENDPOINT_URL="http://store.invalid:9000")
        assert Store.from_environment().names("s3://tests/x") == []
        environment(AWS_ENDPOINT_URL="https://store.invalid")
        with pytest.raises(StoreUnavailable):  # this proxy makes no tunnel
            Store.from_environment().names("s3://tests/x")
    address = "GET http://store.invalid:9000/tests?list-type=2&prefix=x%2F&encoding-type=url"
    assert asked == [address, "CONNECT store.invalid:443"]


def test_no_proxy_leads_to_those_who_need_none(environment):
    environment(**KEYS, HTTP_PROXY="http://127.0.0.1:9")
    with answering([EMPTY]) as (port, asked):
        environment(AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")  # this machine never needs one
        assert Store.from_environment().names("s3://tests/x") == []
    environment(AWS_ENDPOINT_URL="http://store.invalid", NO_PROXY=".invalid")
    with pytest.raises(StoreUnavailable, match=r"store\.invalid/?: Failed to resolve"):
        Store.from_environment().names("s3://tests/x")
    environment(NO_PROXY="")
    with pytest.raises(StoreUnavailable, match=r"the proxy 127\.0\.0\.1:9"):
        Store.from_environment().names("s3://tests/x")
    assert len(asked) == 1


@pytest.mark.parametrize(("status", "code"), [(407, 3), (403, 3), (503, 4)])
def test_a_proxy_that_refuses_is_named_without_its_password(environment, status, code):
    environment(**KEYS, AWS_ENDPOINT_URL="https://store.invalid")
    with answering([(status, b"")]) as (port, _):
        environment(HTTPS_PROXY=f"http://me:s3cret@127.0.0.1:{port}")
        with pytest.raises(StepError, match=f"the proxy 127.0.0.1:{port}: Tunnel connection failed: {status}") as error:
            Store.from_environment().names("s3://tests/x")
    assert (error.value.exit_code, "s3cret" in str(error.value)) == (code, False)
