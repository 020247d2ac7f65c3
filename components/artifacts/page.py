"""HTML reports: one self-contained file, no scripts, readable from 440 px up, on paper, in light and dark.

A report begins with its answer in words, then come facts, then sections side by side as far as there is room. The look
is in page.css.
"""

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
from matplotlib import ticker
from matplotlib.figure import Figure
from PIL import Image

# Text and axes take the page's own colour, so that a figure reads in light and dark alike.
_INK = "#010203"
PALETTE = ("#3b78c4", "#d9762b", "#3f9b57", "#b5495b", "#7e62ab", "#8a6d4b", "#c25fa3", "#6d7a86")
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "tapeline",  # ids in the file depend on the content alone
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.prop_cycle": cycler.cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#88888844",
    "legend.fontsize": 8.5,
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


def _words(text: str) -> Markup:
    """Return a sentence with what is in backticks as code, and no line break before a percent sign."""
    escaped = re.sub(r"(\d) %", "\\1\u00a0%", str(Markup.escape(text)))
    return Markup(re.sub("`(.+?)`", r"<code>\1</code>", escaped))  # noqa: S704 - it has been escaped


_TEMPLATES.filters["words"] = _words


@dataclass(frozen=True)
class Answer:
    """What a report says first, in sentences, with the names of parameters in backticks.

    `tone` is good, info, warning or error; `why` it is so; and `advice`, what to do next.
    """

    tone: str
    headline: str
    why: Sequence[str]
    advice: Sequence[str]


@dataclass(frozen=True)
class Section:
    """A part of a report: a title, sentences on how to read it, and a figure, table or pictures; `wide` takes a row."""

    title: str
    text: str
    body: Markup
    wide: bool = False


def write(
    path: Path, title: str, answer: Answer, facts: Sequence[tuple[str, str]], sections: Sequence[Section]
) -> None:
    """Write the report: the answer on top, then the facts, large, then the sections."""
    template = _TEMPLATES.get_template("page.html.jinja")
    path.write_text(template.render(title=title, answer=answer, facts=facts, sections=sections), encoding="utf-8")


def figure(width: float = 4.6, height: float = 2.9, **subplots: Any) -> tuple[Figure, Any]:
    """Return a figure and its axes in the style of the page; sizes in inches of 96 CSS pixels.

    The width is that of a section, down to the narrowest window: a wider figure would shrink there, and its text.
    """
    made = Figure(figsize=(width, height))
    return made, made.subplots(**subplots)


def scale_by_log(axes: Any, values: npt.NDArray[np.floating[Any]]) -> None:
    """Scale the axis by logarithm if what is to be shown goes over some of it, with plain numbers at its ticks."""
    known = values[np.isfinite(values) & (values > 0)]
    if not len(known) or known.max() < 3 * known.min():
        return
    axes.set_yscale("log")
    few = known.max() < 100 * known.min()
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())


def svg(made: Figure, description: str) -> Markup:
    """Return a figure as inline SVG, with a description for those who cannot see it."""
    file = io.StringIO()
    made.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # they are the same in every figure, and nothing refers to them
    text = text.replace("<svg ", f'<svg role="img" aria-label="{Markup.escape(description)}" ', 1)
    return Markup(text)  # noqa: S704 - matplotlib's own output, with its texts escaped


def short(name: str, length: int = 14) -> str:
    """Return a name for a figure, cut if it is too long for one."""
    return name if len(name) <= length else name[: length - 1] + "…"


def labels(names: Sequence[str], length: int = 14) -> list[str]:
    """Return the names of classes for a figure, with their numbers before them if, once cut, some are alike."""
    cut = [short(name, length) for name in names]
    return cut if len(set(cut)) == len(cut) else [short(f"{i}: {name}", length) for i, name in enumerate(names)]


def picture(pixels: npt.NDArray[np.uint8], description: str, scale: int = 2) -> Markup:
    """Return an image, uint8 [height, width] or [height, width, 3], as an inline PNG, shown `scale` times as large."""
    file = io.BytesIO()
    Image.fromarray(pixels, mode=None).save(file, format="PNG", optimize=True)
    data = base64.b64encode(file.getvalue()).decode()
    return Markup('<img src="data:image/png;base64,{}" alt="{}" width="{}">').format(
        data, description, pixels.shape[1] * scale
    )


def contact_sheet(images: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """Return images, uint8 [n, height, width] or [n, height, width, 3], in rows of `columns`, a pixel apart."""
    _, height, width, *channels = images.shape
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (height + 1), columns * (width + 1), *channels), np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + 1), index % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
    return sheet


def pictures(images: Iterable[tuple[Markup, Sequence[str]]]) -> Markup:
    """Return pictures side by side, each with the lines below it."""
    figures = [
        Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(image, Markup("<br>").join(lines))
        for image, lines in images
    ]
    return Markup('<div class="pictures">{}</div>').format(Markup("").join(figures))


def rows(parts: Iterable[tuple[str, Markup]]) -> Markup:
    """Return named pictures, one below the other."""
    cells = Markup("").join(Markup("<div>{}</div><div>{}</div>").format(name, picture) for name, picture in parts)
    return Markup('<div class="rows">{}</div>').format(cells)


def scale_of(colors: Sequence[str], low: str, high: str) -> Markup:
    """Return a legend of colours that go from `low` to `high`."""
    stops = Markup(", ").join(colors)
    bar = Markup('<span style="width: 7rem; height: .7rem; background: linear-gradient(to right, {})"></span>')
    return Markup('<figcaption class="legend">{}{}{}</figcaption>').format(low, bar.format(stops), high)


def note(kind: str, title: str, text: str, advice: str, drawn: tuple[Markup, str]) -> Markup:
    """Return a finding: its severity (info, warning or error), what it is, what to do, a figure and its caption."""
    words = Markup("<div><b>{}</b> <i>{}</i><br>{}<p>{}</p></div>")
    figure = Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(*drawn)
    return Markup('<div class="note {}">{}{}</div>').format(
        kind, words.format(title, kind, _words(text), _words(advice)), figure
    )


def breakable(name: str) -> Markup:
    """Return a name that may go on in the next line after each /, _ or comma, and within what is very long."""
    parts = (part[i : i + 16] for part in re.findall("[^/_,]*[/_,]|[^/_,]+", name) for i in range(0, len(part), 16))
    return Markup("<wbr>").join(parts)


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """Return a table; the first column holds names, the others figures."""
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in header)
    body = Markup("").join(
        Markup('<tr><th scope="row">{}</th>{}</tr>').format(
            breakable(str(name)), Markup("").join(Markup("<td>{}</td>").format(cell) for cell in cells)
        )
        for name, *cells in rows
    )
    return Markup(
        '<div class="scroll" role="region" tabindex="0" aria-label="{}"><table><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(title, head, body)
