"""Tables as text, `.csv` or `.tsv`, gzipped or not: a row for each image, with its pixels or its file.

    train.csv   label,pixel0,…,pixel783         Kaggle's digit-recognizer and Fashion-MNIST, with or without a header
    labels.csv  file_name,label,split,group,weight    only the first two are needed; the files lie beside it

A table without labels, as Kaggle's test.csv, has nothing to learn from; it is left out, and that is said.
"""

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields, _rows
from components.ingest.forms._bounds import COLUMNS
from components.ingest.forms._files import Beside
from components.ingest.forms._heads import brief, disguise
from components.ingest.forms._names import ending, find, in_order, listed, say_unused, split_of_path
from components.ingest.forms._rows import Rows, narrowed, squared
from components.ingest.place import Place

_METADATA = "metadata.csv"  # belongs to image folders
_BLOCK = 2**20  # bytes of text at a time
_PASSED_OVER = ("", "id", "imageid", "index", "unnamed: 0")


def recognised(place: Place) -> str:
    """Return which tables there are."""
    names = _files(place)
    return f"tables {listed(names)}" if names else ""


def _files(place: Place) -> list[str]:
    return [name for name in ending(place.names, r"\.[ct]sv(?:\.gz)?") if name.split("/")[-1].lower() != _METADATA]


@dataclass(frozen=True)
class _Table:
    """How a table is laid out: what its columns are called, and which of them are what."""

    name: str
    columns: list[str]
    delimiter: str
    header: bool
    known: dict[str, str]  # label, split, group, weight, path: the column, if there is one
    pixels: list[str]


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the images of each table with labels, in the order of the files."""
    without = []
    for name in in_order(_files(place)):
        with place.file(name) as path:
            table = _layout(name, path, fields)
            if not table.known["label"] or not (table.pixels or table.known["path"]):
                without.append(name)
                continue
            say_unused("csv", name, table.columns, {*table.pixels, *table.known.values()})
            yield from _batches(place, table, path)
    if len(without) == len(_files(place)):
        raise BadInput(
            f"{listed(without)}: no column is called label, or none holds images; name them with `label_field` and "
            "`image_field`"
        )
    if without:
        print(f"csv: left out, as they have no labels or no images: {listed(without)}")


def _layout(name: str, path: Path, fields: Fields) -> _Table:
    first = _first_line(name, path)
    delimiter = max("\t;,", key=first.count)
    try:
        cells = next(csv.reader([first], delimiter=delimiter))
    except csv.Error as error:
        raise BadInput(f"{name} line 1: it is no row of a table: {error}") from None
    if len(cells) > COLUMNS:
        raise BadInput(f"{name} line 1: there are {len(cells):,} columns, more than the {COLUMNS:,} that are read")
    if all(_is_number(cell) for cell in cells):
        # What had no names may have been given numbers, 0 to 784 say: other than pixels, they are all different.
        numbered = len(set(cells)) == len(cells) and (len(cells) > 256 or cells == list(map(str, range(len(cells)))))
        columns = ["label", *(f"pixel{i}" for i in range(len(cells) - 1))]
        return _Table(name, columns, delimiter, numbered, dict.fromkeys(_USUAL, "") | {"label": "label"}, columns[1:])
    if twice := sorted(cell for cell, times in Counter(cells).items() if times > 1):
        raise BadInput(f"{name} line 1: there is more than one column {twice[0]!r}; give each a name of its own")
    known = {}
    for kind, usual in _USUAL.items():
        asked = getattr(fields, "image" if kind == "path" else kind)
        known[kind] = find(cells, asked, usual, f"{'image' if kind == 'path' else kind}_field", name)
    others = [cell for cell in cells if cell not in known.values() and cell.strip().lower() not in _PASSED_OVER]
    return _Table(name, cells, delimiter, True, known, [] if known["path"] else others)


_USUAL = {"path": _rows.PATH, "label": _rows.LABEL, "split": _rows.SPLIT, "group": _rows.GROUP, "weight": _rows.WEIGHT}


def _first_line(name: str, path: Path) -> str:
    with path.open("rb") as plain:
        packed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        try:
            with gzip.open(plain) if packed else plain as file:
                head = file.read(2**20)
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            raise BadInput(f"{name} is a damaged gzip file: {brief(error)}") from None
    if what := disguise(head):
        raise BadInput(f"{name} is no table: it {what}")
    try:
        return (
            io.StringIO(head.decode("utf-8-sig", errors="strict" if len(head) < 2**20 else "ignore"))
            .readline()
            .rstrip("\r\n")
        )
    except UnicodeDecodeError as error:
        raise BadInput(f"{name} is no table in UTF-8: at byte {error.start} stands {head[error.start]:02x}") from None


def _is_number(cell: str) -> bool:
    """Tell whether a cell is a number as tables have it; Python's own may have blanks and underscores besides."""
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell and cell == cell.strip()


def _batches(place: Place, table: _Table, path: Path) -> Iterator[Batch]:
    beside = Beside(place, table.name)
    split = split_of_path(table.name)
    row = 1 + table.header
    for block in _blocks(table, path):
        origins = [f"{table.name} line {i}" for i in range(row, row + block.num_rows)]
        row += block.num_rows
        columns: dict[str, Any] = {kind: _values(block, name) for kind, name in table.known.items() if name}
        more = {f"{kind}s": columns[kind] for kind in ("split", "group", "weight") if kind in columns}
        if table.pixels:
            yield from Rows(_pixels(block, table, origins), origins, columns["label"], **more).batches(split)
            continue
        for part, images in beside.images(columns["path"], origins):
            yield from Rows(
                images, beside.resolved, columns["label"][part],
                **{name: values[part] for name, values in more.items()},
            ).batches(split)  # fmt: skip
    if row == 1 + table.header:
        raise BadInput(f"{table.name} has a header, but no rows")
    beside.say()


def _values(block: Any, name: str) -> Any:
    column = block.column(name)
    return column.to_pylist() if column.null_count or not str(column.type).startswith("int") else column.to_numpy()


def _blocks(table: _Table, path: Path) -> Iterator[Any]:
    """Yield record batches of the table's rows; raise `BadInput` for a row that is not like the others."""
    import pyarrow as pa  # noqa: PLC0415 - every form is asked what it recognises, and this takes long to import
    from pyarrow import csv as arrow  # noqa: PLC0415

    kinds = {name: pa.string() for kind, name in table.known.items() if name and kind in ("path", "split", "group")}

    def opened() -> Any:
        return arrow.open_csv(
            pa.input_stream(str(path), compression="gzip" if _is_gzipped(path) else None),
            read_options=arrow.ReadOptions(
                block_size=_BLOCK if table.pixels else 64 * _BLOCK,  # types are those of the first block
                column_names=table.columns, skip_rows=int(table.header), use_threads=False,
            ),
            parse_options=arrow.ParseOptions(delimiter=table.delimiter, ignore_empty_lines=False),
            convert_options=arrow.ConvertOptions(
                column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=True
            ),
        )  # fmt: skip

    try:
        reader = opened()
        if any(pa.types.is_floating(reader.schema.field(name).type) for name in table.pixels):
            # A pixel at the edge may be 0 in all of the first rows, and a fraction later.
            kinds |= dict.fromkeys(table.pixels, pa.float64())
            reader = opened()
        yield from reader
    except pa.ArrowInvalid as error:
        raise BadInput(f"{table.name} is no table of one kind: {brief(error)}") from None
    except OSError as error:
        raise BadInput(f"{table.name} is damaged: {brief(error)}") from None


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _pixels(block: Any, table: _Table, origins: list[str]) -> npt.NDArray[Any]:
    """Return the pixels, [n, side, side]: bytes if they are, otherwise int64 or float64."""
    found = []
    for name in table.pixels:
        column = block.column(name)
        if column.null_count or str(column.type) not in ("int64", "double"):
            wrong = next((i for i, value in enumerate(column.to_pylist()) if not _is_number(str(value))), 0)
            value = column[wrong].as_py()
            raise BadInput(
                f"{origins[wrong]}: pixel {name} is {'missing' if value is None else repr(value)}, expected a number"
            )
        found.append(column.to_numpy())
    pixels = np.stack(found, axis=1)
    return squared(narrowed(pixels), table.name)
