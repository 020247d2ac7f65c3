"""HTML reports: one self-contained file, no scripts, readable at 480 px, on paper, in light and dark."""

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cycler
import jinja2
import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

# Text and axes take the page's own colour, so that a figure reads in light and dark alike.
_INK = "#010203"
PALETTE = ("#3b78c4", "#d9762b", "#3f9b57", "#b5495b", "#7e62ab", "#8a6d4b", "#c25fa3", "#6d7a86")
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "tapeline",  # ids in the file depend on the content alone
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.prop_cycle": cycler.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#88888844",
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
}
# A step draws in one style, so it is set for the whole process: legends are styled only when they are made.
mpl.rcParams.update(_STYLE)

_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
)


@dataclass(frozen=True)
class Section:
    """A part of a report: a title, a sentence on how to read it, and its figures or tables."""

    title: str
    text: str
    body: Markup


def write(path: Path, title: str, facts: Sequence[tuple[str, str]], sections: Sequence[Section]) -> None:
    """Write the report: the facts on top, large, then the sections."""
    text = _TEMPLATES.get_template("page.html.jinja").render(title=title, facts=facts, sections=sections)
    path.write_text(text, encoding="utf-8")


def figure(width: float = 6.0, height: float = 3.2, **subplots: Any) -> tuple[Figure, Any]:
    """Return a figure and its axes in the style of the page; sizes in inches of 80 CSS pixels."""
    made = Figure(figsize=(width, height))
    return made, made.subplots(**subplots)


def svg(made: Figure, description: str) -> Markup:
    """Return a figure as inline SVG, with a description for those who cannot see it."""
    file = io.StringIO()
    made.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = text.replace("<svg ", f'<svg role="img" aria-label="{Markup.escape(description)}" ', 1)
    return Markup(text)  # noqa: S704 - matplotlib's own output, with its texts escaped


def picture(pixels: npt.NDArray[np.uint8], description: str, scale: int = 2) -> Markup:
    """Return a grey image, uint8 [height, width], as an inline PNG, shown `scale` times as large."""
    file = io.BytesIO()
    Image.fromarray(pixels, mode=None).save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}" width="{}">').format(
        data, description, pixels.shape[1] * scale
    )


def contact_sheet(images: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Return images, uint8 [n, height, width], side by side in rows of `columns`, with a gap of one pixel."""
    _, height, width = images.shape
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (height + 1), columns * (width + 1)), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
    return sheet


def pair(left: Markup, right: Markup) -> Markup:
    """Return two figures side by side, or one below the other where the window is narrow."""
    return Markup('<div class="pair">{}{}</div>').format(left, right)


def note(kind: str, title: str, text: str, advice: str, picture: Markup) -> Markup:
    """Return a finding: how serious it is (info, warning or error), what it is, what to do, and a small figure."""
    words = Markup("<div><b>{}</b> <i>{}</i><br>{}<p>{}</p></div>").format(title, kind, text, advice)
    return Markup('<div class="note {}">{}<div class="small">{}</div></div>').format(kind, words, picture)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table; the first column holds names, the others figures."""
    head = Markup("").join(Markup("<th>{}</th>").format(cell) for cell in header)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row))
        for row in rows
    )
    return Markup('<div class="scroll"><table><tr>{}</tr>{}</table></div>').format(head, body)
