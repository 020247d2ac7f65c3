"""What `record.json` may say, so that whoever reads a record finds what is to be there."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.artifacts.record.columns import GLOBAL_NORM, LEVELS, OBJECTIVE, SCALARS, STATISTICS
from components.contract import outside
from components.contract.errors import BadInput

Whole = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**53)]
Name = Annotated[str, Field(max_length=1000)]


class _Said(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class SaidOfVariable(_Said):
    """What is said of a variable; `reader.Variable` says what it means."""

    name: Name
    shape: list[Whole] = Field(max_length=16)
    activation: Name
    connected: bool
    role: Name = ""  # of a record from before roles were kept
    normalised: bool = False
    zero_initialised: bool = False


class Settings(_Said):
    """Those of the run that tell what its numbers mean."""

    steps_per_epoch: Positive
    images_per_step: Positive
    classes: int = Field(ge=2, le=256)
    clip_norm: float = Field(ge=0)
    frozen: list[Name]
    augment: Name = ""


class Document(_Said):
    """All that `record.json` says."""

    schema_version: Literal[2]
    level: Literal[LEVELS]  # type: ignore[valid-type]
    columns: list[Name]
    statistics: list[Name]
    variables: list[SaidOfVariable]
    settings: Settings
    epochs: list[dict[str, int | float | None]]

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [GLOBAL_NORM, *(each.name for each in self.variables)] if self.level != "off" else []
        if self.columns not in ([*SCALARS, *names], [*SCALARS, OBJECTIVE, *names]):
            raise ValueError("its columns are not those of its level and its variables")
        if self.statistics != list(STATISTICS):
            raise ValueError("its statistics are not those that this version knows")
        needed = {"epoch", "validation_loss", "validation_accuracy"}
        if any(needed - epoch.keys() or not float(epoch["epoch"] or 0).is_integer() for epoch in self.epochs):
            raise ValueError(f"an epoch lacks one of {', '.join(sorted(needed))}")
        return self


def read(folder: Path) -> Document:
    """Return what the record in `folder` says of itself; raise `BadInput` if it is of another schema or none."""
    path = folder / "record.json"
    try:
        said: Any = outside.document(outside.content(path), str(path))
    except FileNotFoundError:
        raise BadInput(f"{folder} is not a gradient record: it has no record.json") from None
    if isinstance(said, dict) and (version := said.get("schema_version")) != 2:
        raise BadInput(f"{folder} is a gradient record of schema version {version}, expected 2; train again")
    try:
        return Document.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        why = first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path} is not what train writes: {where}: {why}; train again") from None
