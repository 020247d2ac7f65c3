"""What comes from outside, read within bounds: a file of moderate size that is one, and JSON that is no more than JSON.

A pipe would be waited for, a device read for ever, and a document nested a hundred thousand deep is three bytes a
level; whoever reads what others wrote does so by these functions. Each raises `BadInput` that says what came.
"""

import json
import re
import resource
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from components.contract.errors import BadInput

LARGEST = 64 * 2**20  # bytes of a document
DIGITS = 100  # of a whole number
DEEPEST = 64  # levels of lists and objects in one
PIECE = 2**20  # bytes that are asked for at once, however many are announced
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def content(path: Path, most: int = LARGEST) -> bytes:
    """Return the bytes of a file; raise `BadInput` for what is none or too large, `FileNotFoundError` if none is there.

    A name that no file can have is that of a file that is not there.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise FileNotFoundError(str(path)) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise BadInput(f"{path} is {_kind(found.st_mode)}, expected a file")
    with path.open("rb") as file:
        given = file.read(min(most, found.st_size) + 1)
    if len(given) > most:
        raise BadInput(f"{path} has {found.st_size:,} bytes, more than the {most:,} that are read of such a file")
    return given


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def document(text: bytes | str, what: str) -> Any:
    """Return what a text of JSON says; raise `BadInput`, which calls it `what`, for one that is not sound.

    That is one not in UTF-8, with a name twice in an object, with NaN or an infinity, with a number of hundreds of
    digits, nested too deep, or with half of a character, which nothing could write again.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        text.encode()  # of the command line or the environment bytes that are no UTF-8 are such halves
        value = json.loads(text, object_pairs_hook=_once, parse_int=_whole, parse_constant=_finite)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{what} is no JSON in UTF-8: at byte {error.start} stands {error.object[error.start]:02x}"
        ) from None
    except UnicodeEncodeError:
        raise BadInput(
            f"{what} is no sound JSON: it has half of a character, \\ud800 to \\udfff, without the other half"
        ) from None
    except RecursionError:
        raise BadInput(_DEEP.format(what)) from None
    except ValueError as error:
        raise BadInput(f"{what} is no JSON: {error}") from None
    _shallow(value, what)
    return value


_DEEP = f"{{}} is no sound JSON: lists and objects lie in each other more than {DEEPEST} deep"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:80]!r} is there twice")
    return found


def _whole(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"{digits[:10]}… is a number of {len(digits):,} digits")
    return int(digits)


def _finite(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON's; null may stand for it")


def _shallow(value: Any, what: str) -> None:
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [each for one in level for each in _parts(one)]
        if not level:
            return
    raise BadInput(_DEEP.format(what))


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


@contextmanager
def no_more_memory_than(size: int) -> Iterator[None]:
    """Have what takes so many bytes more than this process has now raise `MemoryError`, if it is one that says so.

    It is for libraries in C++ that take what a file says; while it lasts, no other thread should be at work.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + size
    if before[0] != resource.RLIM_INFINITY:
        most = min(most, before[0])
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def exactly(file: IO[bytes], size: int) -> bytes:
    """Return the next `size` bytes of a file, or those that are left: what is announced alone takes no memory."""
    if size <= PIECE:
        return file.read(size)
    parts, left = [], size
    while left and (part := file.read(min(left, PIECE))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
