"""A step of a person's own that is tracked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.contract.declaration import Component, Output, Parameters, parameter


class OwnParameters(Parameters):
    """Those of a step of a person's own."""

    learning_rate: float = parameter(0.5, "A rate")
    note: str = parameter("", "A text")


def work(parameters: OwnParameters, *, figures: Path, page: Path) -> dict[str, dict[str, Any]]:
    """Write a file and a page."""
    (figures / "figures.json").write_text(f"{parameters.note}\n")
    page.write_text("<p>good</p>")
    return {"figures": {"score": 0.25, "lost": None, "verdict": "fine"}}


def curves(outputs: Mapping[str, Path]) -> dict[str, list[tuple[int, float]]]:
    """Return a long curve, with a point that is no number."""
    assert (outputs["figures"] / "figures.json").is_file()
    return {"loss": [(step, 1 / step) for step in range(1, 2501)] + [(2501, float("inf"))]}


OWN = Component(
    name="own", title="Own", help="A step of one's own.", work="tests.tracked:work", parameters=OwnParameters,
    inputs=(),
    outputs=(Output("figures", "Metrics", "Figures"), Output("page", "HTML", "A page", file="page.html")),
    curves="tests.tracked:curves",
)  # fmt: skip
