# mypy: allow-untyped-defs, allow-untyped-calls
"""Values that are odd, and come out right all the same: numbers, names, images; and those that are refused."""

import json
import re
import shutil

import pytest
import yaml

from dags.airflow_settings import PREFIX, Settings, image_of
from dags.workflow import WORKFLOW
from tests.containers import images
from tests.kubernetes.chart import (
    CASES,
    DIGEST,
    EVERYTHING,
    SHARED,
    containers,
    named,
    needs_helm,
    pods,
    render,
)
from tests.kubernetes.cluster import CHART, Failed, call

pytestmark = needs_helm
NUMBERS = (
    0,
    1,
    -1,
    999999,
    1000000,
    2147483646,
    123456789012,
    2**53 - 1,
    1 - 2**53,
    0.1,
    1e-07,
    5e-324,
    1.5e10,
    0.00001,
)
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def compiled_with(objects):
    (compiles,) = named(objects, "Job", "tapeline-register")["spec"]["template"]["spec"]["initContainers"]
    return compiles["args"]


def defaults(objects):
    return dict(
        each.removeprefix("--default=").split("=", 1) for each in compiled_with(objects) if "--default=" in each
    )


def settings_of(objects):
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    return Settings.from_environment(WORKFLOW, {name: text for name, text in data.items() if name.startswith(PREFIX)})


def test_a_number_of_any_size_reaches_kubeflow_and_airflow_as_it_is():
    parameters = {f"p{index}": number for index, number in enumerate(NUMBERS)}
    texts = {"yes": True, "text": "1e5", "octal": "007", "large": "9007199254740993", "comma": 'a,"b"'}
    objects = render(EVERYTHING | {"parameters": parameters | texts})
    told = defaults(objects)
    data = named(objects, "ConfigMap", "tapeline-airflow")["data"]
    assert json.loads(data[f"{PREFIX}PARAMETERS"]) == parameters | texts
    for name, number in parameters.items():
        assert (float if isinstance(number, float) else int)(told[name]) == number, told[name]
    assert {name: told[name] for name in texts} == texts | {"yes": "true"}


def test_a_number_by_set_is_one_in_a_file():
    by_flag = render(EVERYTHING, "--set=parameters.seed=2147483646,parameters.learning_rate=1e-07,gpu.count=64")
    in_file = render(EVERYTHING | {"parameters": {"seed": 2147483646, "learning_rate": 1e-07}, "gpu": {"count": 64}})
    for objects in (by_flag, in_file):
        assert (defaults(objects)["seed"], defaults(objects)["gpu_count"]) == ("2147483646", "64")
        learned = WORKFLOW.parameters_of(settings_of(objects).parameters)["train"]
        assert (dict(learned)["seed"], dict(learned)["learning_rate"]) == (2147483646, 1e-07)


@pytest.mark.parametrize("number", [2**53, -(2**53), 9007199254740993, 2**62])
def test_a_number_that_helm_would_change_is_refused(number):
    kubeflow, airflow = ({caller: {"enabled": True}} for caller in ("kubeflow", "airflow"))
    in_file, by_flag = {"parameters": {"seed": number}}, f"--set=parameters.seed={number}"
    for values, flags in ((kubeflow | in_file, ()), (airflow | in_file, ()), (airflow, (by_flag,))):
        with pytest.raises(Failed, match="seed: Helm keeps only 15 digits of a number, so write it in quotes"):
            render(values, *flags)


def test_amounts_and_seconds_are_written_out_in_full():
    objects = render(CASES["shared"])
    for name, pod in pods(objects):
        assert pod["spec"]["tolerations"][0]["tolerationSeconds"] == 3600000
        assert name == "tapeline-store" or containers(pod)[0]["resources"]["limits"]["memory"] == 2147483648
    assert settings_of(objects).pod["spec"]["tolerations"][0]["tolerationSeconds"] == 3600000


def test_an_image_that_is_elsewhere_and_how_images_are_pulled_reach_everything():
    objects = render(CASES["shared"])
    pinned = f"r.example/pinned/train@{DIGEST}"
    settings = settings_of(objects)
    found = {task.name: image_of(task.component, settings) for task in WORKFLOW.tasks}
    assert found == {task.name: f"r.example:5000/t/{task.name}:v7" for task in WORKFLOW.tasks} | {"train": pinned}
    assert f"--image=train={pinned}" in compiled_with(objects)
    assert not [each for each in compiled_with(objects) if each.startswith("--image=register")]
    job = dict(pods(objects))["tapeline-register"]
    assert {each["image"] for each in containers(job)} == {"r.example/pinned/register:v8"}
    (container,) = settings.pod["spec"]["containers"]
    assert container["imagePullPolicy"] == "Always"
    assert settings.pod["spec"]["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]


@pytest.mark.parametrize("name", [name for name in images() if name not in ("train-gpu", "airflow")])
def test_each_image_can_be_elsewhere(name):
    values = EVERYTHING | {
        "images": {name: "elsewhere:1"},
        "store": {"kind": "minio" if name == "minio" else "seaweedfs"},
    }
    assert "elsewhere:1" in yaml.dump(render(values))


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """Return the name of each of many releases, by a chart that says nothing else."""
    chart = tmp_path_factory.mktemp("names") / "tapeline"
    (chart / "templates").mkdir(parents=True)
    shutil.copy(CHART / "Chart.yaml", chart)
    shutil.copy(CHART / "templates/_helpers.tpl", chart / "templates")
    (chart / "templates/names.yaml").write_text(
        'names: {{- range .Values.names }}\n  {{ toJson . }}: {{ include "tapeline.name" (dict "Values" '
        '(dict "fullnameOverride" "") "Release" (dict "Name" .)) | quote }}\n{{- end }}\n'
    )

    def found(releases):
        said = call(["helm", "template", str(chart), "--kube-version=1.34.0", "--values=-"],
                    json.dumps({"names": releases}))  # fmt: skip
        return yaml.load(said, yaml.CSafeLoader)["names"]

    return found


def test_the_name_of_every_release_fits_and_is_its_own(names):
    begins = ("a", "tapeline", "tapeline-a", "1", "a.b", "a-b", "a--", "x-tapeline", "1.2", "a.", "my.tapeline-")
    releases = {begin + "x" * (length - len(begin)) for begin in begins for length in range(len(begin) + 1, 54)}
    releases |= {begin + "x" * (52 - len(begin)) + "y" for begin in begins} | {"a.b", "a-b", "1", "true", "null", "1e5"}
    found = names(sorted(releases))
    assert set(found) == releases
    assert {
        name for name in found.values() if not LABEL.fullmatch(name) or len(name) > 46 or name[0].isdigit()
    } == set()
    assert len(set(found.values())) == len(releases)
    # What is in clusters keeps its name.
    kept = [each for each in releases if "." not in each and not each[0].isdigit() and len(each) < 38]
    assert len(kept) > 100
    assert {found[each] for each in kept} == {each if "tapeline" in each else f"{each}-tapeline" for each in kept}


@pytest.mark.parametrize(
    ("release", "flags"),
    [
        ("a" * 53, ()),
        ("1.2", ("--set-string=fullnameOverride=1e5",)),
        ("true", ("--set-string=store.buckets={123,true,1e5}", "--set-string=store.storageClass=123")),
        ("1e5", (f"--set=fullnameOverride=x.{'y' * 200}",)),
    ],
)
@pytest.mark.parametrize("kind", ["seaweedfs", "minio"])
def test_every_object_of_an_odd_release_has_a_name_that_kubernetes_takes(release, flags, kind):
    places = {"airflow": {"enabled": True, "namespace": "1"}, "steps": {"namespace": "null"}}
    values = EVERYTHING | places | {"store": {"kind": kind}}
    objects = render(values, *flags, release=release, namespace="0x10")
    for each in objects:
        name = each["metadata"]["name"]
        assert LABEL.fullmatch(name), name
        assert len(name) <= {"StatefulSet": 52}.get(each["kind"], 63)
        assert each["kind"] != "Service" or name[0].isalpha()
        assert each["metadata"].get("namespace", "1") in ("0x10", "1", "null")
        for value in each["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", value)
    for _, pod in pods(objects):
        assert all(isinstance(argument, str) for container in containers(pod) for argument in container["args"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["stor.kind=minio"], r"additional properties 'stor' not allowed"),
        (["store.kind=mino"], r"'/store/kind'.*value must be one of 'external', 'seaweedfs', 'minio'"),
        (["store.size=20"], r"'/store/size'.*'20' does not match pattern|'/store/size': got number, want string"),
        (["store.volume=tmp"], r"'/store/volume'"),
        (["store.buckets={No_Bucket}"], r"'/store/buckets/0'.*'No_Bucket' does not match pattern"),
        (["images.trian=r/train:1"], r"'/images'.*additional properties 'trian' not allowed"),
        (["images.train=r/train"], r"'/images/train'.*'r/train' does not match pattern"),
        (["images.train=r/train@sha256:abc"], r"'/images/train'.*does not match pattern"),
        (["images.registry=https://r"], r"'/images/registry'.*'https://r' does not match pattern"),
        (["images.tag=a b"], r"'/images/tag'.*'a b' does not match pattern"),
        (
            [f"images.tag={DIGEST}"],
            f"images.tag is the digest {DIGEST}, but each image has one of its own",
        ),
        (["gpu.count=-1"], r"'/gpu/count'.*minimum: got -1, want 0"),
        (["store.kind=external"], "store.endpoint is needed with store.kind=external"),
        (["store.endpoint=http://x"], "store.kind=seaweedfs is a store of this chart's own; say store.kind=external"),
        (["kubeflow.schedule=0 3 * * *"], r"'/kubeflow/schedule'.*does not match pattern"),
        (["podLabels.app\\.kubernetes\\.io/name=x"], r"'/podLabels/app.kubernetes.io.*name': false schema"),
        (["podSecurityContext.runAsuser=1"], r"'/podSecurityContext': additional properties 'runAsuser' not"),
        (["proxy.http=http://me:secret@proxy"], r"'/proxy/http'.*does not match pattern"),
        (["extraEnv[0].name=A"], r"'/extraEnv/0'"),
        (["tolerations[0].kye=a"], r"'/tolerations/0'.*additional properties 'kye' not allowed"),
    ],
)
def test_a_wrong_value_is_named_with_the_reason(values, message):
    with pytest.raises(Failed) as error:
        render({}, *(f"--set={value}" for value in values))
    assert re.search(message, str(error.value).replace("\n", " ")), error.value


def test_the_values_of_the_tests_are_all_that_pods_share():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    since = list(schema)[list(schema).index("proxy") :]
    assert set(since) - {"podSecurityContext", "securityContext"} <= set(SHARED)
