"""The limits of time in a compiled pipeline, and which of them would end a step before its own limit does."""

import re
from collections.abc import Mapping
from typing import Any

WEEK = 7 * 24 * 3600  # a try may wait as long for a node that has a GPU to spare


def too_early(spec: Mapping[str, Any], kubernetes: Mapping[str, Any], own: Mapping[str, int]) -> list[str]:
    """Return a sentence for each limit that is less than what a task may need, `own` being its seconds for one try.

    A task may need all its tries, the waits between them, and a week of waiting for a node before each try.
    """
    graphs = [each["dag"] for each in (spec["root"], *spec["components"].values()) if "dag" in each]
    tasks = {name: task for graph in graphs for name, task in graph["tasks"].items()}  # those in groups, too
    executors = kubernetes["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    said = [f"an unknown limit: {path}" for path in _limits(spec, "spec") + _limits(kubernetes, "kubernetes")]
    for name, seconds in own.items():
        retries = tasks[name].get("retryPolicy", {"maxRetryCount": 0})
        tries = retries["maxRetryCount"] + 1
        if int(executors[f"exec-{name}"]["activeDeadlineSeconds"]) < seconds:
            said.append(f"{name}: a try is ended before its {seconds} s")
        if tries > 1:
            wait = int(retries["backoffDuration"].removesuffix("s"))
            waits = sum(wait * retries["backoffFactor"] ** count for count in range(tries - 1))
            # Argo counts it from the start of the first try, in 64 bits of nanoseconds.
            deadline = int(retries["backoffMaxDuration"].removesuffix("s"))
            if not tries * (seconds + WEEK) + waits <= deadline < 2**63 // 10**9:
                said.append(f"{name}: all tries are ended {deadline} s after the start of the first one")
    return said


def _limits(value: Any, path: str) -> list[str]:
    """Return where something that sounds like a limit of time stands, but for those that are known."""
    found = []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        known = key in ("activeDeadlineSeconds", "backoffDuration", "backoffMaxDuration")
        if re.search("deadline|duration|timeout|ttl", str(key), re.IGNORECASE) and not known:
            found.append(f"{path}.{key}")
        found += _limits(each, f"{path}.{key}")
    return found
