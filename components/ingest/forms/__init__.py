"""The forms in which people have their data, one a file.

A form has two functions:

    def recognised(place) -> str                   what is there, as a noun ("four IDX files"), if it is of this form
    def read(place, fields) -> Iterator[Batch]     its images, some at a time, in the order of the files

To add your own, copy a file; its name is then a choice of `--form`. The file's name is what the form is called. Every
form is asked what it recognises, so a library that takes long to import is imported where it is used.
"""

import functools
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from components.contract.errors import BadInput
from components.contract.plugins import Plugins

if TYPE_CHECKING:  # the declaration is read where there is no NumPy
    import numpy.typing as npt

    from components.ingest.place import Place

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

    def __post_init__(self) -> None:
        if self.split not in ("", "train", "validation", "test"):
            raise BadInput(
                f"{self.origins[0]}: its split is {self.split!r}, expected train, validation, test, or nothing"
            )
        for what in ("labels", "origins", "groups", "weights"):
            values = getattr(self, what)
            if values is not None and len(values) != len(self.images):
                raise BadInput(f"{self.origins[0]}: a batch of {len(self.images)} images has {len(values)} {what}")


class _Noted(Fields):
    """Fields that note which of them were asked for, so that none is ignored without a word."""

    def __getattribute__(self, name: str) -> Any:
        if name in Fields.__dataclass_fields__:
            self.asked.add(name)
        return super().__getattribute__(name)

    @functools.cached_property
    def asked(self) -> set[str]:
        return set()


class Chosen(NamedTuple):
    """A form, with its name and what it recognised."""

    name: str
    what: str
    module: types.ModuleType

    def read(self, place: "Place", fields: Fields) -> Iterator[Batch]:
        """Yield the batches of the place; raise `BadInput` for a field that was given but is nothing to this form."""
        noted = _Noted(**vars(fields))
        yield from self.module.read(place, noted)
        for name, given in vars(fields).items():
            if given and name not in noted.asked:
                raise BadInput(
                    f"{name}_field: {given}, but data in the form {self.name} have no such fields; leave it out"
                )


def choose(place: "Place", form: str) -> Chosen:
    """Return the form of that name, or, if it is `auto`, the one that recognises the place.

    Raises `BadInput` if the form does not recognise it, if none does, or if several do.
    """
    from components.ingest.forms._nearest import nearest  # noqa: PLC0415 - it asks the forms, which are made of this

    found = []
    for name in FORMS.names if form == "auto" else [form]:
        module = _loaded(name)
        if what := module.recognised(place):
            found.append(Chosen(name, what, module))
    if len(found) == 1:
        return found[0]
    if found:
        each = "; ".join(f"{chosen.name} ({chosen.what})" for chosen in found)
        raise BadInput(f"source: {place.source} can be read in more than one form: {each}; choose one with `form`")
    wanted = f"nothing of the form {form}" if form != "auto" else f"no form of data: {', '.join(FORMS.names)}"
    raise BadInput(f"source: {place.source} has {wanted}; {nearest(place)}")


def _loaded(name: str) -> types.ModuleType:
    path = FORMS.files.get(name, Path(name))
    try:
        module = FORMS.load(name)
    except (ImportError, SyntaxError) as error:
        raise BadInput(f"form {name} ({path.name}) cannot be imported: {error}") from error
    for function in ("recognised", "read"):
        if not callable(getattr(module, function, None)):
            raise BadInput(f"form {name} ({path.name}) has no function {function}; see components/ingest/forms")
    return module
