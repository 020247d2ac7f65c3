# mypy: allow-untyped-defs, allow-untyped-calls
"""No small file takes much memory, or for ever: each is read in a process whose address space is limited."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.bombs import BOMBS, LIMIT

ROOT = Path(__file__).parents[2]
BOUND = 2**28  # bytes that are taken for any of them
# Where the largest thing that is taken for an image, or for a record, is read whole, or a library takes all it may.
LARGE = {
    "a PNG of 49 million pixels, transparent", "a packed record of zeros", "a long value in each row, there once",
}  # fmt: skip


@pytest.fixture(scope="module")
def exploded():
    command = [sys.executable, "-m", "tests.fuzz.bombs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return {each["name"]: each for each in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_little_memory_and_is_refused_in_a_sentence(name, exploded):
    found = exploded[name]
    assert not found["failed"], found["said"]
    assert found["bytes"] < 2**26
    assert found["peak"] < (LIMIT if name in LARGE else BOUND), found
