"""The workflow as a picture: steps as boxes, artifacts on the arrows; an SVG that reads in light and dark."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from dags.definition import Task, Workflow

BOX = (190, 56)  # pixels, as everything here
GAP = 170  # between two columns, for the artifacts' names
ROW = 92
MARGIN = 12
LETTER = 7.3  # about the width of one

STYLE = """
text { font: 13px system-ui, sans-serif; text-anchor: middle; fill: #1f2328 }
.name { font-weight: 600; font-size: 15px } .title { fill: #59636e }
.step { fill: #eef4fb; stroke: #3b78c4 } .artifact { fill: #ffffff; stroke: #d9762b }
.arrow { fill: none; stroke: #59636e; stroke-width: 1.5 } .head { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .title { fill: #9198a1 }
  .step { fill: #15233a } .artifact { fill: #0d1117 }
  .arrow { stroke: #9198a1 } .head { fill: #9198a1 }
}"""

HEAD = """\
<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path class="head" d="M0 0 8 4 0 8z"/></marker>"""

Point = tuple[float, float]


@dataclass(frozen=True)
class Arrow:
    """An output of one task that is an input of another."""

    source: str
    artifact: str
    target: str


Passing = tuple[Arrow, int]  # an arrow, in a column that it passes


def svg(workflow: Workflow) -> str:
    """Return the picture. A task stands one column after the last of those that it reads from."""
    arrows = [
        Arrow(component.name, output, task.name)
        for task in workflow.tasks
        for component, output in task.inputs.values()
    ]
    column: dict[str, int] = {}
    for task in workflow.tasks:
        column[task.name] = 1 + max((column[arrow.source] for arrow in arrows if arrow.target == task.name), default=-1)
    places = _places(column, arrows)
    width = 2 * MARGIN + max(column.values()) * (BOX[0] + GAP) + BOX[0]
    height = MARGIN + max(y for _, y in places.values()) + BOX[1] / 2
    said = ", ".join(f"{arrow.artifact} from {arrow.source} to {arrow.target}" for arrow in arrows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" role="img">',
        f"<title>{escape(workflow.title)}: {escape(said)}</title>",
        f"<style>{STYLE}\n</style>",
        HEAD,
    ]
    drawn = [_drawn(arrow, column, places) for arrow in arrows]
    lines += [line for line, _ in drawn]
    lines += [name for _, name in drawn]  # above every line
    for task in workflow.tasks:
        lines += _box(task, *places[task.name])
    return "\n".join([*lines, "</svg>"]) + "\n"


def _places(column: dict[str, int], arrows: list[Arrow]) -> dict[str | Passing, Point]:
    """Return the middle of each task, and of each arrow in each column that it passes, between the tasks there."""
    columns: list[list[str | Passing]] = [[] for _ in range(max(column.values()) + 1)]
    for name, number in column.items():
        columns[number].append(name)
    for arrow in arrows:
        for number in range(column[arrow.source] + 1, column[arrow.target]):
            columns[number].append((arrow, number))
    most = max(map(len, columns))
    return {
        item: (
            MARGIN + number * (BOX[0] + GAP) + BOX[0] / 2,
            MARGIN + (row + (most - len(items)) / 2) * ROW + BOX[1] / 2,
        )
        for number, items in enumerate(columns)
        for row, item in enumerate(items)
    }


def _drawn(arrow: Arrow, column: dict[str, int], places: dict[str | Passing, Point]) -> tuple[str, str]:
    """Return an arrow, and the artifact's name in the last gap before its head."""
    passed = [places[arrow, number] for number in range(column[arrow.source] + 1, column[arrow.target])]
    stops = [places[arrow.source], *passed, places[arrow.target]]
    path = f"M{stops[0][0] + BOX[0] / 2:g} {stops[0][1]:g}"
    for (x, y), (next_x, next_y) in pairwise(stops):
        begin, end = x + BOX[0] / 2, next_x - BOX[0] / 2
        path += f" H{begin:g} C{begin + GAP / 2:g} {y:g} {end - GAP / 2:g} {next_y:g} {end:g} {next_y:g}"
    x, y = (begin + end) / 2, (stops[-2][1] + stops[-1][1]) / 2
    half = LETTER * len(arrow.artifact) / 2 + 8
    pill = f'<rect class="artifact" x="{x - half:g}" y="{y - 11:g}" width="{2 * half:g}" height="22" rx="11"/>'
    name = f'<text x="{x:g}" y="{y + 4.5:g}">{escape(arrow.artifact)}</text>'
    return f'<path class="arrow" d="{path}" marker-end="url(#head)"/>', pill + name


def _box(task: Task, x: float, y: float) -> Iterator[str]:
    left, top = x - BOX[0] / 2, y - BOX[1] / 2
    yield f'<rect class="step" x="{left:g}" y="{top:g}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
    yield f'<text class="name" x="{x:g}" y="{y - 4:g}">{escape(task.name)}</text>'
    yield f'<text class="title" x="{x:g}" y="{y + 16:g}">{escape(task.component.title)}</text>'
