"""What the names of files, arrays and columns say: the split, and what is none of a data set's files."""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache

from components.contract.errors import BadInput
from components.contract.terminal import line

_WORDS = {
    "train": ("train", "training", "trainset", "traindata", "trn"),
    "validation": ("validation", "valid", "val", "dev", "validset", "valset"),
    "test": ("test", "testing", "testset", "testdata", "eval", "evaluation", "t10k"),
}
_SPLITS = {word: split for split, words in _WORDS.items() for word in words}
# Left behind by file managers and archivers.
_CLUTTER = {"thumbs.db", "desktop.ini", "__macosx", "ehthumbs.db"}


def words(name: str) -> list[str]:
    """Return the words of a name, in small letters: `x_train`, `xTrain` and `x-train` have the same two."""
    return [word.lower() for word in re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name) if word]


@lru_cache(4096)
def split_of(name: str) -> str:
    """Return the split that a name, without its folders, speaks of: train, validation, test, or nothing."""
    for word in words(name):
        if split := _SPLITS.get(word) or _SPLITS.get(word.rstrip("0123456789")):
            return split
    return ""


def split_of_path(path: str) -> str:
    """Return the split that a file's name or that of a folder above it speaks of; the nearest one counts."""
    return next((split for part in reversed(path.split("/")) if (split := split_of(part))), "")


def split_named(value: object, origin: str) -> str:
    """Return the split that a column says; raise `BadInput` if it is none."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str("" if value is None else value)
    if (word := text.strip().lower()) in _SPLITS or not word:
        return _SPLITS.get(word, "")
    raise BadInput(f"{origin}: the split is {text!r}, expected train, validation or test")


def without_split(name: str) -> str:
    """Return the words of a name but those that say the split."""
    return "_".join(word for word in words(name) if not split_of(word))


def in_order(names: Iterable[str]) -> list[str]:
    """Return files in the order of reading: those of train, validation and test, then by name."""
    order = {split: i for i, split in enumerate((*_WORDS, ""))}
    return sorted(names, key=lambda name: (order[split_of_path(name)], name))


def is_clutter(path: str) -> bool:
    """Tell whether a file is hidden or is what file managers leave behind."""
    return "/." in path or path.startswith(".") or not _CLUTTER.isdisjoint(path.lower().split("/"))


def ending(names: Iterable[str], pattern: str) -> list[str]:
    """Return the names, but clutter, that end as the pattern says, in capitals or not."""
    regex = re.compile(rf".*(?:{pattern})", re.IGNORECASE | re.DOTALL)
    return [name for name in names if regex.fullmatch(name) and not is_clutter(name)]


def find(names: Collection[str], asked: str, usual: Collection[str], parameter: str, where: str) -> str:
    """Return the name that is asked for, or the first of the usual ones that is there, or nothing.

    Raises `BadInput` if what is asked for is not there.
    """
    if asked:
        if asked in names:
            return asked
        there = ", ".join(list(names)[:12]) + (", …" if len(names) > 12 else "")
        raise BadInput(f"{where} has no {asked}, which `{parameter}` names; it has {there}")
    lower = {name.strip().lower(): name for name in reversed(list(names))}
    return next((lower[name] for name in usual if name in lower), "")


def say_unused(form: str, where: str, names: Iterable[str], used: Collection[str]) -> None:
    """Print which columns nothing is done with: a name may be misspelt."""
    if unused := [name for name in names if name not in used]:
        print(f"{form}: columns of {where} that are not used: {listed(unused)}")


def listed(names: Collection[str]) -> str:
    """Return a few names, and how many more there are."""
    shown = [line(name) for name in list(names)[:3]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
