"""Processes that must not outlive the one that started them."""

import shutil
import signal


def tied(command: list[str], number: signal.Signals) -> list[str]:
    """Return `command` so that the kernel sends it a signal when this process ends, even by SIGKILL.

    That is util-linux's setpriv, on every Linux; without it the command is returned as it is, and only a SIGKILL of
    this process leaves it behind.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), *command] if setpriv else command
