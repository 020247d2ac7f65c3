"""A data set in Croissant's words (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html): JSON-LD.

Its files are named relative to the folder of the data set, with their sha256, so what it describes can be checked. The
format has no words yet for what is inside of a .npy file, so a record is said to be in its bytes.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from components.artifacts import dataset as datasets
from components.artifacts.dataset import Description
from components.artifacts.splits import SPLITS
from components.contract.terminal import line
from components.lineage.places import Found

VERSION = "http://mlcommons.org/croissant/1.1"
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FORMATS = {"json": "application/json", "txt": "text/plain"}


def document(found: Found) -> dict[str, Any]:
    """Return the description of a data set that ingest made; raise `BadInput` for another artifact."""
    manifest = found.manifest
    data = datasets.described(manifest, found.place)
    about = data.about
    images = ", ".join(f"{data.splits[name]:,} for {name}" for name in SPLITS if name in data.splits)
    names = [line(name) for name in data.class_names]
    title = line(about.title) if about else "A data set of one's own"
    known = {"license": about.licence, "url": about.homepage, "citeAs": about.citation} if about else {}
    records = [each for name in SPLITS for each in _records(name, data, manifest.files)]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": re.sub("[^A-Za-z0-9_-]+", "-", str(manifest.parameters.get("source")) if about else "own-data"),
        "description": f"{title}: images of {len(names)} classes ({', '.join(names)}), {images}.",
        "conformsTo": VERSION,
        "version": f"1.0.0+{found.digest[:12]}",
        "identifier": f"sha256:{found.digest}",
        **known,
        "distribution": [
            *(_file(name, file.sha256, file.bytes) for name, file in sorted(manifest.files.items())),
            *(_shards(name) for name in SPLITS if _sharded(name, manifest.files)),
        ],
        "recordSet": [_splits(data.splits), *records],
    }


def _file(name: str, sha256: str, size: int) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": _FORMATS.get(name.rpartition(".")[2], "application/octet-stream"),
        "sha256": sha256,
    }


def _sharded(split: str, files: Collection[str]) -> bool:
    return any(name.startswith(f"{split}-images-") for name in files)


def _shards(split: str) -> dict[str, Any]:
    """Return the files that the images of a split are in, one after the other."""
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-images-shards",
        "name": f"{split}-images-shards",
        "encodingFormat": "application/octet-stream",
        "includes": f"{split}-images-*.npy",
    }


def _splits(sizes: Mapping[str, int]) -> dict[str, Any]:
    urls = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
    text = {"@type": "cr:Field", "dataType": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "What the images are for.",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {**text, "@id": "splits/name", "name": "name"},
            {**text, "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
            {**text, "@id": "splits/images", "name": "images", "dataType": "sc:Integer"},
        ],
        "data": [
            {"splits/name": name, "splits/url": urls[name], "splits/images": sizes[name]}
            for name in SPLITS
            if name in sizes
        ],
    }


def _records(split: str, data: Description, files: Collection[str]) -> Iterator[dict[str, Any]]:
    """Yield a set of records for each array of a split: one for both would need a key, and theirs is the position."""
    count = data.splits.get(split, 0)
    if _sharded(split, files):
        source = {"fileSet": {"@id": f"{split}-images-shards"}}
        yield _array(split, "images", "sc:Integer", [count, *data.image_shape], "Pixels, uint8, 0 to 255.", source)
    for what, kind, text in (
        ("labels", "sc:Integer", "The number of the class of each image, uint8."),
        ("weights", "sc:Float", "How much each image counts, float32."),
    ):
        if (name := f"{split}-{what}.npy") in files:
            yield _array(split, what, kind, [count], text, {"fileObject": {"@id": name}})


def _array(  # noqa: PLR0913 - what is said of an array
    split: str, what: str, kind: str, shape: list[int], text: str, source: Mapping[str, Any]
) -> dict[str, Any]:
    name = f"{split}-{what}"
    field = {
        "@type": "cr:Field",
        "@id": f"{name}/{what}",
        "name": what,
        "description": text,
        "dataType": kind,
        "isArray": True,
        "arrayShape": ",".join(map(str, shape)),
        "source": {**source, "extract": {"fileProperty": "content"}},
    }
    description = f"The {what} of the {split} split, in their order."
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": description, "field": [field]}
