"""What a training follows from: two runs with the same key make the same bytes, so one may go on for the other.

A run on another kind of machine is another one: sums are added up in another order there, with another number of
processors already.
"""

import hashlib
import os
import re
import sys
from pathlib import Path
from typing import Any

import tensorflow as tf

from components.contract.artifact import canonical_json, sha256
from components.train.component import COMPONENT, TrainParameters
from components.train.machine.assemble import FOLDERS, files_of

COMPONENTS = Path(__file__).parents[2]
ROOMS = ("contract", "artifacts", "models", "train")  # what the code of train is in

# What TensorFlow is told by the environment, but for what it logs, and where the workers are.
_SETTINGS = re.compile("TF_(?!CPP_|CONFIG$)|XLA_")
# What libraries choose their code by: the instructions of the processor, on x86 and on ARM.
_INSTRUCTIONS = re.compile("avx|fma|f16c|amx|sse|asimd|sve|bf16|i8mm|sme")


def key_of(parameters: TrainParameters, dataset: str) -> str:
    """Return the key of a run on the data set of that digest: 16 hexadecimal digits, of all that decides its bytes."""
    made_of = work_of(parameters, dataset) | {
        "machine": machine(),
        "settings": {name: value for name, value in sorted(os.environ.items()) if _SETTINGS.match(name)},
    }
    return hashlib.sha256(canonical_json(made_of)).hexdigest()[:16]


def work_of(parameters: TrainParameters, dataset: str) -> dict[str, Any]:
    """Return what is done, on whatever machine."""
    return {
        "dataset": dataset,
        "parameters": parameters.course(),
        "versions": {package: sys.modules[package].__version__ for package in COMPONENT.packages},
        "code": code(parameters),
    }


def about(parameters: TrainParameters, dataset: str) -> dict[str, str]:
    """Return a digest of each part of what is done: all who do it together must have the same."""
    return {
        what: hashlib.sha256(canonical_json(each)).hexdigest() for what, each in work_of(parameters, dataset).items()
    }


def code(parameters: TrainParameters) -> list[str]:
    """Return the digests of all files of code that a run may use; of plug-ins only of those that are chosen."""
    chosen = files_of(parameters)
    others = {path for folder in FOLDERS for path in folder.files.values()}.difference(chosen)
    shared = {path for room in ROOMS for path in (COMPONENTS / room).rglob("*.py") if not path.name.startswith("test_")}
    return sorted(f"{path.name} {sha256(path)}" for path in shared.difference(others).union(chosen))


def machine() -> dict[str, Any]:
    """Return what the order of sums depends on: the GPU, or the processor, its instructions and how many there are."""
    if gpus := tf.config.get_visible_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpus[0])
        return {"gpu": details.get("device_name"), "capability": details.get("compute_capability")}
    about = dict.fromkeys(("model name", "CPU implementer", "CPU part", "flags", "Features"), "")
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip() in about:
            about[name.strip()] = value.strip()
    flags = f"{about.pop('flags')} {about.pop('Features')}".split()
    instructions = sorted(flag for flag in flags if _INSTRUCTIONS.match(flag))
    return about | {"instructions": instructions, "processors": len(os.sched_getaffinity(0))}
