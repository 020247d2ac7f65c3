"""Folders of pictures, by class: PNG, JPEG, BMP, GIF, TIFF, WebP, PGM.

    train/7/0001.png  test/7/0001.png           the folder is the class, one above it the split, if there is one
    7/0001.png
    train/0001.png  train/metadata.csv          file_name,label,split,group,weight; or metadata.jsonl, a line each

Anything else that lies there is left out, and how much that is is said.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.contract import outside
from components.contract.errors import BadInput
from components.ingest.forms import Batch, Fields, _rows
from components.ingest.forms._files import CHUNK, Beside, decode
from components.ingest.forms._names import ending, find, is_clutter, listed, say_unused, split_of, split_of_path
from components.ingest.forms._pictures import ENDINGS, Pictures
from components.ingest.forms._rows import Rows, is_number
from components.ingest.place import Place

_TABLE = 2**30  # bytes of a table of metadata, which is read whole
_METADATA = r"(?:^|/)metadata\.(?:csv|jsonl)"


def recognised(place: Place) -> str:
    """Return how many pictures there are, if they are in folders of classes, or with a file that says what they are."""
    pictures = ending(place.names, ENDINGS)
    classes = {_class(name) for name in pictures} - {""}
    tables = _tables(place)
    # Folders of splits alone are no classes; but one of many classes may be called train, beside bus and tram.
    if not pictures or not (tables or (len(classes) > 1 and not all(map(split_of, classes)))):
        return ""
    kinds = Counter(name.rpartition(".")[2].upper().replace("JPG", "JPEG") for name in pictures)
    kind = next(iter(kinds)) + " " if len(kinds) == 1 else ""
    where = f"with {listed(tables)}" if tables else f"in folders of {len(classes)} classes"
    return f"{len(pictures):,} {kind}files {where}"


def _tables(place: Place) -> list[str]:
    return [name for name in ending(place.names, rf".*{_METADATA}|metadata\.(?:csv|jsonl)") if name]


def _class(name: str) -> str:
    """Return the folder that a picture is in."""
    return name.rpartition("/")[0].rpartition("/")[2]


def _split(name: str) -> str:
    return split_of_path(name.rpartition("/")[0].rpartition("/")[0])


def read(place: Place, fields: Fields) -> Iterator[Batch]:
    """Yield the pictures, those of a split together, in the order of their names."""
    pictures = ending(place.names, ENDINGS)
    tables = _tables(place)
    _say_left_out(place, {*pictures, *tables})
    if tables:
        yield from _described(place, tables, fields)
        return
    if loose := [name for name in pictures if not _class(name)]:
        raise BadInput(
            f"{loose[0]} is in no folder of a class, but {len(pictures) - len(loose):,} others are; move it there, or "
            f"remove it ({len(loose):,} such in all)"
        )
    _check_depth(pictures)
    decoded = Pictures()
    for split in ("train", "validation", "test", ""):
        names = [name for name in pictures if _split(name) == split]
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            for rows, images in decode(place, chunk, decoded):
                yield from Rows(images, chunk[rows], [_class(name) for name in chunk[rows]]).batches(split)
    decoded.say()


def _check_depth(pictures: Sequence[str]) -> None:
    """Raise `BadInput` if a class's folder is in another class's, as of two sets of images."""
    depths = {name.count("/"): name for name in reversed(pictures)}
    if len(depths) > 1:
        first, other = (depths[depth] for depth in sorted(depths)[:2])
        raise BadInput(
            f"{first} and {other} are at different depths, so which folders are the classes? Put all pictures into "
            "folders of classes side by side, or give the folder of one set of images"
        )


def _say_left_out(place: Place, taken: set[str]) -> None:
    others = [name for name in place.names if name not in taken]
    hidden = [name for name in others if is_clutter(name)]
    if hidden:
        print(f"folders: {len(hidden):,} hidden files were left out: {listed(hidden)}")
    if rest := [name for name in others if not is_clutter(name)]:
        print(f"folders: {len(rest):,} files that are no pictures were left out: {listed(rest)}")


def _described(place: Place, tables: Sequence[str], fields: Fields) -> Iterator[Batch]:
    """Yield the pictures that the tables name."""
    for table in tables:
        with place.file(table) as path:
            rows = list(_json_lines(table, path) if table.lower().endswith("l") else _comma_separated(table, path))
        if not rows:
            raise BadInput(f"{table} names no pictures")
        origins = [origin for origin, _ in rows]
        columns = _columns(rows, fields, table)
        beside = Beside(place, table)
        for part, images in beside.images(columns.pop("path"), origins):
            yield from Rows(
                images, beside.resolved, **{f"{kind}s": values[part] for kind, values in columns.items()}
            ).batches(split_of_path(table.rpartition("/")[0]))
        folder = table.rpartition("/")[0]
        beside.say([name for name in ending(place.names, ENDINGS) if not folder or name.startswith(f"{folder}/")])


def _columns(rows: list[tuple[str, dict[str, Any]]], fields: Fields, table: str) -> dict[str, list[Any]]:
    """Return the values of path, label and what else is there."""
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    found, used = {}, list[str]()
    for kind, usual in (
        ("path", _rows.PATH), ("label", _rows.LABEL), ("split", _rows.SPLIT), ("group", _rows.GROUP),
        ("weight", _rows.WEIGHT),
    ):  # fmt: skip
        field = "image" if kind == "path" else kind
        name = find(names, getattr(fields, field), usual, f"{field}_field", table)
        if name:
            found[kind] = [row.get(name) for _, row in rows]
            used.append(name)
            if kind == "label" and all(isinstance(value, str) and is_number(value.strip()) for value in found[kind]):
                found[kind] = [int(str(value).strip()) for value in found[kind]]  # a CSV has only text
        elif kind in ("path", "label"):
            raise BadInput(
                f"{table} has no column for the {field}: it has {', '.join(names)}; name it with `{field}_field`"
            )
    say_unused("folders", table, names, used)
    return found


def _comma_separated(table: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import csv  # noqa: PLC0415 - beside the others it would look like the form csv

    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise BadInput(
                        f"{table} line {reader.line_num}: it has not the {len(reader.fieldnames or ())} values "
                        "that the first line names"
                    )
                yield f"{table} line {reader.line_num}", row
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadInput(f"{table} is no table in UTF-8: {error}") from None


def _json_lines(table: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(outside.content(path, _TABLE).splitlines(), 1):
        if not line.strip():
            continue
        row = outside.document(line, f"{table} line {number}")
        if not isinstance(row, dict):
            raise BadInput(f'{table} line {number}: expected an object, as {{"file_name": …, "label": …}}')
        yield f"{table} line {number}", row
