"""Parquet, as on the Hugging Face Hub: a row for each image.

    data/train-00000-of-00002.parquet  data/test-00000-of-00001.parquet      or folders train, or split=train
    image   struct<bytes, path>, bytes, a path, or numbers: lists, lists of lists, tensors, or a column for each pixel
    label   numbers, with their names if the file says them, or texts

Columns that a folder names, as `label=7`, count as columns.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract import outside
from components.contract.errors import BadInput, is_disk_full
from components.ingest.forms import Batch, Fields, _rows
from components.ingest.forms._bounds import portions
from components.ingest.forms._columns import is_text, is_whole, numbers_of, ragged, values_of
from components.ingest.forms._files import Beside
from components.ingest.forms._heads import brief, disguise
from components.ingest.forms._names import ending, find, in_order, listed, say_unused, split_of_path
from components.ingest.forms._parquet import CHUNK, errors_of_the_library, rows_at_once, within_bounds
from components.ingest.forms._pictures import Pictures
from components.ingest.forms._rows import Rows, narrowed, squared
from components.ingest.place import Place

_USUAL = {
    "image": tuple(dict.fromkeys(_rows.IMAGE + _rows.PATH)), "label": _rows.LABEL, "split": _rows.SPLIT,
    "group": _rows.GROUP, "weight": _rows.WEIGHT,
}  # fmt: skip


def recognised(place: Place) -> str:
    """Return which files there are."""
    names = _files(place)
    return f"Parquet files {listed(names)}" if names else ""


def _files(place: Place) -> list[str]:
    return in_order(ending(place.names, r"\.(?:parquet|pq)"))


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the images of each file."""
    import pyarrow as pa  # noqa: PLC0415 - every form is asked what it recognises, and this takes long to import
    import pyarrow.parquet as pq  # noqa: PLC0415

    pictures, said, unlabelled = Pictures(), list[set[str]](), list[str]()
    for name in _files(place):
        with place.file(name) as path:
            try:
                # Without buffers before it, so that of a group of rows no more is in memory than what is read.
                with pq.ParquetFile(path, pre_buffer=False, buffer_size=outside.PIECE) as file:
                    with errors_of_the_library():
                        rows = rows_at_once(name, file.metadata)
                    beside = Beside(place, name, pictures)
                    one = _File(place, name, file.schema_arrow, fields, pictures, beside, said, unlabelled)
                    yield from one.batches(file, rows)
            except MemoryError:
                raise BadInput(f"{name}: a row takes more memory than there is, so it is hardly an image") from None
            except (pa.ArrowException, UnicodeDecodeError, OverflowError, OSError) as error:
                if is_disk_full(error):
                    raise
                raise BadInput(f"{name} is no sound Parquet file: {_why(path, error)}") from None
    pictures.say()
    if unlabelled:
        print(
            f"parquet: left out, as their label is -1, which is none: {len(unlabelled):,} images, {listed(unlabelled)}"
        )


def _why(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        head = file.read(256)
    if head[:4] == b"PAR1" and "magic" in str(error):
        return "it begins as one, but its end is missing: it is truncated"
    return f"it {what}" if (what := disguise(head)) else brief(error)


@dataclass
class _File:
    """A file, and what its columns are."""

    place: Place
    name: str
    schema: Any
    fields: Fields
    pictures: Pictures
    beside: Beside
    said: list[set[str]]  # which columns are used, where it was said that the others are not
    unlabelled: list[str]  # the images that have no label

    def batches(self, file: Any, rows: int) -> Iterator[Batch]:
        folders = dict(part.split("=", 1) for part in self.name.split("/")[:-1] if "=" in part)
        if twice := sorted(name for name, times in Counter(self.schema.names).items() if times > 1):
            raise BadInput(f"{self.name} has more than one column {twice[0]!r}; give each a name of its own")
        names = [*self.schema.names, *(name for name in folders if name not in self.schema.names)]
        known = {
            kind: find(names, getattr(self.fields, kind), usual, f"{kind}_field", self.name)
            for kind, usual in _USUAL.items()
        }
        pixels = [] if known["image"] else [name for name in self.schema.names if name not in known.values()]
        if not known["label"] or not (known["image"] or len(pixels) > 1):
            lacking = "image" if known["label"] else "label"
            raise BadInput(
                f"{self.name} has no column for the {lacking}: it has {', '.join(names[:12])}; name it with "
                f"`{lacking}_field`"
            )
        used = {*pixels, *known.values()}
        if used not in self.said:
            say_unused("parquet", self.name, names, used)
            self.said.append(used)
        columns = pixels + [name for name in known.values() if name in self.schema.names]
        class_names = self._class_names(known["label"])
        start = 0
        for table in within_bounds(file.iter_batches(rows, columns=columns, use_threads=False)):
            if not table.num_rows:
                continue
            origins = [f"{self.name} {i}" for i in range(start, start + table.num_rows)]
            start += table.num_rows
            if class_names and is_whole(table.column(known["label"])):
                table, origins = self._labelled(table, known["label"], origins)  # noqa: PLW2901
                if not origins:
                    continue
            values = {
                f"{kind}s": values_of(table.column(name)) if name in columns else [folders[name]] * len(origins)
                for kind, name in known.items() if name and kind != "image"
            }  # fmt: skip
            for part, images in self._images(table, known["image"], pixels, origins):
                these = {kind: each[part] for kind, each in values.items()}
                yield from Rows(images, origins[part], **these).batches(split_of_path(self.name), class_names)

    def _labelled(self, table: Any, label: str, origins: list[str]) -> tuple[Any, list[str]]:
        """Return the rows with a label; the datasets library marks with -1 what those who compete are to find out."""
        labels = table.column(label).to_numpy()
        self.unlabelled.extend(origins[i] for i in np.flatnonzero(labels == -1))
        kept = np.flatnonzero(labels != -1)
        return table.take(kept), [origins[i] for i in kept]

    def _class_names(self, label: str) -> list[str]:
        """Return the names of the classes that the datasets library has written into the file, if it has."""
        try:
            text = (self.schema.metadata or {}).get(b"huggingface", b"{}")
            said = outside.document(text, f"{self.name}: what it has from the datasets library")
            return [str(name) for name in said["info"]["features"][label]["names"]]
        except (KeyError, TypeError):
            return []

    def _images(self, table: Any, image: str, pixels: list[str], origins: list[str]) -> Iterator[tuple[slice, Any]]:
        """Yield the images of some rows, and which rows these are."""
        if pixels:
            columns = [numbers_of(table.column(name), name, origins) for name in pixels]
            yield slice(None), squared(narrowed(np.stack(columns, axis=1)), self.name)
            return
        column = table.column(image)
        if hasattr(column.type, "shape"):
            yield slice(None), column.to_numpy_ndarray()
            return
        column = getattr(column, "storage", column)  # another extension's
        if is_text(column.type) or hasattr(column.type, "fields"):
            yield from self._pictures(column, origins)
        elif hasattr(column.type, "value_type"):
            yield slice(None), self._lists(column, image, origins)
        else:
            raise BadInput(
                f"{self.name}: the column {image} is {column.type}, expected pictures (bytes, or a struct with bytes), "
                "names of files, or lists of numbers; name another one with `image_field`"
            )

    def _pictures(self, column: Any, origins: list[str]) -> Iterator[tuple[slice, list[npt.NDArray[Any]]]]:
        """Yield the pictures of a column of bytes, of names of files, or of both, some at a time."""
        contents, paths = ([None] * len(column) for _ in range(2))
        if hasattr(column.type, "fields"):
            fields = {
                field.name: values_of(part) for field, part in zip(column.type.fields, column.flatten(), strict=True)
            }
            contents, paths = fields.get("bytes", contents), fields.get("path", paths)
        elif "string" in str(column.type):
            paths = values_of(column)
        else:
            contents = values_of(column)
        for content, path, origin in zip(contents, paths, origins, strict=True):
            if content is None and not path:
                raise BadInput(f"{origin}: the image is missing; take the row out, or give it one")
            if not isinstance(content, bytes | None):
                raise BadInput(f"{origin}: the bytes of the image are {str(content)[:40]!r}, expected bytes")
        named = [
            (path, origin) for content, path, origin in zip(contents, paths, origins, strict=True) if content is None
        ]
        parts = self.beside.images([path for path, _ in named], [origin for _, origin in named])
        files = (image for _, images in parts for image in images)
        each = (
            next(files) if content is None else self.pictures(content, origin)
            for content, origin in zip(contents, origins, strict=True)
        )
        start = 0
        for portion in portions(each, CHUNK):
            yield slice(start, start + len(portion)), portion
            start += len(portion)

    def _lists(self, column: Any, image: str, origins: list[str]) -> Any:
        """Return the images of a column of lists of numbers, or of lists of lists."""
        if column.null_count:
            raise BadInput(f"{origins[column.is_null().index(True).as_py()]}: the image is missing; take the row out")
        shape, flat = [], column
        while hasattr(flat.type, "value_type"):
            lengths = (
                set(flat.value_lengths().unique().to_pylist())
                if not hasattr(flat.type, "list_size")
                else {flat.type.list_size}
            )
            if len(lengths) != 1 or None in lengths:
                return [ragged(value, origin) for value, origin in zip(column.to_pylist(), origins, strict=True)]
            shape.append(lengths.pop())
            flat = flat.flatten()
        values = numbers_of(flat, image, origins, math.prod(shape)).reshape(len(column), *shape)
        return squared(narrowed(values), self.name) if len(shape) == 1 else narrowed(values)
