"""What Kubernetes takes as a name, a label, an amount and a toleration, so that what is wrong is said beforehand.

Each function returns the value, or raises `ValueError` with what is right. The rules are those of Kubernetes' own
validation: https://kubernetes.io/docs/concepts/overview/working-with-objects/names and .../labels.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from components.contract.declaration import did_you_mean

_PART = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_WORD = r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?"  # of a label's name or value
NAME = rf"(?=[a-z0-9.-]{{1,253}}(?![a-z0-9.-])){_PART}(\.{_PART})*"  # of an object: a DNS subdomain

# The keys of a toleration, with their types or choices.
TOLERATION: dict[str, type | tuple[str, ...]] = {
    "key": str,
    "operator": ("Exists", "Equal"),
    "value": str,
    "effect": ("NoSchedule", "PreferNoSchedule", "NoExecute"),
    "tolerationSeconds": int,
}
EXAMPLE = '{"key": "nvidia.com/gpu", "operator": "Exists"}'
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "M": 10**6, "G": 10**9, "T": 10**12}
MOST_CPUS = 1024
LEAST_MEMORY, MOST_MEMORY = "64Mi", "64Ti"


def matches(form: str, value: str) -> bool:
    """Tell whether a whole text is of a form, in ASCII."""
    return re.fullmatch(form, value, re.ASCII) is not None


def name(value: str) -> str:
    """Check the name of an object: a Secret, a ConfigMap, a service account."""
    if not matches(NAME, value):
        raise ValueError(
            "small letters, digits, hyphens and dots between them are needed, as Kubernetes names things, 253 at most"
        )
    return value


def namespace(value: str) -> str:
    """Check the name of a namespace."""
    if not matches(_PART, value) or len(value) > 63:
        raise ValueError("a namespace's name is small letters, digits and hyphens between them, 63 at most")
    return value


def resource(value: str) -> str:
    """Check what a cluster calls a GPU: an extended resource."""
    if not matches(rf"{NAME}/{_WORD}", value) or value.split("/", maxsplit=1)[0].endswith("kubernetes.io"):
        raise ValueError("the name of an extended resource is needed, such as nvidia.com/gpu")
    return value


def labels(value: Mapping[str, Any]) -> Mapping[str, str]:
    """Check the labels by which a node is selected."""
    for key, given in value.items():
        if not isinstance(given, str):
            raise ValueError(f"{key}: {given!r} is no text: put it in quotation marks")  # noqa: TRY004 - pydantic's way
        _label(key, given)
    return value


def tolerations(value: list[Any]) -> list[dict[str, Any]]:
    """Check tolerations as a pod has them."""
    for each in value:
        if not isinstance(each, dict):
            raise ValueError(f"{each!r} is no toleration: an object is needed, such as {EXAMPLE}")  # noqa: TRY004
        for key, given in each.items():
            _toleration(key, given)
        _label(each.get("key") or "any", each.get("value", ""))
        if each.get("operator") == "Exists" and each.get("value"):
            raise ValueError(f"value: {each['value']!r} cannot go with the operator Exists; leave one of them out")
        if not each.get("key") and each.get("operator") != "Exists":
            raise ValueError("a toleration without a key needs the operator Exists")
        if "tolerationSeconds" in each and each.get("effect") != "NoExecute":
            raise ValueError("tolerationSeconds needs the effect NoExecute")
    return value


def cpus(value: str) -> str:
    """Check an amount of CPUs; empty is one, too."""
    if value and not (matches(r"\d{1,9}(\.\d{1,3}|m)?", value) and 0 < _cpus(value) <= MOST_CPUS):
        raise ValueError(f"not an amount as Kubernetes writes it, such as 500m or 4, {MOST_CPUS} at most")
    return value


def memory(value: str) -> str:
    """Check an amount of memory; empty is one, too."""
    if value and not (
        matches(rf"\d{{1,9}}({'|'.join(_UNITS)})", value)
        and _bytes(LEAST_MEMORY) <= _bytes(value) <= _bytes(MOST_MEMORY)
    ):
        between = f"from {LEAST_MEMORY} to {MOST_MEMORY}"
        raise ValueError(f"not an amount as Kubernetes writes it, such as 512Mi or 16Gi, {between}")
    return value


def _toleration(key: str, given: Any) -> None:
    if key not in TOLERATION:
        raise ValueError(f"no such key of a toleration: {key}{did_you_mean(key, TOLERATION)}")
    right = TOLERATION[key]
    if isinstance(right, type) and type(given) is not right:
        raise ValueError(f"{key}: {given!r} is no {'text' if right is str else 'whole number'}")
    if isinstance(right, tuple) and given not in right:
        raise ValueError(f"{key}: {given!r} is not one of {', '.join(right)}")
    if key == "tolerationSeconds" and not -(2**63) <= given < 2**63:
        raise ValueError(f"{key}: {given} is too large")


def _label(key: str, value: str) -> None:
    if not matches(rf"({NAME}/)?{_WORD}", key):
        raise ValueError(f"{key!r} is no name of a label: letters, digits, - _ and ., as disk or my.org/disk")
    if not matches(rf"({_WORD})?", value):
        raise ValueError(f"{key}: {value!r} is no label's value: letters, digits, - _ and . between them, 63 at most")


def _cpus(value: str) -> Fraction:
    return Fraction(value.removesuffix("m")) / (1000 if value.endswith("m") else 1)


def _bytes(value: str) -> int:
    amount = re.match(r"\d+", value)
    assert amount
    return int(amount[0]) * _UNITS[value[amount.end() :]]
