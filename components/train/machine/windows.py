"""The order in which the steps see the images, and how the images come to them where memory does not hold them all.

What memory holds is one window, in an order that is drawn anew for each epoch. Of what is larger the shards are drawn,
and of as many of them as a window has room for the images; those that fill no step at a window's end are the first of
the next one. It is read in a thread, while the steps see the one before it. All this follows from the seed, the epoch,
the data set, and how many devices share a step, so a run that is resumed needs no state for it.
"""

import concurrent.futures
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from components.artifacts.shards import Shards
from components.contract.errors import BadInput
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
    """The training images, in the order of each epoch, for steps of `batch` images.

    Devices share a step's images, in equal parts that follow each other: there are `shares` of them. Where memory does
    not hold all images, each share has shards of its own, so that a worker, whose part of a step is `own`, reads, and
    fetches, no others.
    """

    split: Split  # its images are a tensor, or shards, of which some are read at a time
    seed: int
    batch: int
    megabytes: int  # of a window of all shares
    shares: int = 1
    own: slice = field(default_factory=lambda: slice(None))

    @cached_property
    def steps(self) -> int:
        """Steps of an epoch; the few images left over are others in each."""
        images, count = self.split.images, len(self.split.labels)
        if not isinstance(images, Shards):
            return count // self.batch
        held = [sum(len(_held(images, shard)) for shard in shards) for shards in self._shards(images)]
        return min(held) // (self.batch // self.shares)

    def require(self) -> None:
        """Raise `BadInput` where there is no step at all."""
        count = len(self.split.labels)
        if not self.steps and count < self.batch:
            raise BadInput(f"batch_size: {self.batch} images a step, but there are only {count} to train on")
        if not self.steps:
            raise BadInput(
                f"batch_size: {self.batch} images a step, but one of the {self.shares} devices that share them has too "
                "few in its shards; give fewer workers or replicas, or a larger shuffle_window"
            )

    def first(self) -> Window:
        """Return the first step of all, without the images of others where these are not in memory."""
        chosen = self.order(1)[0][:1]
        if isinstance(self.split.images, Shards):
            return self._read(self.split.images, 0, chosen)
        return Window(0, self.split, chosen.astype(np.int32))

    @contextmanager
    def windows(self, step: int, last: int) -> Iterator[Iterator[Window]]:
        """Give the windows of the steps after `step`, up to `last`; none has steps of two epochs."""
        if isinstance(self.split.images, Shards):
            with ahead(self._windows(step, last)) as read:
                yield read
        else:
            yield self._windows(step, last)

    def order(self, epoch: int) -> tuple[Numbers, list[int]]:
        """Return the images of each step of an epoch, int64 [steps, batch], and after which steps a window ends."""
        images, count, steps = self.split.images, len(self.split.labels), self.steps
        random = np.random.default_rng((self.seed, epoch))
        if not isinstance(images, Shards):
            return random.permutation(count)[: steps * self.batch].reshape(steps, self.batch), [steps]
        part = self.batch // self.shares
        together = max(1, self.megabytes * MIB // (images.shard * math.prod(images.shape[1:]) * self.shares))
        columns, ends = [], []
        for shards in self._shards(images):
            drawn = random.permutation(shards)
            groups = [drawn[start : start + together] for start in range(0, len(drawn), together)]
            held = [np.concatenate([_held(images, shard) for shard in group]) for group in groups]
            numbers = np.concatenate([random.permutation(each) for each in held])
            columns.append(numbers[: steps * part].reshape(steps, part))
            ends.append(np.minimum(np.cumsum([len(each) for each in held]) // part, steps))
        # A window ends where that of any share does; those of a share with fewer of them end with the epoch.
        return np.concatenate(columns, axis=1), np.unique(np.concatenate([*ends, [steps]])).tolist()

    def _shards(self, images: Shards) -> list[Numbers]:
        """Return the shards of each share."""
        every = np.arange(-(-len(images) // images.shard))
        return [every[share :: self.shares] for share in range(self.shares)]

    def _windows(self, step: int, last: int) -> Iterator[Window]:
        """Yield the windows, each read when it is asked for."""
        images = self.split.images
        while step < last:
            begun = step - step % self.steps
            order, ends = self.order(begun // self.steps + 1)
            for end in ends:
                chosen = order[max(0, step - begun) : end]
                if len(chosen) and isinstance(images, Shards):
                    yield self._read(images, step, chosen)
                elif len(chosen):
                    yield Window(step, self.split, chosen.astype(np.int32))
                step += len(chosen)

    def _read(self, images: Shards, step: int, chosen: Numbers) -> Window:
        """Read the images of some steps; of each step it has are this process's own, and 0 stands for all others."""
        numbers = chosen[:, self.own]
        made = room_for((numbers.size, *images.shape[1:]))
        first = numbers.shape[1]  # of one step, which may need the files of the window before: while they are there
        images.into(made[:first], numbers[0])
        images.into(made[first:], numbers[1:].reshape(-1))
        order = np.zeros(chosen.shape, np.int32)
        order[:, self.own] = np.arange(numbers.size).reshape(numbers.shape)
        return Window(step, placed(self.split, numbers.reshape(-1), made), order)


def _held(images: Shards, shard: int) -> Numbers:
    """Return the numbers of the images in a shard."""
    return np.arange(shard * images.shard, min((shard + 1) * images.shard, len(images)))


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
