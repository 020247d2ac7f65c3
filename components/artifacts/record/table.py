"""A table that is too long for memory: its rows are read as they were written, and its columns one at a time."""

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput

Rows = npt.NDArray[Any]

TURNED = 2**22  # bytes of the rows that are turned into columns at a time


class Table:
    """n rows of C numbers, of which it holds none.

    In files that were written row by row, each column is everywhere. So the first one that is asked for has all of them
    written to a temporary file without a name, each in one piece: however long or wide the table is, whoever goes
    through its columns reads it twice in all, and holds one of them.
    """

    def __init__(
        self, source: Callable[[], Iterator[Rows]], length: int, width: int, kind: npt.DTypeLike = np.float32
    ) -> None:
        """Take a function that begins to read the rows anew, some at a time, each [k, C]."""
        self._source, self.length, self.width, self.kind = source, length, width, np.dtype(kind)

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Return a table of rows that are in memory."""
        length, width = rows.shape
        return cls(lambda: iter([rows]), length, width, rows.dtype)

    def blocks(self) -> Iterator[Rows]:
        """Yield the rows as they come from their source, [k, C]."""
        return self._source()

    def groups(self, size: int) -> Iterator[Rows]:
        """Yield so many rows at a time, [size, C], and in the end those that are left."""
        kept, count = list[Rows](), 0
        for block in self._source():
            rest = block
            while len(rest):
                taken, rest = rest[: size - count], rest[size - count :]
                kept.append(taken)
                count += len(taken)
                if count == size:
                    yield kept[0] if len(kept) == 1 else np.concatenate(kept)
                    kept, count = [], 0
        if kept:
            yield np.concatenate(kept)

    def whole(self) -> Rows:
        """Return all rows, [n, C], of a table that fits into memory."""
        return np.concatenate([np.empty((0, self.width), self.kind), *self._source()])

    def part(self, columns: slice) -> "Table":
        """Return the table of some columns."""
        width = len(range(*columns.indices(self.width)))

        def source() -> Iterator[Rows]:
            for rows in self._source():
                yield rows[:, columns].copy()  # else whoever keeps a column keeps them all

        return Table(source, self.length, width, self.kind)

    def row(self, number: int) -> Rows:
        """Return one row, [C]."""
        for block in self._source():
            if number < len(block):
                found: Rows = block[number]
                return found
            number -= len(block)
        raise IndexError(number)

    def column(self, number: int) -> Rows:
        """Return one column, [n]."""
        if not 0 <= number < self.width:
            raise IndexError(number)
        values = np.empty(self.length, self.kind)
        _all(os.preadv, self._turned, values, number * values.nbytes)
        return values

    @cached_property
    def _turned(self) -> int:
        """A temporary file with the columns one after the other; it is gone with the table, or with the process."""
        with tempfile.TemporaryFile(prefix="tapeline-") as file:
            descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, descriptor)
        item, at = self.kind.itemsize, 0
        for rows in self.groups(max(1, TURNED // max(1, self.width * item))):
            for number, column in enumerate(np.ascontiguousarray(rows.T)):
                _all(os.pwritev, descriptor, column, (number * self.length + at) * item)
            at += len(rows)
        if at != self.length:
            raise BadInput(
                f"{at:,} rows, where there were {self.length:,}: the files were changed while they were read"
            )
        return descriptor


def _all(call: Callable[[int, list[Any], int], int], descriptor: int, values: Rows, place: int) -> None:
    """Read or write all of an array; a call may do a part of it, such as 2 GiB, or what a disk still takes."""
    rest = values.view(np.uint8)
    while rest.size:
        done = call(descriptor, [rest], place)
        if not done:
            raise OSError(f"a temporary file ends at {place:,} bytes")
        rest, place = rest[done:], place + done
