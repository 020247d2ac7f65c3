"""The order in which the steps see the images, and how the images come to them where memory does not hold them all.

What memory holds is one window, in an order that is drawn anew for each epoch. Of what is larger the shards are drawn,
and of as many of them as a window has room for the images; those that fill no step at a window's end are the first of
the next one. It is read in a thread, while the steps see the one before it. All this follows from the seed, the epoch
and the data set, so a run that is resumed needs no state for it.
"""

import concurrent.futures
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from components.artifacts.shards import Pixels, Shards
from components.train.machine.data import MIB, Split, placed, room_for

T = TypeVar("T")
GRACE_SECONDS = 2  # for the thread to come to its end

Numbers = npt.NDArray[np.int64]


class Window(NamedTuple):
    """Some steps: `order`, int32 [steps, images], says which images of `split` each of them sees."""

    step: int  # after which they come
    split: Split
    order: npt.NDArray[np.int32]

    @property
    def end(self) -> int:
        """The last of the steps."""
        return self.step + len(self.order)


@dataclass(frozen=True)
class Feed:
    """The training images, in the order of each epoch, for steps of `batch` images."""

    split: Split  # its images are a tensor, or shards, of which some are read at a time
    seed: int
    batch: int
    megabytes: int  # of a window

    @property
    def steps(self) -> int:
        """Steps of an epoch; the few images left over are others in each."""
        return len(self.split.labels) // self.batch

    def first(self) -> Window:
        """Return the first step of all, without the images of others where these are not in memory."""
        chosen = self.order(1)[0][: self.batch]
        if isinstance(self.split.images, Shards):
            return Window(0, placed(self.split, chosen, self.split.images[chosen]), _rows(self.batch, self.batch))
        return Window(0, self.split, chosen.astype(np.int32)[np.newaxis])

    @contextmanager
    def windows(self, step: int, last: int) -> Iterator[Iterator[Window]]:
        """Give the windows of the steps after `step`, up to `last`; none has steps of two epochs."""
        if isinstance(self.split.images, Shards):
            with ahead(self._read(self.split.images, step, last)) as read:
                yield read
        else:
            yield self._whole(step, last)

    def order(self, epoch: int) -> tuple[Numbers, list[int]]:
        """Return which image comes when in an epoch, int64 [n], and where in it each window ends."""
        images, count = self.split.images, len(self.split.labels)
        random = np.random.default_rng((self.seed, epoch))
        if not isinstance(images, Shards):
            return random.permutation(count), [count]
        shards = random.permutation(-(-count // images.shard))
        together = max(1, self.megabytes * MIB // (images.shard * math.prod(images.shape[1:])))
        parts = []
        for start in range(0, len(shards), together):
            firsts = shards[start : start + together] * images.shard
            held = [np.arange(first, min(first + images.shard, count)) for first in firsts]
            parts.append(random.permutation(np.concatenate(held)))
        return np.concatenate(parts), np.cumsum([len(part) for part in parts]).tolist()

    def _whole(self, step: int, last: int) -> Iterator[Window]:
        while step < last:
            chosen, done = self.order(step // self.steps + 1)[0], step % self.steps
            order = chosen[: self.steps * self.batch].reshape(self.steps, self.batch).astype(np.int32)
            yield Window(step, self.split, order[done:])
            step += self.steps - done

    def _read(self, images: Shards, step: int, last: int) -> Iterator[Window]:
        """Yield the windows, each read when it is asked for."""
        while step < last:
            order, ends = self.order(step // self.steps + 1)
            kept = np.empty((0, *images.shape[1:]), np.uint8)
            at = step % self.steps * self.batch  # what is before it in the order was seen
            for end in np.minimum(ends, self.steps * self.batch).tolist():
                if end > at:
                    split, kept = self._filled(images, order[at:end], kept)
                    steps = len(split.labels) // self.batch if split else 0
                    if split:
                        yield Window(step, split, _rows(len(split.labels), self.batch))
                    del split  # the steps have seen it
                    step, at = step + steps, at + steps * self.batch

    def _filled(self, images: Shards, numbers: Numbers, kept: Pixels) -> tuple[Split | None, Pixels]:
        """Return the images of whole steps, if any, and those that are left; the first of the numbers are in `kept`."""
        made = room_for((len(numbers), *images.shape[1:]))
        made[: len(kept)] = kept
        images.into(made[len(kept) :], numbers[len(kept) :])
        whole = len(numbers) // self.batch * self.batch
        return placed(self.split, numbers[:whole], made[:whole]) if whole else None, made[whole:].copy()


def _rows(count: int, batch: int) -> npt.NDArray[np.int32]:
    return np.arange(count, dtype=np.int32).reshape(-1, batch)


@contextmanager
def ahead(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Give what an iterator does, none of it None; each is made in a thread while the one before is used."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    coming = pool.submit(next, items, None)

    def taken() -> Iterator[T]:
        nonlocal coming
        while (found := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield found
            del found  # before the next one is waited for

    try:
        yield taken()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        concurrent.futures.wait([coming], GRACE_SECONDS)
