"""The pages, made once."""

from pathlib import Path

import pytest

from tests.pages.specimens import specimens


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages by what they show."""
    return specimens(tmp_path_factory.mktemp("pages"))
