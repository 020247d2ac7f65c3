"""What a known data set is. Declarations read this, so it imports nothing heavy."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from components.ingest.forms import Batch


@dataclass(frozen=True)
class File:
    """A file of a download.

    Mirrors have it as its name and `suffix`. The cache keeps it as it came, or, if `unpacked`, without the suffix.
    `digest` is that of the file in the cache, as sha256:… or md5:…
    """

    name: str
    digest: str
    suffix: str = ""
    unpacked: bool = False

    @property
    def packed(self) -> str:
        """The file's name on mirrors."""
        return self.name + self.suffix

    @property
    def cached(self) -> str:
        """The file's name in the cache, and on a mirror of one's own."""
        return self.name if self.unpacked else self.packed


@dataclass(frozen=True)
class Download:
    """Files that are fetched together, into the folder of that name in the cache.

    `mirrors` are addresses in the order of trying. `packages` are functions as `module:function`, by what they are
    called: each writes the files into a folder, and they are tried last.
    """

    folder: str
    mirrors: tuple[str, ...]
    files: tuple[File, ...]
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Known:
    """A known data set.

    `reader` is the function, as `module:function`, that yields its batches. `parts` says which parts of its downloads
    it consists of, where it is not all of them. `splits` are the numbers of images, `size` is (height, width).
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    splits: Mapping[str, int]
    size: tuple[int, int]
    licence: str
    homepage: str
    citation: str
    downloads: tuple[Download, ...]
    reader: str
    parts: tuple[str, ...] = ()

    def obtain(self, cache: Path) -> dict[str, Path]:
        """Return its files in the cache by their names, verified, after downloading what is not there."""
        return {name: path for each in self.downloads for name, path in load(_OBTAIN)(each, cache).items()}

    def batches(self, files: Mapping[str, Path]) -> Iterator[Batch]:
        """Yield its images, some at a time, in the order of the files: the training split, then the test split."""
        found: Iterator[Batch] = load(self.reader)(self, files)
        return found


_OBTAIN = "components.ingest.downloads:obtain"


def load(name: str) -> Any:
    """Import a `module:function` when it is needed, as the heavy libraries come with it."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
