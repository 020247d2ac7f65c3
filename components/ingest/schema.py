"""What a data set is like, so that the next one can be held against it: `schema.json` in the artifact.

    shape          [height, width], of every image
    channels       1 or 3
    dtype          uint8
    classes        their names, in the order of the labels
    class_shares   the share of each class in the training images
    range          the least and the greatest pixel value of the training images
    splits         of each the number of images, and of each class

One that is given as a reference may say less.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.artifacts import dataset as datasets
from components.artifacts.splits import OF_SPLITS, SPLITS
from components.contract import artifact, later, location, outside
from components.contract.errors import BadInput
from components.contract.store.client import Store
from components.ingest.look import Look, look

SCHEMA = "schema.json"
Schema = Mapping[str, Any]
KINDS = {
    "schema_version": int, "shape": list, "channels": int, "dtype": str, "classes": list, "class_shares": list,
    "range": list, "splits": dict,
}  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """What a data set is held against: a schema, and, where it is one that ingest made, a look at its images."""

    place: str
    schema: Schema
    looks: Mapping[str, Look] = field(default_factory=dict)
    digest: str = ""


def infer(looks: Mapping[str, Look], class_names: Sequence[str]) -> dict[str, Any]:
    """Return the schema of a data set."""
    train = looks["train"]
    return {
        "schema_version": 1,
        "shape": list(train.shape[:2]),
        "channels": train.shape[2] if len(train.shape) == 3 else 1,
        "dtype": "uint8",
        "classes": list(class_names),
        "class_shares": [round(count / len(train), 6) for count in train.class_counts.tolist()],
        "range": [int(train.low.min()), int(train.high.max())],
        "splits": {
            name: {"images": len(each), "class_counts": each.class_counts.tolist()} for name, each in looks.items()
        },
    }


def obtain(place: str) -> Reference | None:
    """Return what is at `place`: nothing, a schema, or a data set that ingest made; raise `BadInput` for another."""
    if not place:
        return None
    with tempfile.TemporaryDirectory(prefix="tapeline-") as scratch:
        if place.endswith(".json"):
            path = _fetched(place, Path(scratch) / SCHEMA)
            return Reference(place, _read(place, path), digest=artifact.sha256(path))
        folder = location.fetch(place, Path(scratch) / "reference", OF_SPLITS)
        try:
            return _data_set(place, folder)
        finally:
            later.forget(folder)


def _data_set(place: str, folder: Path) -> Reference:
    """Return a data set that ingest made, as a reference."""
    files = artifact.read(folder).files
    if missing := [split for split in SPLITS if not any(datasets.has(name, split) for name in files)]:
        raise BadInput(
            f"reference: {place} is no data set that ingest made: it has no {missing[0]} images; give the folder of "
            f"its dataset, or a {SCHEMA}"
        )
    names = datasets.class_names(folder)
    looks = {split: look(datasets.read(folder, split, classes=len(names)), len(names)) for split in SPLITS}
    path = folder / SCHEMA
    schema = _read(f"{place}/{SCHEMA}", path) if path.is_file() else infer(looks, names)
    return Reference(place, schema, looks, artifact.digest(folder))


def _fetched(place: str, target: Path) -> Path:
    if not location.is_remote(place):
        return Path(place)
    Store.from_environment().read(place, target)
    return target


def _read(place: str, path: Path) -> Schema:
    """Return a schema; it may say less than all."""
    try:
        schema = outside.document(outside.content(path), f"reference: {place}")
    except FileNotFoundError:
        raise BadInput(f"reference: there is no {place}") from None
    if not isinstance(schema, dict) or not schema:
        raise BadInput(f"reference: {place} must be an object with some of {', '.join(KINDS)}")
    for name, value in schema.items():
        if name not in KINDS:
            raise BadInput(f"reference: {place} has {name}, which no schema has; known are {', '.join(KINDS)}")
        if not isinstance(value, KINDS[name]):
            raise BadInput(f"reference: {name} in {place} must be {KINDS[name].__name__}, not {type(value).__name__}")
    if not all(_whole(schema.get(name, [0, 0])) and len(schema.get(name, [0, 0])) == 2 for name in ("shape", "range")):
        raise BadInput(f"reference: shape and range in {place} must be two whole numbers each")
    for name, split in schema.get("splits", {}).items():
        if not isinstance(split, dict) or not _whole(split.get("class_counts", [])):
            raise BadInput(f"reference: {name} of splits in {place} must have class_counts, a list of whole numbers")
    return schema


def _whole(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)
