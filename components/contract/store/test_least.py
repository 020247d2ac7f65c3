# mypy: allow-untyped-defs, allow-untyped-calls
"""A real MinIO, asked with credentials that may do what docs/store.md lists, and nothing else."""

import json
import os
import re
from pathlib import Path

import botocore.session
import pytest

from components.conftest import SERVERS
from components.contract import artifact, location
from components.contract.errors import StoreRefused
from components.contract.store import buckets
from components.contract.store.client import Store
from components.contract.store.transfers import PART
from components.contract.test_artifact import seal

# Policies are MinIO's: TAPELINE_MINIO names its server.
pytestmark = pytest.mark.parametrize("_server", [name for name in SERVERS if name == "minio"], indirect=True)
PAGE = Path(__file__).parents[3] / "docs" / "store.md"


def policy(bucket, prefix):
    """Return the policy that the page has to copy, for a bucket and a prefix."""
    (text,) = re.findall(r"```json\n(\{.*?\n\})\n```", PAGE.read_text(), re.DOTALL)
    return text.replace("BUCKET", bucket).replace("PREFIX", prefix)


def restricted(text, monkeypatch):
    """Have the environment's credentials be others, which may do what the policy says; MinIO's STS gives them."""
    secret = os.environ["AWS_SECRET_ACCESS_KEY"]
    sts = botocore.session.Session().create_client(
        "sts", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"], aws_secret_access_key=secret,
    )  # fmt: skip
    given = sts.assume_role(RoleArn="arn:aws:iam::123456789012:role/x", RoleSessionName="test", Policy=text)[
        "Credentials"
    ]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])


@pytest.fixture
def mine(s3, monkeypatch):
    """Return a prefix, in a store where nothing else may be touched, and nothing be deleted."""
    text = json.loads(policy("tests", s3[11:]))
    text["Statement"] = [each for each in text["Statement"] if each["Sid"] != "TidyUp"]
    restricted(json.dumps(text), monkeypatch)
    monkeypatch.setattr(location, "_warned", set())
    return s3


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    (made / "small").write_text("text")
    (made / "large").write_bytes(bytes(PART + 1))
    seal(made)
    return made


def test_artifacts_and_checkpoints_need_no_more(mine, folder, tmp_path, capsys):
    location.publish(folder, f"{mine}/step-1")
    location.publish(folder, f"{mine}/step-1")
    location.publish(folder, f"{mine}/step-2")
    assert artifact.digest(location.fetch(f"{mine}/step-2", tmp_path / "got")) == artifact.digest(folder)
    assert location.children(mine) == ["step-1", "step-2"]
    for name in ("step-1", "step-2"):
        location.remove(f"{mine}/{name}")
    assert location.children(mine) == ["step-1", "step-2"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1  # not at every checkpoint
    assert re.fullmatch(
        r"warning: cannot remove s3://.*: these credentials may not do this; what .* stays there", said[0]
    )


def test_a_bucket_that_is_there_is_seen(mine):
    store, prefix = Store.from_environment(), mine[11:]
    assert buckets.make(store, f"tests/{prefix}") == "is there already"
    assert buckets.make(store, "tests").startswith("may neither be listed nor made with these credentials")
    assert buckets.check(store, f"tests/{prefix}").startswith("1 MiB put and got in ")
    with pytest.raises(StoreRefused, match="these credentials may not do this") as error:
        buckets.check(store, "tests")
    assert error.value.__notes__ == ["if they are for a part of the bucket, name it: BUCKET/PREFIX"]


def test_with_the_right_to_tidy_up_nothing_stays(s3, monkeypatch, folder, capsys):
    restricted(policy("tests", s3[11:]), monkeypatch)
    location.publish(folder, f"{s3}/step-1")
    location.remove(f"{s3}/step-1")
    assert buckets.check(Store.from_environment(), f"tests/{s3[11:]}").startswith("1 MiB put, got and removed in ")
    assert (Store.from_environment().names(s3), capsys.readouterr().err) == ([], "")
