"""A store of these tests' own, and artifacts to put into it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.contract import artifact
from components.contract.store.embedded import serve
from tests.soak.ground import BUCKET


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the environment that leads straight to the store."""
    with serve(tmp_path_factory.mktemp("store"), BUCKET) as served:
        yield served


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> str:
    """Return a place of this test's own."""
    return f"s3://{BUCKET}/{request.node.name.translate({ord(each): '-' for each in '[]:, '})}"


def sealed(folder: Path, word: str) -> Path:
    """Make an artifact of four files that say `word`."""
    folder.mkdir()
    for name in "abcd":
        (folder / name).write_text(f"{name} {word} " * 50)
    artifact.seal(folder, component="test", output="test", parameters={}, inputs={})
    return folder
