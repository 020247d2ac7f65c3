"""The data sets that are known by name: where their files are, what is in them, and how they are read.

A set, or a family of sets that are read in one way, is a file here with its `SETS`; to add one, write a file, and name
it below. What reads them is in reading.py, what fetches them in components/ingest/downloads.
"""

import re

from components.contract.declaration import did_you_mean
from components.ingest.known import emnist, mnist, mnist_c, qmnist, usps
from components.ingest.known.declaration import Known

KNOWN: dict[str, Known] = {each.name: each for family in (mnist, emnist, qmnist, usps, mnist_c) for each in family.SETS}
NAMES = tuple(KNOWN)


def find(source: str) -> Known | None:
    """Return the data set of exactly that name, if there is one."""
    return KNOWN.get(source)


def nearest(source: str) -> str:
    """Return, in brackets, which known name may have been meant by one that is none; nothing where none is near."""
    plain = re.sub(r"[\s_.]+", "-", source.strip().lower())
    family = [name for name in KNOWN if name.startswith(f"{plain}-")]
    if family and plain not in KNOWN:
        return f" ({plain} has {len(family)} splits: {', '.join(family)})"
    return did_you_mean(plain, KNOWN)
