"""What a deployment may add to `docker run`: options, and none that takes from a step what it relies on."""

import shlex
from collections.abc import Iterator

# Options without a value; every other one has one, after = or as the next word.
_SWITCHES = {
    "detach", "disable-content-trust", "help", "init", "interactive", "no-healthcheck", "oom-kill-disable",
    "privileged", "publish-all", "quiet", "read-only", "rm", "sig-proxy", "tty", "use-api-socket",
}  # fmt: skip
_SHORT_SWITCHES = {"d": "detach", "i": "interactive", "P": "publish-all", "q": "quiet", "t": "tty"}
_REFUSED = {
    "cidfile": "all steps would write the same file",
    "detach": "a step must end with its task",
    "entrypoint": "the image's own starts the step",
    "help": "no step would run",
    "interactive": "a step has no terminal",
    "name": "all containers would have the same name",
    "restart": "it is Airflow that tries again",
    "rm": "it is set already",
    "sig-proxy": "a step must end with its task",
    "tty": "a step has no terminal",
}


def words(text: str) -> list[str]:
    """Return the options as words; raise `ValueError` for what is no option, or none that may be added."""
    try:
        found = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{error}: quotes come in pairs, and a backslash before something") from None
    rest = iter(found)
    for word in rest:
        for name, needs_value in _options(word):
            if name in _REFUSED:
                raise ValueError(f"{word} cannot be added: {_REFUSED[name]}")
            if needs_value and next(rest, "--").startswith("--"):
                raise ValueError(f"{word} needs a value")
    return found


def _options(word: str) -> Iterator[tuple[str, bool]]:
    """Yield the options in a word, each with whether its value is the next one."""
    if word.startswith("--") and word.strip("-"):
        name, equals, _ = word[2:].partition("=")
        yield name, not equals and name not in _SWITCHES
    elif word.startswith("-") and word.strip("-"):
        for index, letter in enumerate(word[1:], 2):
            yield _SHORT_SWITCHES.get(letter, letter), letter not in _SHORT_SWITCHES and index == len(word)
            if letter not in _SHORT_SWITCHES:
                return
    else:
        raise ValueError(f"{word!r} is no option, such as --network=host, and would be taken for the image")
