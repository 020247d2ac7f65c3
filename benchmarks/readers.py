"""Ways to bring images that memory does not hold to train's steps, for `benchmarks.larger speed`.

Each takes a run, the data set and the options, and returns what gives the windows of some steps. Those of others make
the images of a few steps at a time, ahead of them.
"""

import argparse
import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CALL = 8  # steps that others make the images of at a time
THREADS = 2  # of Grain's: as many as the machine has cores
Windows = Callable[[int, int], contextlib.AbstractContextManager[Iterator[Any]]]


def ours(run: Any, _dataset: Path, _options: argparse.Namespace) -> Windows:
    """Return the windows of train."""
    return run.feed.windows  # type: ignore[no-any-return]


def tf_data(run: Any, dataset: Path, options: argparse.Namespace) -> Windows:
    """Return those of tf.data from the same files, which are records of a fixed length to it.

    It shuffles as many images as a window has.
    """
    import tensorflow as tf

    shape = run.splits[0].images.shape[1:]
    size = math.prod(shape)
    paths = sorted(str(path) for path in dataset.glob("train-images-*.npy"))
    labels = tf.data.Dataset.from_tensor_slices(run.splits[0].labels)
    records = tf.data.FixedLengthRecordDataset(paths, size, header_bytes=128)
    chosen = tf.data.Dataset.zip((records, labels)).shuffle(options.window * 2**20 // size, seed=0)
    batch = options.batch * CALL
    made = chosen.batch(batch, drop_remainder=True).map(
        lambda raw, label: (tf.reshape(tf.io.decode_raw(raw, tf.uint8), (batch, *shape)), label)
    )
    return _given(made.repeat().prefetch(2), options)


def grain(_run: Any, dataset: Path, options: argparse.Namespace) -> Windows:
    """Return those of Grain from the same images as ArrayRecord, one a record, which it shuffles as a whole."""
    import grain as library
    import tensorflow as tf
    from array_record.python.array_record_module import ArrayRecordWriter
    from grain.sources import ArrayRecordDataSource

    from components.artifacts import dataset as datasets

    images, labels, _ = datasets.read(dataset, "train")
    path = str(dataset / "train.array_record")
    writer = ArrayRecordWriter(path, "group_size:1,uncompressed")
    for image, label in zip(images, labels, strict=True):
        writer.write(bytes([label]) + image.tobytes())
    writer.close()

    def parsed(record: bytes) -> tuple[Any, Any]:
        return np.frombuffer(record, np.uint8, offset=1).reshape(images.shape[1:]), np.int32(record[0])

    made = library.MapDataset.source(ArrayRecordDataSource([path])).shuffle(seed=0).repeat().map(parsed)
    batches = made.batch(options.batch * CALL)
    threads = library.ReadOptions(num_threads=THREADS, prefetch_buffer_size=2)
    read = ((tf.constant(some), tf.constant(answers)) for some, answers in batches.to_iter_dataset(threads))
    return _given(read, options)


def _given(read: Iterable[tuple[Any, Any]], options: argparse.Namespace) -> Windows:
    from components.train.machine.data import Split
    from components.train.machine.windows import Window

    order = np.arange(options.batch * CALL, dtype=np.int32).reshape(CALL, options.batch)

    def windows(at: int, _last: int) -> Iterator[Window]:
        for images, answers in read:
            yield Window(at, Split(images, answers), order)
            at += CALL

    return lambda at, last: contextlib.nullcontext(windows(at, last))


READERS: dict[str, Callable[[Any, Path, argparse.Namespace], Windows]] = {
    "in memory": ours, "windows": ours, "tf.data": tf_data, "Grain": grain,
}  # fmt: skip
