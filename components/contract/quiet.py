"""Keep a library's greetings out of a step's output."""

import contextlib
import os
from collections.abc import Iterator

# Before TensorFlow is imported: warnings about the build are not for our users, errors are.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Discard what C++ code writes to standard error while a library is imported; exceptions pass as ever."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - the one path that is no file
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
