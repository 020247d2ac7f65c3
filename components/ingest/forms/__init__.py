"""The forms in which people have their data, one a file.

A form has two functions:

    def recognised(place) -> str                   what is there, as a noun ("four IDX files"), if it is of this form
    def read(place, fields) -> Iterator[Batch]     its images, some at a time, in the order of the files

To add your own, copy a file; its name is then a choice of `--form`. The file's name is what the form is called.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.contract.plugins import Plugins

if TYPE_CHECKING:  # the declaration is read where there is no NumPy
    import numpy.typing as npt

FORMS = Plugins("form", "components.ingest.forms", Path(__file__).parent)


@dataclass(frozen=True)
class Fields:
    """What the columns, arrays or features are called; empty: what they usually are called."""

    image: str = ""
    label: str = ""
    split: str = ""
    group: str = ""
    weight: str = ""


@dataclass(frozen=True)
class Batch:
    """Some images of a source, with what it says of each.

    `images` is an array [n, height, width] or [n, height, width, channels] of any number type, or a list of arrays
    [height, width] or [height, width, channels] of any sizes. `labels` are whole numbers or texts, with `class_names`
    the names of the numbers, if the source has any. `origins` says where each is: the file's name, and the row, say.
    `split` is that of all of them: train, validation, test, or empty where the source has none. `groups` says which
    belong together and must not be parted, `weights` how much each counts.
    """

    images: "npt.NDArray[Any] | Sequence[npt.NDArray[Any]]"
    labels: "npt.NDArray[Any] | Sequence[int] | Sequence[str]"
    origins: Sequence[str]
    split: str = ""
    groups: Sequence[str] | None = None
    weights: Sequence[float] | None = None
    class_names: Sequence[str] = field(default=())
