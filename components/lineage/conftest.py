"""Ten real artifacts, what may be done to them, and the command that is to notice."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from components.conftest import make
from components.contract import artifact
from components.contract.errors import StepError
from components.evaluate.component import COMPONENT as EVALUATE
from components.export.component import COMPONENT as EXPORT
from components.handover.component import COMPONENT as HANDOVER
from components.lineage.command import main

# From arguments, and places to look in, to what was printed, the exit code, and the sentence.
Trace = Callable[..., tuple[str, int, str]]

TEN = (
    "dataset", "trained_model", "gradients", "train-metrics", "gradient_tables", "export-report", "metrics",
    "classification", "evaluate-report", "package",
)  # fmt: skip
# What the package was made from, and it itself; the others hang beside it.
BEHIND = {"package", "trained_model", "dataset", "metrics", "gradient_tables", "gradients"}


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Have no store and no registry but those that a test names."""
    monkeypatch.delenv("TAPELINE_REGISTRY", raising=False)
    monkeypatch.setattr("components.lineage.command.HERE", tmp_path / "no-run")


@pytest.fixture(scope="session")
def chain(ingested: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ten artifacts, of ingest, train, export, evaluate and handover."""
    folder = tmp_path_factory.mktemp("chain")
    shutil.copytree(ingested / "dataset", folder / "dataset")
    for name, kept in (("trained_model", "trained_model"), ("gradients", "gradients"), ("metrics", "train-metrics")):
        shutil.copytree(trained / name, folder / kept)
    data = {"dataset": folder / "dataset", "trained_model": folder / "trained_model"}
    make(EXPORT, {}, {"gradients": folder / "gradients"}, folder)
    (folder / "report").rename(folder / "export-report")
    make(EVALUATE, {"min_accuracy": 0.1}, data, folder)
    (folder / "report").rename(folder / "evaluate-report")
    given = {name: folder / name for name in ("metrics", "gradient_tables")}
    make(HANDOVER, {}, {**data, **given}, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(TEN)
    return folder


@pytest.fixture(scope="session")
def digests(chain: Path) -> dict[str, str]:
    """Return the digest of each of the ten."""
    return {name: artifact.digest(chain / name) for name in TEN}


@pytest.fixture
def trace(chain: Path, capsys: pytest.CaptureFixture[str]) -> Trace:
    """Return a function that traces, and returns what was printed, and how it ended."""

    def traced(*arguments: object, places: Sequence[object] = ()) -> tuple[str, int, str]:
        searched = [word for place in places or [chain] for word in ("--in", str(place))]
        capsys.readouterr()
        try:
            main([*map(str, arguments), *searched])
        except StepError as error:
            return capsys.readouterr().out, error.exit_code, str(error)
        return capsys.readouterr().out, 0, ""

    return traced


def flip(folder: Path, trial: int) -> None:
    """Flip a bit in one of the files."""
    path = _file(folder, trial)
    data = bytearray(path.read_bytes())
    data[(len(data) - 1) * trial // 9] ^= 1 << trial % 8
    path.write_bytes(data)


def remove(folder: Path, trial: int) -> None:
    """Remove one of the files."""
    _file(folder, trial).unlink()


def add(folder: Path, trial: int) -> None:
    """Put a file more there."""
    (folder / f"one-more-{trial}").write_text("")


def edit(folder: Path, trial: int) -> None:
    """Say that it was made another way, in a manifest that is as sound as before."""
    said = json.loads((folder / "manifest.json").read_text())
    said["parameters" if trial % 2 else "versions"]["numpy"] = f"9.{trial}"
    (folder / "manifest.json").write_bytes(artifact.canonical_json(said))


def swap(folder: Path, trial: int) -> None:
    """Put another artifact, with files and manifest that fit each other, in its place."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "file").write_text(str(trial))
    artifact.seal(folder, component="ingest", output="dataset", parameters={}, inputs={})


def _file(folder: Path, trial: int) -> Path:
    files = sorted(artifact.read(folder).files)
    return folder / files[trial * len(files) // 10]
