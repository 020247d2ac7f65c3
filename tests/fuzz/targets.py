"""The parsers of what comes from outside, as a table: a name, what runs it, and small real examples.

A target is given a folder of its own and bytes, and either comes to its end or raises a `StepError` whose sentence is
fit to be shown. Anything else is a fault of the parser. What is read only after its digest was compared with one that
is in this repository (known data sets) is not from outside; nor is a person's own file of Python, which is run.
"""

import gzip
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from components.artifacts import dataset as datasets
from components.artifacts.record import command, noise
from components.artifacts.record import reader as records
from components.contract import artifact, kubeflow, location, outside
from components.contract.artifact import canonical_json
from components.contract.command import parser_of
from components.contract.errors import StepError
from components.contract.terminal import HIDDEN
from components.export.checks import RULES
from components.export.diagnosis import diagnose
from components.export.events import write_events
from components.export.tables import write_parquet
from components.handover import found as judged
from components.ingest import schema, validation
from components.ingest.component import COMPONENT as INGEST
from components.ingest.component import IngestParameters
from components.ingest.forms import Fields, choose
from components.ingest.gather import classes_of, gather
from components.ingest.ingest import _written
from components.ingest.pixels import Shaper
from components.ingest.place import Place
from components.lineage import croissant, openlineage, statements
from components.lineage.places import Found
from components.lineage.show import lines
from components.lineage.walk import Node
from dags.cluster import Cluster
from dags.kubeflow_form import shares
from dags.local_runs import page
from dags.workflow import WORKFLOW
from tests.fuzz import documents, seeds

Run = Callable[[bytes, Path], object]

LONGEST = 2000  # characters of a sentence


@dataclass(frozen=True)
class Target:
    """A parser; `pack` makes a file of the bytes that are varied, where a checksum would keep them from being read."""

    run: Run
    seeds: Callable[[], list[bytes]]
    pack: Callable[[bytes], bytes] = bytes
    text: bool = False  # whether it is JSON, which is varied as such too

    def __call__(self, content: bytes) -> str:
        """Run the parser; return its sentence, or nothing if it took the bytes. Raises what it must not raise."""
        with tempfile.TemporaryDirectory(prefix="tapeline-fuzz-") as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what libraries say to those who write programs
            try:
                self.run(self.pack(content), Path(folder))
            except StepError as error:
                return fit(str(error))
        return ""


def fit(sentence: str) -> str:
    """Return a failure's sentence; raise `AssertionError` for one that is not fit to be shown."""
    for line in sentence.split("\n"):  # one for each parameter that is wrong
        assert not HIDDEN.search(line), f"characters that are not to be shown: {line!r}"
        assert 10 < len(line) <= LONGEST, f"{len(line)} characters: {line}"
    return sentence


def _source(name: str, content: bytes, folder: Path, **beside: bytes) -> None:
    """Ingest a folder with a file of that name, up to what is found in the images."""
    source = folder / "source"
    for each, of_it in ({name: content} | beside).items():
        (source / each).parent.mkdir(parents=True, exist_ok=True)
        (source / each).write_bytes(of_it)
    parameters = IngestParameters()
    place = Place(str(source), folder)
    found = gather(choose(place, "auto").read(place, Fields()), Shaper(parameters), folder / "images")
    labels, names = classes_of(found, 0, "", 0)
    assert len(labels) == len(found.origins)
    assert len(names) >= 2
    assert not any(map(HIDDEN.search, found.origins)), "an origin is a line of a file"
    "".join([*found.origins, *names]).encode()
    dataset = folder / "dataset"
    dataset.mkdir()
    splits, origins = _written(parameters, found, labels.astype(np.uint8), dataset)
    data = validation.inspect(splits, origins, names, None)
    canonical_json([data.statistics, data.schema])
    validation.validate(data)


def _file(name: str, **beside: bytes) -> Run:
    return lambda content, folder: _source(name, content, folder, **beside)


def _pictures_beside() -> dict[str, bytes]:
    return {f"{name}.png": seeds.picture_of(i) for i, name in enumerate("abcdef")}


def _classes_beside() -> dict[str, bytes]:
    return {f"{1 + i % 2}/{i}.png": seeds.picture_of(i) for i in range(6)}


def _manifest(content: bytes, folder: Path) -> None:
    (folder / "data").write_bytes(b"data")
    (folder / artifact.MANIFEST).write_bytes(content)
    artifact.verify(folder).to_bytes()


def _lineage(content: bytes, folder: Path) -> None:
    """Say what a manifest says in all the forms that there are for it."""
    found = Found(str(folder), "0" * 64, artifact.Manifest.parse(content, str(folder)))
    list(lines(Node("dataset", found.digest, "verified", found), {}, {}))
    canonical_json([statements.statement(found), *openlineage.events([found])])
    canonical_json(croissant.document(found))


def _envelope(content: bytes, folder: Path) -> None:
    statements.signed(outside.document(content, str(folder)), documents.KEY.public_key())


def _found(kind: type[BaseModel]) -> Run:
    def run(content: bytes, folder: Path) -> None:
        (folder / "found.json").write_bytes(content)
        judged.read(kind, folder / "found.json")

    return run


def _executor_input(content: bytes, _: Path) -> None:
    text = content.decode("utf-8", "surrogateescape").lstrip("@")
    INGEST.parameters.checked(kubeflow.parse(INGEST, text).parameters)


def _form(content: bytes, _: Path) -> None:
    given = kubeflow.document(content.decode("utf-8", "surrogateescape").lstrip("@"))
    shares(WORKFLOW, kubeflow.values(given))


def _command_line(content: bytes, _: Path) -> None:
    arguments = content.decode("utf-8", "surrogateescape").split("\0")
    try:
        given = vars(parser_of(INGEST).parse_args(arguments))
    except SystemExit:  # --help
        return
    for item in INGEST.outputs:
        location.is_remote(given.pop(item.name, ""))
    for name in ("executor_input", "verbose"):
        given.pop(name, None)
    Shaper(INGEST.parameters.checked(given))  # type: ignore[arg-type]


def _schema(content: bytes, folder: Path) -> None:
    (folder / "schema.json").write_bytes(content)
    schema.obtain(str(folder / "schema.json"))


def _record(name: str) -> Run:
    def run(content: bytes, folder: Path) -> None:
        seeds.recorded(folder)
        (folder / name).write_bytes(content)
        record = records.read(folder)
        list(command.describe(record))
        for kind in command.KINDS:
            list(command.rows(record, kind))
        record.sheet()
        diagnose(record, RULES)
        made = folder / "made"
        made.mkdir()
        write_parquet(record, noise.measure(record), made)
        write_events(record, made)

    return run


def _dataset(name: str) -> Run:
    def run(content: bytes, folder: Path) -> None:
        for split in ("test",):
            datasets.write(folder, split, iter([seeds.IMAGES]), seeds.LABELS, None, ["a", "b", "c", "d"])
        (folder / name).write_bytes(content)
        split_read = datasets.read(folder, "test")
        assert split_read.images[:].sum() >= 0
        assert split_read.images[len(split_read.labels) - 1].sum() >= 0
        datasets.origins(folder, "test")

    return run


def _summary(content: bytes, folder: Path) -> None:
    made = folder / "runs" / "2026-11-25_18-04-05"
    made.mkdir(parents=True)
    (made / "summary.json").write_bytes(content)
    assert "2026-11-25_18-04-05" in page(WORKFLOW, folder, now=folder)


def _cluster(content: bytes, _: Path) -> None:
    text = content.decode("utf-8", "surrogateescape")
    for name in ("node_selector", "tolerations", "cpu", "s3_secret"):
        try:
            Cluster.checked({name: text})
        except StepError as error:
            fit(str(error))


def _spec(content: bytes, folder: Path) -> None:
    from components.artifacts.model.folder import SPEC, _spec  # noqa: PLC0415 - TensorFlow takes long

    (folder / SPEC).write_bytes(content)
    _spec(folder / SPEC)


def _npz_of(content: bytes) -> bytes:
    return seeds.zipped({"images.npy": content, "labels.npy": seeds.npy()[2]})


def _idx(images: str = "train-images-idx3-ubyte", **beside: bytes) -> Run:
    return _file(images, **{"train-labels-idx1-ubyte": seeds.idx_labels()[0]} | beside)


def _labels(content: bytes, folder: Path) -> None:
    _source("train-labels-idx1-ubyte", content, folder, **{"train-images-idx3-ubyte": seeds.idx_images()[0]})


TARGETS: dict[str, Target] = {
    "idx-images": Target(_idx(), seeds.idx_images),
    "idx-labels": Target(_labels, seeds.idx_labels),
    "idx-gzip": Target(_idx(), lambda: [seeds.idx_images()[0]], partial(gzip.compress, mtime=0)),
    "gzip": Target(_idx(), lambda: [gzip.compress(seeds.idx_images()[0], mtime=0)]),
    "npy": Target(_file("images.npz"), seeds.npy, _npz_of),
    "npz": Target(_file("images.npz"), seeds.npz),
    "csv": Target(_file("train.csv", **_pictures_beside()), seeds.csv),
    "metadata-csv": Target(_file("metadata.csv", **_pictures_beside()), seeds.metadata_table),
    "metadata-jsonl": Target(_file("metadata.jsonl", **_pictures_beside()), seeds.metadata_lines, text=True),
    "picture": Target(_file("1/a.png", **_classes_beside()), seeds.pictures),
    "parquet": Target(_file("train.parquet"), seeds.parquet),
    "tfrecord": Target(_file("train.tfrecord"), seeds.tfrecords),
    "example": Target(_file("train.tfrecord"), seeds.examples, seeds.beside_others),
    "tar": Target(_file("train.tar"), seeds.tars),
    "tar-gzip": Target(_file("train.tar.gz"), seeds.tars, partial(gzip.compress, mtime=0)),
    "manifest": Target(_manifest, documents.manifests, text=True),
    "lineage": Target(_lineage, documents.lineages, text=True),
    "signed-statement": Target(_envelope, documents.envelopes, text=True),
    "evaluation": Target(_found(judged.Figures), documents.evaluations, text=True),
    "diagnosis": Target(_found(judged.Diagnosis), documents.diagnoses, text=True),
    "executor-input": Target(_executor_input, documents.executor_inputs, text=True),
    "form": Target(_form, documents.executor_inputs, text=True),
    "command-line": Target(_command_line, documents.command_lines),
    "schema": Target(_schema, documents.schemas, text=True),
    "dataset-images": Target(_dataset("test-images-00000.npy"), seeds.npy),
    "dataset-labels": Target(_dataset("test-labels.npy"), seeds.npy),
    "record": Target(_record("record.json"), partial(seeds.of_record, "record.json"), text=True),
    "record-steps": Target(_record("steps/00000001.safetensors"),
                           partial(seeds.of_record, "steps/00000001.safetensors")),
    "record-sheet": Target(_record("sheet.safetensors"), partial(seeds.of_record, "sheet.safetensors")),
    "run-summary": Target(_summary, documents.summaries, text=True),
    "cluster": Target(_cluster, lambda: [b'{"disk": "ssd"}', b'[{"key": "gpu", "operator": "Exists"}]', b'"500m"'],
                      text=True),
    "model-spec": Target(_spec, documents.specs, text=True),
}  # fmt: skip


def examples_of(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield what is known of a target, by what it is called: the seeds, and the kept corpus."""
    yield from ((f"seed {i}", each) for i, each in enumerate(TARGETS[name].seeds()))
    corpus = Path(__file__).parent / "corpus" / name
    yield from ((path.name, path.read_bytes()) for path in sorted(corpus.glob("*")))
