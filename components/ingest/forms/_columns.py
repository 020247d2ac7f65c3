"""Columns of Arrow, as Parquet has them, as arrays and lists."""

from typing import Any

import numpy as np
import numpy.typing as npt

from components.contract.errors import BadInput
from components.ingest.forms._rows import narrowed, squared


def ragged(value: Any, origin: str) -> npt.NDArray[Any]:
    """Return an image that is not of the size of all others, as lists of lists."""
    try:
        image = narrowed(np.array(value))
    except ValueError:
        raise BadInput(f"{origin}: the rows of the image have not all the same number of pixels") from None
    if image.dtype == object:
        raise BadInput(f"{origin}: a pixel is missing")
    return squared(image[np.newaxis], origin)[0] if image.ndim == 1 else image


def numbers_of(column: Any, name: str, origins: list[str], each: int = 1) -> npt.NDArray[Any]:
    """Return a column of numbers, of which there are `each` for an image."""
    if column.null_count:
        where = origins[column.is_null().index(True).as_py() // each]
        raise BadInput(f"{where}: a pixel of {name} is missing")
    numbers = column.to_numpy(zero_copy_only=False)
    if numbers.dtype.kind not in "biuf":
        raise BadInput(f"{origins[0]}: the column {name} is {column.type}, expected numbers: pixels")
    return numbers  # type: ignore[no-any-return]


def values_of(column: Any) -> Any:
    """Return whole numbers as an array, all else as a list; what a dictionary has is there once, however often."""
    if is_whole(column):
        return column.to_numpy()
    if not hasattr(column, "dictionary"):
        return column.to_pylist()
    known = column.dictionary.to_pylist()
    return [None if index is None else known[index] for index in column.indices.to_pylist()]


def is_text(kind: Any) -> bool:
    """Tell whether a column is of bytes or texts, or of a dictionary of such."""
    name = str(kind.value_type if hasattr(kind, "index_type") else kind)
    return name.startswith(("binary", "large_binary", "string", "large_string"))


def is_whole(column: Any) -> bool:
    """Tell whether a column is of whole numbers, with none missing."""
    whole = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32")
    return not column.null_count and str(column.type) in whole
