"""Images in several files, read like one array, some at a time: never all of them are in memory."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import later
from components.contract.errors import BadInput

Pixels = npt.NDArray[np.uint8]
PIECE = 2**22  # bytes that are copied at a time
MAPPED = 2  # files at a time: what is mapped counts as memory of the process


class Shards:
    """Images, uint8 [n, height, width] or [n, height, width, 3], as they are in the files `paths`, one after the other.

    It is asked as an array is, by a number, a slice, or an array of numbers, and gives arrays: those of a slice within
    one file are mapped from it, all others are copies. `shard` is how many images each file but the last has.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, paths: Sequence[Path], first: Pixels, count: int) -> None:
        """Take the files, what the first of them holds, and how many images there are in all."""
        self._paths = paths
        self.shape: tuple[int, ...] = (count, *first.shape[1:])
        self.shard = len(first)
        self._file = lru_cache(MAPPED)(self._opened)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """How many dimensions there are, 3 or 4."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return int(np.prod(self.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Return all images, in memory."""
        return np.array(self[:], dtype)

    def __iter__(self) -> Iterator[Pixels]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, chosen: Any) -> Pixels:
        if isinstance(chosen, int | np.integer):
            number = range(len(self))[chosen]  # which raises IndexError for one that is none
            image: Pixels = self._file(number // self.shard)[number % self.shard]
            return image
        if isinstance(chosen, slice):
            numbers = range(len(self))[chosen]
            if numbers.step == 1 and numbers and numbers[0] // self.shard == numbers[-1] // self.shard:
                first = numbers[0] % self.shard
                part: Pixels = self._file(numbers[0] // self.shard)[first : first + len(numbers)]
                return part
            chosen = np.arange(numbers.start, numbers.stop, numbers.step)
        chosen = np.asarray(chosen)
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise IndexError("images are asked for by a number, a slice or some numbers; images[:] is an array of all")
        made = np.empty((len(chosen), *self.shape[1:]), np.uint8)
        self.into(made, chosen.astype(np.int64))
        return made

    def into(self, made: Pixels, numbers: npt.NDArray[Any]) -> None:
        """Copy the images of those numbers, [n], to `made`, [n, …], a file at a time."""
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"images are 0 to {len(self) - 1}, not {numbers.min()} to {numbers.max()}")
        order = np.argsort(numbers, kind="stable")
        files, places = np.divmod(numbers[order], self.shard)
        for file in np.unique(files):
            there, array = np.flatnonzero(files == file), self._file(int(file))
            for some in np.array_split(there, -(-len(there) * array[0].size // PIECE)):
                made[order[some]] = array[places[some]]

    def _opened(self, number: int) -> Pixels:
        array = mapped(self._paths[number], np.uint8)
        expected = (min(self.shard, len(self) - number * self.shard), *self.shape[1:])
        if array.shape != expected:
            raise BadInput(
                f"{self._paths[number]} has the shape {array.shape}, expected {expected}; make the data set again"
            )
        return array


def mapped(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return the array in a file, mapped: what a header announces and the file does not hold takes no memory."""
    array = later.use(path, _read)
    if array.dtype != kind:
        raise BadInput(f"{path} holds {array.dtype}, expected {np.dtype(kind)}; give the dataset that ingest made")
    return array


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise BadInput(f"there is no {path}; give the dataset that ingest made") from None
    except Exception as error:  # noqa: BLE001 - the header is a text of Python's, and may be wrong in all its ways
        raise BadInput(f"{path} is damaged: {str(error).partition(':')[0]}; make the data set again") from None
