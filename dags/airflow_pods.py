"""A step as a pod: Airflow's KubernetesPodOperator, with what this workflow asks of a cluster."""

from collections.abc import Callable, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodNotFoundException
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from kubernetes.client import ApiClient
from kubernetes.client import models as k8s
from kubernetes.client.exceptions import ApiException

from components.contract.declaration import argument
from components.contract.errors import BadInput, Blocked
from components.contract.rendezvous import POD
from dags import pod_ends
from dags.airflow_places import told_of
from dags.airflow_process import failure, told
from dags.airflow_settings import PREFIX, Settings, image_of
from dags.cluster import (
    CONFIG_KEYS,
    DOWNLOAD_KEYS,
    PROXY_KEYS,
    SECRET_KEYS,
    TOKEN_KEYS,
    TRACKING_KEYS,
    TRACKING_SECRET_KEYS,
    resources_of,
)
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

    def __init__(
        self,
        *,
        step: Task,
        settings: Settings,
        arguments: Sequence[str],
        on_blocked: Callable[[Context], None],
        **options: Any,
    ) -> None:
        component, needs = step.component, resources_of(step, settings)
        self.on_blocked = on_blocked
        self._event: dict[str, Any] = {}
        self._own = tuple(argument(item.name, "") for item in component.outputs)
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
            automount_service_account_token=settings.workers and step.launches,
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

    @property
    def called_with(self) -> Sequence[str]:
        """Return the arguments of the step: those of its pod, which an earlier try may have started."""
        arguments: Sequence[str] = _base(self.pod).args if self.pod else self.arguments
        return arguments

    def get_or_create_pod(self, pod_request_obj: k8s.V1Pod, context: Context) -> k8s.V1Pod:
        """Return the pod: one of an earlier try that still runs, if it does the same, or a new one.

        Airflow goes by the names of DAG, run and task, which a run that was cleared, or deleted and triggered again,
        shares with its past. A pod with other inputs, parameters or image is ended, and one that has failed is left.
        """
        try:
            pod = self._get_or_create(pod_request_obj, context)
        except ApiException as error:
            refused = f"{self.task_id}: Kubernetes refuses its pod: {pod_ends.message_of(error)}"
            raise told(context["ti"], AirflowException(refused)) from error
        return pod

    def _get_or_create(self, pod_request_obj: k8s.V1Pod, context: Context) -> k8s.V1Pod:
        pod = super().get_or_create_pod(pod_request_obj, context)
        failed = pod.status and pod.status.phase == "Failed"
        if pod is pod_request_obj or (self._does(pod) == self._does(pod_request_obj) and not failed):
            return pod
        self.log.warning("the pod %s is of an earlier try that failed or did something else", pod.metadata.name)
        self.patch_already_checked(pod)  # so that no try finds it again
        if not failed:
            self.pod_manager.delete_pod(pod)
        return super().get_or_create_pod(pod_request_obj, context)

    def _does(self, pod: k8s.V1Pod) -> tuple[str, list[str]]:
        """Return what decides about the bytes that a pod makes: all but the places of its outputs."""
        container = _base(pod)
        return container.image, [each for each in container.args if not each.startswith(self._own)]

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> Any:
        """Go on when the triggerer has seen something; a pod that is gone is said in a sentence."""
        self._event = event
        try:
            return super().trigger_reentry(context, event)
        except PodNotFoundException as error:
            gone = f"{self.task_id}: its pod {event['name']} is gone, as when a node is lost or somebody deletes it"
            raise told(context["ti"], AirflowException(gone)) from error

    def cleanup(self, pod: k8s.V1Pod, remote_pod: k8s.V1Pod, *arguments: Any, **options: Any) -> None:
        """Clean up as Airflow does, but take the step's exit code and its last words for what they are."""
        try:
            super().cleanup(pod, remote_pod, *arguments, **options)
        except AirflowSkipException:
            raise
        except AirflowException as error:
            context, ti = options["context"], options["context"]["ti"]
            if remote_pod.status.phase in ("Pending", "Running"):  # it would go on without its task
                self.pod_manager.delete_pod(remote_pod)
            if not (end := pod_ends.end_of(remote_pod)) or not end.exit_code:
                late = self._event["message"] if self._event.get("status") == "timeout" else ""
                why = "; ".join(filter(None, (late, pod_ends.why(remote_pod)))) or str(error)
                raise told(ti, AirflowException(f"{self.task_id}: {why}")) from error
            if end.exit_code == Blocked.exit_code:
                self.on_blocked(context)
            lines = (end.message or "").splitlines()
            raise failure(ti, self.task_id, end.exit_code, lines, pod_ends.why(remote_pod)) from error


def _variables(settings: Settings, task: Task, others: set[str]) -> list[k8s.V1EnvVar]:
    """Return the store's address and credentials, by reference: no value passes through Airflow.

    The ways out are there, too, where the ConfigMap says them. All are optional but the store's address: the pod may
    have a role instead of keys, and without either the step says what is missing. `others` are said elsewhere.
    """
    references: dict[str, k8s.V1EnvVarSource] = {}
    for key, name in (SECRET_KEYS | TOKEN_KEYS | TRACKING_SECRET_KEYS).items():
        selector = k8s.V1SecretKeySelector(key=key, name=settings.s3_secret, optional=True)
        references[name] = k8s.V1EnvVarSource(secret_key_ref=selector)
    said = CONFIG_KEYS | PROXY_KEYS | TRACKING_KEYS | (DOWNLOAD_KEYS if task.downloads else {})
    for key, name in said.items():
        optional = None if key in CONFIG_KEYS else True
        selector = k8s.V1ConfigMapKeySelector(key=key, name=settings.s3_config, optional=optional)
        references[name] = k8s.V1EnvVarSource(config_map_key_ref=selector)
    if task.launches:
        references[POD] = k8s.V1EnvVarSource(field_ref=k8s.V1ObjectFieldSelector(field_path="metadata.name"))
    told = told_of(settings, task)
    return [
        *(k8s.V1EnvVar(name, value_from=source) for name, source in references.items() if name not in others),
        *(k8s.V1EnvVar(name, value) for name, value in told.items() if name not in others),
    ]


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


def _base(pod: k8s.V1Pod) -> k8s.V1Container:
    """Return the container of the step, also where a cluster adds others."""
    return next(container for container in pod.spec.containers if container.name == "base")


def _snake(key: str) -> str:
    """Return Python's name for a key of a toleration: tolerationSeconds -> toleration_seconds."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
