"""Processes that must not outlive the one that started them."""

import ctypes
import shutil
import signal


def tied(command: list[str], number: signal.Signals) -> list[str]:
    """Return `command` so that the kernel sends it a signal when this process ends, even by SIGKILL.

    That is util-linux's setpriv, on every Linux; without it the command is returned as it is, and only a SIGKILL of
    this process leaves it behind.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), *command] if setpriv else command


def tie_this_process(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when the one that started it ends, even by SIGKILL (Linux only)."""
    _prctl(1, number)  # PR_SET_PDEATHSIG


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that none is lost from sight (Linux only)."""
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _prctl(option: int, value: int) -> None:
    if hasattr(libc := ctypes.CDLL(None), "prctl"):
        libc.prctl(option, value, 0, 0, 0)
