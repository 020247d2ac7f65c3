"""What a cluster admits: the profile `restricted` of Pod Security, and OpenShift's `restricted-v2`.

Written from https://kubernetes.io/docs/concepts/security/pod-security-standards and from
https://docs.openshift.com/container-platform/latest/authentication/managing-security-context-constraints.html.
Each yields a sentence for everything that is refused; what restricted-v2 fills in by itself may be left out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

# A namespace of OpenShift has a range of users, and of groups; these are typical.
RANGE = range(1000650000, 1000660000)

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_SYSCTLS = {
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
}  # fmt: skip


def restricted(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the profile `restricted` refuses of a pod's specification."""
    yield from _both(spec)
    pod = spec.get("securityContext", {})
    for container in _containers(spec):
        name, own = container["name"], pod | container.get("securityContext", {})
        if own.get("runAsNonRoot") is not True:
            yield f"{name}: runAsNonRoot is not true"
        if own.get("runAsUser") == 0:
            yield f"{name}: runAsUser is 0"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name}: allowPrivilegeEscalation is not false"
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            yield f"{name}: capabilities do not drop ALL"
        if own.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name}: there is no seccompProfile"


def restricted_v2(spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield what OpenShift's `restricted-v2` refuses of a pod's specification."""
    yield from _both(spec)
    pod = spec.get("securityContext", {})
    if pod.get("fsGroup", RANGE[0]) not in RANGE:
        yield f"fsGroup: {pod['fsGroup']} is not in the namespace's range"
    for container in _containers(spec):
        name, own = container["name"], pod | container.get("securityContext", {})
        if own.get("runAsUser", RANGE[0]) not in RANGE:
            yield f"{name}: runAsUser: {own['runAsUser']} is not in the namespace's range"
        if own.get("allowPrivilegeEscalation") is True:
            yield f"{name}: allowPrivilegeEscalation is true"
        if own.get("seLinuxOptions"):
            yield f"{name}: seLinuxOptions are not the namespace's"
        if own.get("seccompProfile", {}).get("type", "RuntimeDefault") != "RuntimeDefault":
            yield f"{name}: seccompProfile is not RuntimeDefault"


def _both(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"{key} is true" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    for volume in spec.get("volumes", []):
        yield from (f"volumes: {kind} is not allowed" for kind in volume.keys() - {"name"} - _VOLUMES)
    for each in spec.get("securityContext", {}).get("sysctls", []):
        if each["name"] not in _SYSCTLS:
            yield f"sysctls: {each['name']} is not allowed"
    for container in _containers(spec):
        yield from (f"{container['name']}: {wrong}" for wrong in _wrong(container))


def _wrong(container: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext", {})
    if own.get("privileged"):
        yield "privileged is true"
    if own.get("procMount", "Default") != "Default":
        yield "procMount is not Default"
    if added := set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"capabilities add {added.pop()}"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "a hostPort is given"


def _containers(spec: Mapping[str, Any]) -> list[Any]:
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]
