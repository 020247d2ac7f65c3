"""What a person reads while it works: in any encoding, a line for each thing, and with the time that is left."""

import codecs
import io
import re
import sys
import time
from typing import Self

LONGEST = 1500  # characters of a line
# Control characters, ends of lines and paragraphs, what turns the direction of writing, and halves of characters.
HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
EVERY_SECONDS = 30  # from one line of progress to the next, where there is no terminal

_PLAIN = {"─": "-", "×": "x", "…": "...", "−": "-", "–": "-", "≥": ">=", "≤": "<=", "≠": "!=", "·": "."}


def show_in_any_encoding() -> None:
    """Make standard output and error write what their encoding lacks in plainer characters, rather than fail."""
    codecs.register_error("plainer", _plainer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # and not None, as where it was closed
            stream.reconfigure(errors="plainer")


def _plainer(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


def line(text: str) -> str:
    """Return a text as a line that can be shown: what others wrote may have line ends, or what a terminal obeys, in it.

    What is too long lacks its middle, as the end of a sentence says what to do.
    """
    text = HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 :]}"


class Progress:
    """How far a long piece of work is: a live line with a bar in a terminal, elsewhere a line every half minute."""

    def __init__(self, total: int, done: int = 0, *, quiet: bool = False) -> None:
        """Say how much there is to do, in any unit, and how much was done before; if `quiet`, nothing is shown."""
        import rich.console  # noqa: PLC0415 - --help must not wait for it
        import rich.progress  # noqa: PLC0415

        self._total, self._before = total, done
        self._began = self._said = time.monotonic()
        self._console = rich.console.Console(highlight=False, soft_wrap=True, quiet=quiet)
        self.live = self._console.is_terminal and not self._console.is_dumb_terminal
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(min(40, max(4, self._console.width - 60))),
            rich.progress.TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self.live,
        )
        self._task = self._bar.add_task("", total=total, completed=done, left="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, done: int, text: str) -> None:
        """Show that so much is done, with a text in front."""
        now = time.monotonic()
        left = self.left(done)
        self._bar.update(self._task, completed=done, description=text, left=left)
        if not self.live and now - self._said >= EVERY_SECONDS:
            self.print(f"{text}, {left}" if left else text)

    def left(self, done: int) -> str:
        """Return how long the rest will take at the pace so far, such as `3 min left`; nothing where none is known."""
        if done <= self._before or done >= self._total:
            return ""
        return f"{duration((time.monotonic() - self._began) / (done - self._before) * (self._total - done))} left"

    def print(self, line: str) -> None:
        """Print a line that stays."""
        self._said = time.monotonic()
        self._console.print(line)


def duration(seconds: float) -> str:
    """Return a time as a person would say it: `42 s`, `3 min`, `2 h 10 min`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
