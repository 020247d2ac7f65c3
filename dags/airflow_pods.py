"""A step as a pod: Airflow's KubernetesPodOperator, with what this workflow asks of a cluster."""

from collections.abc import Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s

from components.contract.errors import BadInput
from dags.airflow_process import failure
from dags.airflow_settings import PREFIX, Settings, image_of
from dags.cluster import CONFIG_KEYS, DOWNLOAD_KEYS, PROXY_KEYS, SECRET_KEYS, TOKEN_KEYS, resources_of
from dags.definition import Task

HARMLESS_POD = k8s.V1PodSecurityContext(
    run_as_non_root=True, seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault")
)
HARMLESS = k8s.V1SecurityContext(
    allow_privilege_escalation=False, read_only_root_filesystem=True, capabilities=k8s.V1Capabilities(drop=["ALL"])
)


class StepPod(KubernetesPodOperator):
    """Runs a step as a pod, and waits for it in the triggerer.

    A pod that failed stays, for `kubectl describe`; one that succeeded, or whose task was killed, goes. Its log is
    brought over every half minute; its events and the state of its containers are in the task's log.
    """

    def __init__(self, *, step: Task, settings: Settings, arguments: Sequence[str], **options: Any) -> None:
        component, needs = step.component, resources_of(step, settings)
        limits = {"cpu": needs.cpu_limit, "memory": needs.memory_limit}
        besides = _besides(settings)
        own = besides.get("spec", {})
        (container,) = own.get("containers", [{}])
        if needs.gpu:
            options["node_selector"] = own.get("nodeSelector", {}) | settings.node_selector
            options["tolerations"] = [
                k8s.V1Toleration(**{_snake(key): value for key, value in each.items()})
                for each in (*own.get("tolerations", ()), *settings.tolerations)
            ]
            if settings.gpu_count:
                limits[settings.gpu_resource] = str(settings.gpu_count)
        volumes = {"tmp": k8s.V1EmptyDirVolumeSource()}
        mounts = [k8s.V1VolumeMount(name="tmp", mount_path="/tmp")]  # noqa: S108 - the pod's own
        if needs.shared_memory:
            volumes["shm"] = k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit=needs.shared_memory)
            mounts.append(k8s.V1VolumeMount(name="shm", mount_path="/dev/shm"))  # noqa: S108
        super().__init__(
            namespace=settings.namespace,
            pod_template_dict=besides or None,
            image=image_of(component, settings),
            image_pull_secrets=[k8s.V1LocalObjectReference(name) for name in settings.pull_secret.split()],
            cmds=component.command,
            arguments=list(arguments),
            env_vars=_variables(settings, step, {each["name"] for each in container.get("env", ())}),
            container_resources=k8s.V1ResourceRequirements(
                requests={"cpu": needs.cpu, "memory": needs.memory}, limits=limits
            ),
            volumes=[k8s.V1Volume(name=name, empty_dir=source) for name, source in volumes.items()],
            volume_mounts=mounts,
            service_account_name=settings.service_account,
            automount_service_account_token=False,
            security_context=None if "securityContext" in own else HARMLESS_POD,
            container_security_context=None if "securityContext" in container else HARMLESS,
            deferrable=True,
            poll_interval=5,
            logging_interval=30,
            startup_timeout_seconds=600,  # an image with CUDA has 6 GB
            schedule_timeout_seconds=settings.start_seconds if needs.gpu else 600,  # a GPU's node may have to be made
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,  # pages of it would hide what the step says
            termination_message_policy="FallbackToLogsOnError",
            on_finish_action="delete_succeeded_pod",
            on_kill_action="delete_pod",
            **options,
        )  # fmt: skip

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod, *arguments: Any, **options: Any) -> None:
        """Clean up as Airflow does, but take the step's exit code and its last words for what they are."""
        try:
            super().cleanup(pod, remote_pod, *arguments, **options)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            if not (end := _end(remote_pod)):
                raise
            ti = options["context"]["ti"]
            raise failure(ti, self.task_id, end.exit_code, (end.message or "").splitlines()) from error


def _variables(settings: Settings, task: Task, others: set[str]) -> list[k8s.V1EnvVar]:
    """Return the store's address and credentials, by reference: no value passes through Airflow.

    The ways out are there, too, where the ConfigMap says them. All are optional but the store's address: the pod may
    have a role instead of keys, and without either the step says what is missing. `others` are said elsewhere.
    """
    references: dict[str, k8s.V1EnvVarSource] = {}
    for key, name in (SECRET_KEYS | TOKEN_KEYS).items():
        selector = k8s.V1SecretKeySelector(key=key, name=settings.s3_secret, optional=True)
        references[name] = k8s.V1EnvVarSource(secret_key_ref=selector)
    for key, name in (CONFIG_KEYS | PROXY_KEYS | (DOWNLOAD_KEYS if task.downloads else {})).items():
        optional = None if key in CONFIG_KEYS else True
        selector = k8s.V1ConfigMapKeySelector(key=key, name=settings.s3_config, optional=optional)
        references[name] = k8s.V1EnvVarSource(config_map_key_ref=selector)
    return [k8s.V1EnvVar(name, value_from=source) for name, source in references.items() if name not in others]


def _besides(settings: Settings) -> dict[str, Any]:
    """Return what each pod has besides; raise `BadInput` for what Kubernetes' client does not know, and would drop."""
    if not settings.pod:
        return {}
    try:
        known = ApiClient().sanitize_for_serialization(PodGenerator.deserialize_model_dict(settings.pod))
    except (AttributeError, TypeError, ValueError) as error:
        raise BadInput(f"{PREFIX}POD: that is no Pod: {error}") from None
    if known != settings.pod:
        raise BadInput(f"{PREFIX}POD: {_unknown(settings.pod, known)}: a Pod has no such key")
    return settings.pod


def _unknown(given: Any, known: Any) -> str:
    """Return the path of the first key that is given and not known."""
    if isinstance(given, list) and isinstance(known, list):
        given, known = dict(enumerate(given)), dict(enumerate(known))
    for key, value in given.items() if isinstance(given, dict) else ():
        if value != (there := (known or {}).get(key)):
            return f"{key}.{_unknown(value, there)}".rstrip(".")
    return ""


def _end(pod: k8s.V1Pod) -> k8s.V1ContainerStateTerminated | None:
    """Return how the step ended in a pod; None where it did not come to begin."""
    states = [status.state for status in pod.status.container_statuses or () if status.name == "base"]
    return next((state.terminated for state in states if state.terminated), None)


def _snake(key: str) -> str:
    """Return Python's name for a key of a toleration: tolerationSeconds -> toleration_seconds."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
