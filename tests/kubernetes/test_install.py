# mypy: allow-untyped-defs, allow-untyped-calls
"""The chart on a cluster: installed from nothing, tried, upgraded, uninstalled, and installed on the volume it left."""

import base64
import contextlib
import re
import shlex

import pytest

from tests.kubernetes.cluster import CHART, RELEASE, ROOT, Failed, Namespace, call, namespace
from tests.kubernetes.kubeflow import Kubeflow
from tests.waiting import eventually

PREVIOUS = ROOT / "tests/kubernetes/tapeline-0.1.0.tgz"


def put(release, text):
    with release.store() as store:
        store.client.put_object(Bucket="tapeline", Key="kept", Body=text)


def got(release):
    """Return what was put; a store that has just started may take a moment to read."""

    def read():
        try:
            with release.store() as store:
                return store.client.get_object(Bucket="tapeline", Key="kept")["Body"].read()
        except Exception:  # noqa: BLE001 - whatever the client makes of a store that is half up
            return None

    return eventually("object", read)


def buckets(release):
    with release.store() as store:
        return [bucket["Name"] for bucket in store.client.list_buckets()["Buckets"]]


def test_from_nothing_to_a_bucket_that_can_be_written_and_read(installed):
    installed.test()
    assert buckets(installed) == ["tapeline"]
    said = installed.kubectl("logs", "--selector=app.kubernetes.io/component=buckets")
    assert said == f"tapeline at http://tapeline-store.{installed.name}.svc:9000: made\n"
    (pod,) = installed.get("pods", "--selector=app.kubernetes.io/component=store")["items"]
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


def test_kubernetes_accepts_every_object_as_it_is(installed):
    values = ("kubeflow.enabled=true", "airflow.enabled=true", "gpu.count=1", "gpu.tolerations[0].key=gpu")
    flags = [flag for value in values for flag in ("--set", value)]
    rendered = call(["helm", "template", RELEASE, str(CHART), f"--namespace={installed.name}", *flags,
                     "--kube-version=1.34.0", "--validate=false",
                     "--set=store.kind=external,store.endpoint=http://s3:9000,store.existingSecret=mine"])  # fmt: skip
    rendered += "\n---\n" + installed.helm("get", "manifest", RELEASE) + installed.helm("get", "hooks", RELEASE)
    # The real validation, with unknown fields refused and Pod Security's warnings on standard error.
    accepted = installed.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename=-", stdin=rendered)
    lines = accepted.splitlines()
    assert len(lines) > 20
    assert {line.rpartition(" ")[2] for line in lines} == {"run)"}


def test_the_secret_is_nowhere_but_in_its_secret(installed):
    encoded = installed.get("secret", "tapeline-store")["data"]["secretkey"]
    texts = (
        installed.helm("get", "values", "--all", RELEASE),
        installed.kubectl("get", "configmaps,pods,jobs,statefulsets", "--output=yaml"),
        installed.kubectl("logs", "tapeline-store-0"),
        installed.kubectl("logs", "--selector=app.kubernetes.io/component=buckets"),
    )
    for secret in (encoded, base64.b64decode(encoded).decode()):
        assert [text for text in texts if secret in text] == []


def test_a_wrong_secret_is_said_by_the_job(installed):
    address = f"http://tapeline-store.{installed.name}.svc:9000"
    # In the same namespace, as the store's network policy lets in no other.
    wrong = Namespace(installed.name, "wrong")
    data = installed.keys() | {"secretkey": "wrong"}
    wrong.kubectl("create", "secret", "generic", "mine", *(f"--from-literal={k}={v}" for k, v in data.items()))
    with pytest.raises(Failed):
        wrong.install("store.kind=external", f"store.endpoint={address}", "store.existingSecret=mine", timeout="10s")

    def log():
        with contextlib.suppress(Failed):  # the container may not have started yet
            return wrong.kubectl("logs", "--selector=app.kubernetes.io/instance=wrong")

    said = eventually("message", log)
    wrong.helm("uninstall", wrong.release, "--wait")
    wrong.kubectl("delete", "secret", "mine")
    assert said.endswith(f"at {address}: the secret key is wrong; check AWS_SECRET_ACCESS_KEY\n")


def test_an_uninstall_leaves_the_volume_and_an_upgrade_keeps_the_secret_and_what_is_stored(installed, kind):
    put(installed, b"kept")
    installed.helm("uninstall", RELEASE, "--wait")
    claim = f"persistentvolumeclaim/{kind}-tapeline-store-0"
    eventually("empty namespace", lambda: installed.objects() == {claim})
    installed.install(f"store.kind={kind}")
    assert got(installed) == b"kept"
    secret = installed.get("secret", "tapeline-store")["data"]
    installed.install(f"store.kind={kind}", "airflow.enabled=true", "store.buckets={tapeline,more}")
    assert installed.get("secret", "tapeline-store")["data"] == secret
    assert got(installed) == b"kept"
    assert buckets(installed) == ["more", "tapeline"]
    installed.test()


def test_a_volume_grows_and_never_shrinks_as_the_refusals_say(installed, kind):
    before = installed.get("pod", "tapeline-store-0")["metadata"]["uid"]
    installed.allow_growth()
    values = (f"store.kind={kind}", "store.createBuckets=false")
    with pytest.raises(Failed, match="by an upgrade alone: ") as error:
        installed.install(*values, "store.size=30Gi")
    follow(error.value, 2)
    installed.install(*values, "store.size=30Gi")
    assert installed.get("pod", "tapeline-store-0")["metadata"]["uid"] == before
    with pytest.raises(Failed, match=f"the volume {kind}-tapeline-store-0 cannot shrink from 30Gi to store.size=1Gi"):
        installed.install(*values, "store.size=1Gi")


def test_a_volume_of_an_earlier_release_is_kept_and_no_other_server_gets_it(installed, kind):
    installed.helm("uninstall", RELEASE, "--wait")
    installed.kubectl("delete", "pvc", "--all")
    # Its Job calls today's image by the name that the module had then.
    installed.install(f"store.kind={kind}", "store.createBuckets=false", chart=PREVIOUS)
    with installed.store() as store:
        store.make_bucket("tapeline")
    put(installed, b"from before")
    installed.install(f"store.kind={kind}", "store.createBuckets=false")
    assert got(installed) == b"from before"
    other = {"seaweedfs": "minio", "minio": "seaweedfs"}[kind]
    with pytest.raises(Failed, match=f"{kind} on the volume data-tapeline-store-0, not {other} on {other}-") as error:
        installed.install(f"store.kind={other}")
    follow(error.value, 1)
    # Whoever does not say which volume has the server itself refuse it.
    with pytest.raises(Failed):
        installed.install(f"store.kind={other}", "store.createBuckets=false", timeout="10s")
    said = eventually("refusal", lambda: terminated(installed))
    assert said.startswith(f"the volume data has the files of {kind}, so {other} is not started on it")
    installed.helm("uninstall", RELEASE, "--wait")
    installed.install(f"store.kind={other}", f"store.volume={other}")
    assert buckets(installed) == ["tapeline"]
    installed.kubectl("delete", "statefulset", "tapeline-store")
    installed.install(f"store.kind={kind}", "store.createBuckets=false")
    assert got(installed) == b"from before"


def follow(error, count):
    """Do what a refusal says."""
    commands = re.findall("`(kubectl .*?)`", str(error))
    assert len(commands) == count
    for command in commands:
        call(shlex.split(command))


def terminated(release):
    """Return what the server of the store said when it last ended."""
    with contextlib.suppress(Failed, KeyError):
        (state,) = release.get("pod", "tapeline-store-0")["status"]["containerStatuses"]
        return (state["state"].get("terminated") or state["lastState"]["terminated"])["message"]
    return None


@pytest.mark.usefixtures("cluster")
def test_the_pipeline_is_registered_once_however_often_it_is_installed():
    with namespace("tapeline-register") as release:
        kubeflow = Kubeflow(release)
        values = ("kubeflow.enabled=true", f"kubeflow.host={kubeflow.address}", "gpu.count=1")
        release.install(*values)
        release.helm("test", RELEASE)
        release.install(*values, "kubeflow.schedule=0 0 3 * * *")
        assert (len(kubeflow.versions()), len(kubeflow.recurring())) == (1, 1)
        release.install(*values, "parameters.epochs=7")
        assert len(kubeflow.versions()) == 2
        kubeflow.forget()
        with pytest.raises(Failed):
            release.helm("test", RELEASE)
        said = release.kubectl("logs", f"{RELEASE}-test-pipeline", "--container=register")
        assert said == f"register: Kubeflow at {kubeflow.address} does not have this version of the pipeline tapeline\n"
