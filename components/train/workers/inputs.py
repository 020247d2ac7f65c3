"""Where workers on other machines find the inputs of the step.

A step's work is given paths, and only its own machine has what is there. In the store an input is where it was fetched
from; where Kubeflow's launcher has it from, if this step's store has the same there; or else beside the checkpoints,
where it is put once, by its digest.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from components.contract import artifact, kubeflow, location
from components.contract.errors import BadInput, StoreRefused
from components.contract.store.client import Store
from components.train.component import TrainParameters

CHECKPOINTS = "TAPELINE_CHECKPOINTS"  # as in machine/checkpoint.py, which takes TensorFlow's time to import


def reached(inputs: Mapping[str, str], parameters: TrainParameters) -> dict[str, str]:
    """Return the place in the store of each input; raise `BadInput` where there is none, or for checkpoints elsewhere.

    What is in no store yet is put into that of the checkpoints.
    """
    checkpoints = parameters.checkpoints or os.environ.get(CHECKPOINTS, "")
    if checkpoints and not location.is_remote(checkpoints):
        raise BadInput(
            f"checkpoints: {checkpoints} is on this machine, and the workers are on others; give s3://bucket/prefix"
        )
    return {name: _reached(name, place, checkpoints.rstrip("/")) for name, place in inputs.items()}


def _reached(name: str, place: str, checkpoints: str) -> str:
    if location.is_remote(place):
        return place
    if (there := kubeflow.in_store(place)) and _is_at(there, Path(place)):
        return there
    if not checkpoints:
        raise BadInput(
            f"{name}: {place} is on this machine, and the workers are on others; give it as s3://bucket/prefix, or "
            f"checkpoints or {CHECKPOINTS}, where it will be put"
        )
    target = f"{checkpoints}/inputs/{artifact.digest(Path(place))}"
    location.publish(Path(place), target)
    return target


def _is_at(uri: str, folder: Path) -> bool:
    """Tell whether the artifact in a folder is in this step's store, too: Kubeflow may have a store of its own."""
    try:
        return Store.from_environment().manifest(uri) == (folder / artifact.MANIFEST).read_bytes()
    except StoreRefused:
        return False
