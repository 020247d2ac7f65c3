"""Say in a sentence what is wrong with a person's file: which file and line, which layer, what, and what to do."""

import contextlib
import re
import traceback
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType

import keras
import tensorflow as tf

from components.contract.errors import BadInput, StepError, is_disk_full

_ROOT = Path(__file__).parents[3]


@contextlib.contextmanager
def blame(doing: str, *files: Path, remedy: str = "") -> Iterator[None]:
    """Turn whatever goes wrong inside into `BadInput` that names the file at fault, `files` being those it may be.

    The exception is its cause, for --verbose to show. What no file is to blame for passes: signals, a full memory or
    disk, and what is a sentence already.
    """
    try:
        yield
    except StepError as error:
        text = str(error)
        if not text.startswith("in user code"):
            raise
        raise type(error)(text.splitlines()[-1].partition(": ")[2]) from error  # AutoGraph put its own words around it
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except (Exception, SystemExit) as error:
        if is_disk_full(error):
            raise
        raise BadInput(sentence(error, doing, files, remedy)) from error


def sentence(error: BaseException, doing: str, files: tuple[Path, ...], remedy: str = "") -> str:
    """Return what is wrong, in one line."""
    error = _root(error, {str(path) for path in files})
    place = _place(error, files)
    layer = _layer(error.__traceback__)
    where = f"{place}: " if place else ""
    inside = f" in the layer {layer}" if layer else ""
    kind = "" if type(error) in (ValueError, RuntimeError) else f"{type(error).__name__}: "
    advice = f"; {remedy}" if remedy else ""
    return f"{where}{doing}{inside}: {kind}{_message(error)}{advice} (--verbose shows where)"


def _root(error: BaseException, files: set[str]) -> BaseException:
    """Return the first of the exceptions that led to this one which came through one of the files, else this one."""
    found, earlier = error, error.__cause__ or error.__context__
    while earlier:
        if any(frame.filename in files for frame in traceback.extract_tb(earlier.__traceback__)):
            found = earlier
        earlier = earlier.__cause__ or earlier.__context__
    return found


def _place(error: BaseException, files: tuple[Path, ...]) -> str:
    """Return file and line of the innermost frame that is in one of the files; else the first file."""
    known = {str(path): path for path in files}
    found = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    # AutoGraph runs a copy of the code, and says in the message where it is from.
    found += [(name, int(line)) for name, line in re.findall(r'File "([^"]+)", line (\d+)', str(error))]
    if isinstance(error, SyntaxError) and error.filename:
        found.append((error.filename, error.lineno))
    for name, line in reversed(found):
        if name in known:
            return f"{_short(known[name])}, line {line}"
    return _short(files[0]) if files else ""


def _short(path: Path) -> str:
    return str(path.relative_to(_ROOT)) if path.is_relative_to(_ROOT) else str(path)


def _layer(trace: TracebackType | None) -> str:
    """Return the innermost layer at work; a model is none."""
    name = ""
    while trace:
        at_work = trace.tb_frame.f_locals.get("self")
        if isinstance(at_work, keras.Layer) and not isinstance(at_work, keras.Model):
            name = at_work.name
        trace = trace.tb_next
    return name


def _message(error: BaseException) -> str:
    text = re.sub(r"\x1b\[\d+m", "\0", str(error))  # Keras prints what matters in bold
    if bold := re.search(r"\0([^\0]+)\0", text):
        text = bold[1]
    lines = [line.strip() for line in text.replace("\0", "").splitlines() if line.strip()] or [type(error).__name__]
    first = lines[-1] if lines[0].startswith("in user code") else lines[0]
    if first == "Graph execution error:":  # what it was stands before the node that failed
        first = next((before for before, line in pairwise(lines) if line.startswith("[[{{")), first)
    first = re.sub(r"\S*tf__(\w+)\(\)", r"\1()", first)  # AutoGraph's name of a function
    return re.sub(r"^(\w+Error): ", "", first).rstrip(".")[:300]
