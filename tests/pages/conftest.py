"""The pages, made once, and a browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import browser, chromium
from tests.pages.specimens import specimens


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages by what they show."""
    return specimens(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="session")
def started() -> Iterator[Browser]:
    """Return a browser."""
    if not chromium():
        pytest.skip("there is no Chromium: as root, apt-get install chromium")
    with browser() as running:
        yield running
