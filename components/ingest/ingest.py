"""The work of ingest: read, bring to one shape, split, check, describe, and save a labelled image data set."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from components.artifacts import dataset as datasets
from components.artifacts import findings as found_wrong
from components.artifacts.splits import SPLITS
from components.artifacts.words import count
from components.contract import location
from components.contract.artifact import canonical_json, sha256
from components.contract.errors import BadInput
from components.contract.terminal import line
from components.ingest import known, schema
from components.ingest.component import IngestParameters
from components.ingest.forms import Batch, Fields, choose
from components.ingest.gather import Gathered, classes_of, gather
from components.ingest.pixels import Shaper, shape_of
from components.ingest.place import Place
from components.ingest.report import write_report
from components.ingest.schema import SCHEMA
from components.ingest.splits import complete, together
from components.ingest.validation import SOUND, inspect, rules, validate

FEW = 32  # files of a source whose digests are kept one by one


def ingest(parameters: IngestParameters, *, dataset: Path, report: Path) -> dict[str, dict[str, Any]]:
    """Write the splits train, validation and test of `parameters.source` to the folder `dataset`.

    Raises `BadInput` for files that are not what they should be, and `Blocked` for findings at least as severe as
    `fail_on`: then the report is published, and nothing else.
    """
    shaper, reference = Shaper(parameters), schema.obtain(parameters.reference)
    # Beside what is made of it, so that it is on the disk that has room for it, and images need not fit into memory.
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=dataset) as scratch:
        with opened(parameters, Path(scratch)) as (batches, digests):
            found = gather(batches, shaper, Path(scratch) / "images")
        labels, class_names = classes_of(found, parameters.classes, parameters.class_names, parameters.first_label)
        splits, origins = _written(parameters, found, labels.astype(np.uint8), dataset)
    data = inspect(splits, origins, class_names, reference)
    findings = validate(data)
    verdict = found_wrong.verdict(findings, SOUND)
    datasets.write_statistics(dataset, data.statistics)
    (dataset / SCHEMA).write_bytes(canonical_json(data.schema))
    found_wrong.write(dataset / "findings.json", findings, rules(), SOUND)
    write_report(report, parameters.source, data, findings, parameters.fail_on)
    if shaper.resized:
        print(f"{count(shaper.resized, 'image')} brought to {shape_of(shaper.shape)} (fit: {parameters.fit})")
    size, colour = shape_of(found.shape[:2]), " in colour" if len(found.shape) == 3 else ""
    made = [name for name in SPLITS[1:] if name not in found.splits]
    for name, split in splits.items():
        apart = ", set apart by seed and class" if name in made else ""
        print(f"{name:10} {len(split.labels):6,} images of {size} pixels{colour}{apart}")
    print(f"validation: {verdict}")
    found_wrong.say(findings)
    found_wrong.end_on(parameters.fail_on, findings)
    return {
        "dataset": {
            "image_shape": list(found.shape),
            "classes": len(class_names),
            "class_names": class_names,
            "splits": {name: len(split.labels) for name, split in splits.items()},
            "made_splits": made,
            "source_sha256": _few(digests),
            "validation": verdict,
            **found_wrong.counts(findings),
            **({"reference_sha256": reference.digest} if reference else {}),
            **_about(parameters.source),
        }
    }


@contextmanager
def opened(parameters: IngestParameters, scratch: Path) -> Iterator[tuple[Iterator[Batch], dict[str, str]]]:
    """Give the images of the source, some at a time, and the digests of its files, which are there at the end."""
    source = parameters.source
    fields = Fields(
        parameters.image_field, parameters.label_field, parameters.split_field, parameters.group_field,
        parameters.weight_field,
    )  # fmt: skip
    if found := known.find(source):
        for name in ("form", *(f"{field}_field" for field in asdict(fields))):
            if (given := getattr(parameters, name)) not in ("", "auto"):
                raise BadInput(f"{name}: {given}, but {source} is a known data set, which needs none")
        paths = found.obtain(Path(parameters.cache))
        print(f"{source}: {found.title}", flush=True)
        yield found.batches(paths), {name: sha256(path) for name, path in paths.items()}
        return
    if not location.is_remote(source) and not Path(source).exists():
        raise BadInput(
            f"source: {source!r} is neither a folder nor a file nor an s3:// prefix nor a known data set"
            f"{known.nearest(source)}; known are {', '.join(known.NAMES)}"
        )
    place = Place(source, scratch)
    form = choose(place, parameters.form)
    print(line(f"{source}: {form.what} (form: {form.name})"), flush=True)
    yield form.read(place, fields), place.digests


def _about(source: str) -> dict[str, dict[str, str]]:
    """Return what there is to say of a known data set, for whoever passes on what was made of it."""
    found = known.find(source)
    names = ("title", "licence", "homepage", "citation")
    return {"about": {name: getattr(found, name) for name in names}} if found else {}


def _few(digests: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of a few files as they are, and of many the digest of them all."""
    if len(digests) <= FEW:
        return {line(name): digest for name, digest in digests.items()}
    lines = "".join(f"{digest}  {line(name)}\n" for name, digest in sorted(digests.items()))
    return {f"{len(digests):,} files": hashlib.sha256(lines.encode()).hexdigest()}


def _written(
    parameters: IngestParameters, found: Gathered, labels: "np.ndarray[Any, np.dtype[np.uint8]]", dataset: Path
) -> tuple[dict[str, datasets.Split], dict[str, list[str]]]:
    """Write the images of each split; return the splits, and where each image came from.

    They are in the order of the source. Only training images that are more than one shard are mixed, so that any few
    shards are a sample of them all, wherever the source has one class after the other.
    """
    units = together(found.digests, found.groups)
    names = complete(
        found.splits, labels.astype(np.int64), units, parameters.validation_size, parameters.test_size, parameters.seed
    )
    weights = None if found.weights is None else np.array(found.weights, np.float32)
    written, origins = {}, {}
    for name in SPLITS:
        chosen = np.flatnonzero(names == name)
        if name == "train" and len(chosen) > datasets.shard_images(found.shape):
            chosen = np.random.default_rng((parameters.seed, 1)).permutation(chosen)
        own = None if weights is None else weights[chosen]
        if own is not None and not own.any():
            raise BadInput(f"all {len(own):,} {name} images weigh 0; give some of them a weight above 0")
        origins[name] = [found.origins[i] for i in chosen]
        written[name] = datasets.write(dataset, name, found.images(chosen), labels[chosen], own, origins[name])
    return written, origins
