"""Parquet, within bounds: a few bytes may say that they are gigabytes, and some end the process that reads them."""

import faulthandler
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms._bounds import COLUMNS, PIXELS, WHOLE, at_once
from components.ingest.forms._heads import brief

CHUNK = 2048  # rows at a time
_RATIO = 1000  # how many times smaller a column may be packed, if it is large
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}  # bytes of a value in memory


def rows_at_once(name: str, said: Any) -> int:
    """Return how many rows to read at a time, by what the file says of itself; raise `BadInput` for too much."""
    if said.num_columns > COLUMNS:
        raise BadInput(f"{name} has {said.num_columns:,} columns, more than the {COLUMNS:,} that are read")
    if _ends_the_process(lambda: _parts(said)):
        raise BadInput(f"{name}: what it says of its columns is not sound")
    largest = 1.0
    for rows, parts in _parts(said):
        for part in parts:
            if part.total_uncompressed_size > max(WHOLE, _RATIO * part.total_compressed_size):
                raise BadInput(f"{name}: {part.path_in_schema} unpacks to {part.total_uncompressed_size:,} bytes")
        size = sum(
            max(part.total_uncompressed_size, _WIDTHS.get(part.physical_type, 0) * part.num_values) for part in parts
        )
        largest = max(largest, size / max(1, rows))
    if largest > PIXELS * 12:
        raise BadInput(f"{name}: a row has {largest:,.0f} bytes on average, too many for an image")
    return at_once(int(largest), CHUNK)


def _parts(said: Any) -> list[tuple[int, list[Any]]]:
    """Return of each group of rows how many it has, and what is said of each of its columns."""
    groups = [said.row_group(i) for i in range(said.num_row_groups)]
    return [(group.num_rows, [group.column(i) for i in range(group.num_columns)]) for group in groups]


def _ends_the_process(look: Callable[[], object]) -> bool:
    """Tell whether the library ends the process over it, as pyarrow does for a column whose numbers do not fit."""
    child = os.fork()
    if not child:
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            faulthandler.disable()  # nor is it to be told by whoever is told of crashes
            look()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@contextmanager
def errors_of_the_library() -> Iterator[None]:
    """Raise what the library has no error of its own for as one of reading."""
    try:
        yield
    except (RuntimeError, UnicodeError) as error:
        raise OSError(brief(error)) from None


def within_bounds(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield the batches; raise `MemoryError` for one that takes more than WHOLE bytes.

    A value may be there once and be meant in each row, so no size that is said tells what comes of it.
    """
    while True:
        with outside.no_more_memory_than(WHOLE), errors_of_the_library():
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
