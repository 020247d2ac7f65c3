"""What a study varies: `learning_rate=1e-4..1e-2:log`, `batch_size=32..512`, `model=simple,convnet`."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.contract.declaration import Parameters, did_you_mean
from components.contract.errors import BadInput

COMBINATIONS = 64  # of what else is varied, with which a value is tried before it is refused
_FORMS = "NAME=A..B, NAME=A..B:log or NAME=a,b,c"


@dataclass(frozen=True)
class Choice:
    """A parameter that takes one of some values."""

    name: str
    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that have to be allowed."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A number between two others, both included; a `whole` one, or any; spread evenly, or by its logarithm."""

    name: str
    low: float
    high: float
    log: bool
    whole: bool

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that have to be allowed."""
        return (self.low, self.high)


Dimension = Choice | Range


def space_of(
    texts: Sequence[str], declared: type[Parameters], fixed: Mapping[str, Any], never: Mapping[str, str]
) -> tuple[Dimension, ...]:
    """Return what is varied, in the order of its names, checked against the declared parameters.

    `fixed` are the values that all trials have; `never` says of each parameter that cannot be varied why. Raises
    `BadInput` with a line for each text that does not fit.
    """
    found: dict[str, Dimension] = {}
    problems = [] if texts else [f"there is nothing to vary: give --vary {_FORMS}"]
    for text in texts:
        try:
            each = _parsed(text, declared, fixed, never)
        except BadInput as error:
            problems.append(str(error))
            continue
        if each.name in found:
            problems.append(f"--vary {each.name}: it is there twice; give all its values in one")
        found[each.name] = each
    if problems:
        raise BadInput(*problems)
    return tuple(_typed(each, declared, fixed, list(found.values())) for _, each in sorted(found.items()))


def _parsed(text: str, declared: type[Parameters], fixed: Mapping[str, Any], never: Mapping[str, str]) -> Dimension:
    """Return what a text varies, its values still as they were written where they are not numbers."""
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not values.strip():
        raise BadInput(f"--vary {text!r} is not of the form {_FORMS}")
    if name not in declared.model_fields:
        raise BadInput(f"--vary {name}: no such parameter of a training{did_you_mean(name, declared.model_fields)}")
    if name in never:
        raise BadInput(f"--vary {name}: {never[name]}")
    if name in fixed:
        raise BadInput(f"--vary {name}: it is also given as {fixed[name]}; "
                       "leave out the one or the other")  # fmt: skip
    if ".." in values:
        return _range(name, values, declared.model_fields[name].annotation)
    several = bool(declared.several(name))  # a comma is between its parts already, so here that is a +
    given = tuple(each.strip().replace("+", ",") if several else each.strip() for each in values.split(","))
    if len(given) != len(set(given)) or len(given) == 1 or "" in given:
        raise BadInput(f"--vary {name}: {values!r}: two or more different values are needed, joined by commas")
    return Choice(name, given)


def _range(name: str, values: str, kind: Any) -> Range:
    if kind not in (int, float):
        raise BadInput(f"--vary {name}: {values!r} is a range, but it is no number; give its values, joined by commas")
    numbers, _, how = values.partition(":")
    if how.strip() not in ("", "log"):
        raise BadInput(f"--vary {name}: {how.strip()!r} is not a way to spread numbers; it is log, or left out")
    try:
        low, high = (kind(each.strip()) for each in numbers.split("..", 1))
    except ValueError:
        whole = "two whole numbers" if kind is int else "two numbers"
        raise BadInput(f"--vary {name}: {numbers!r} is not {whole} with .. between them") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadInput(f"--vary {name}: {numbers!r} is no range: the first number has to be less than the second")
    if how and low <= 0:
        raise BadInput(f"--vary {name}: {low:g} has no logarithm; begin above 0, or leave out :log")
    return Range(name, low, high, bool(how), kind is int)


def _typed(each: Dimension, declared: type[Parameters], fixed: Mapping[str, Any], all_: list[Dimension]) -> Dimension:
    """Return what is varied with values as the declaration has them; raise `BadInput` for one that it refuses."""
    others = [other for other in all_ if other.name != each.name and isinstance(other, Choice)]
    values = tuple(_accepted(each.name, value, declared, fixed, others) for value in each.ends)
    return Choice(each.name, values) if isinstance(each, Choice) else each


def _accepted(name: str, value: Any, declared: type[Parameters], fixed: Mapping[str, Any], others: list[Choice]) -> Any:
    """Return a value once it is accepted with some of the others, as some are only for a certain step or model."""
    first: BadInput | None = None
    for rest in itertools.islice(_combinations(others), COMBINATIONS):
        try:
            return getattr(declared.checked({**fixed, **rest, name: value}), name)
        except BadInput as error:
            first = first or error
    raise BadInput(*(f"--vary {line}" for line in str(first).splitlines()))


def _combinations(others: list[Choice]) -> Iterator[dict[str, Any]]:
    yield {}
    for values in itertools.product(*(other.values for other in others)):
        yield {other.name: value for other, value in zip(others, values, strict=True)}
