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
    wrong.install("store.kind=external", f"store.endpoint={address}", "store.existingSecret=mine", wait=False)

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


@pytest.fixture(scope="module")
def earlier(cluster):  # noqa: ARG001 - skips without a cluster
    """Return a namespace with a release of the first chart, whose MinIO, quick to start and to stop, has an object."""
    with namespace("tapeline-earlier") as release:
        # Its Job calls today's image by the name that the module had then.
        release.install("store.kind=minio", "store.createBuckets=false", chart=PREVIOUS)
        with release.store() as store:
            store.make_bucket("tapeline")
        put(release, b"from before")
        yield release


def test_the_volume_of_an_earlier_release_is_kept_and_grows_as_the_refusal_says(earlier):
    values = ("store.kind=minio", "store.createBuckets=false")
    earlier.install(*values)
    assert got(earlier) == b"from before"
    before = earlier.get("pod", "tapeline-store-0")["metadata"]["uid"]
    earlier.allow_growth()
    with pytest.raises(Failed, match="by an upgrade alone: ") as error:
        earlier.install(*values, "store.size=30Gi")
    follow(error.value, 2)
    earlier.install(*values, "store.size=30Gi")
    assert earlier.get("pod", "tapeline-store-0")["metadata"]["uid"] == before
    claim = earlier.get("pvc", "data-tapeline-store-0")["spec"]
    assert claim["resources"]["requests"]["storage"] == "30Gi"
    with pytest.raises(Failed, match=r"the volume data-tapeline-store-0 cannot shrink from 30Gi to store\.size=1Gi"):
        earlier.install(*values, "store.size=1Gi")
    with pytest.raises(Failed, match=r"keeps its class .*, so it cannot have store.storageClass=other"):
        earlier.install(*values, "store.size=30Gi", "store.storageClass=other")


def test_no_server_starts_on_the_files_of_another_one_and_the_way_there_and_back_is_said(earlier):
    with pytest.raises(Failed, match=r"minio on the volume data-.*, not seaweedfs on seaweedfs-tapeline-") as error:
        earlier.install("store.kind=seaweedfs")
    follow(error.value, 1)
    # Whoever does not say which volume has the server itself refuse it.
    earlier.install("store.kind=seaweedfs", "store.createBuckets=false", wait=False)
    said = eventually("refusal", lambda: terminated(earlier))
    assert said.startswith("the volume data has the files of minio, so seaweedfs is not started on it")
    earlier.kubectl("delete", "statefulset", "tapeline-store")
    earlier.install("store.kind=seaweedfs", "store.volume=seaweedfs")
    assert buckets(earlier) == ["tapeline"]
    earlier.kubectl("delete", "statefulset", "tapeline-store")
    earlier.install("store.kind=minio", "store.volume=data", "store.createBuckets=false")
    assert got(earlier) == b"from before"


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
