# mypy: allow-untyped-defs, allow-untyped-calls
"""Every page as a person sees it: in Kubeflow's frame, in windows of three widths, on paper; light and dark."""

import io
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = ROOT / "run/screenshots/pages"
FAULTS = (Path(__file__).parent / "faults.js").read_text(encoding="utf-8")
NAMES = (
    "ingest", "ingest-odd", "ingest-compared", "ingest-colour", "ingest-many",
    "export-healthy", "export-loss", "export-diverged", "export-deep", "export-dead", "export-augmented",
    "evaluate-failed", "evaluate-named", "evaluate-many", "gate-first", "gate-next", "study", "compare",
)  # fmt: skip
WIDTHS = (480, 1000, 1600)
SCHEMES = ("light", "dark")
# WCAG 2.2, level A and AA.
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"], "resultTypes": ["violations"]}
# How Kubeflow's UI shows a report: https://github.com/kubeflow/pipelines, frontend, HTMLViewer.
FRAME = (
    '<body style="margin: 0"><iframe sandbox="allow-scripts" style="width: 442px; height: 598px; border: 0"></iframe>'
)


def test_every_kind_of_page_is_looked_at(pages):
    assert set(pages) == set(NAMES)


@pytest.fixture
def window(chrome):
    """Return a window, in which nothing may be said on the console and nothing be fetched."""
    window = chrome.new_page()
    said = []
    window.on("console", lambda message: said.append(message.text))
    window.on("pageerror", lambda error: said.append(str(error)))
    window.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    yield window
    window.close()
    assert said == []


def violations(frame):
    """Return what axe-core finds, as sentences."""
    found = Axe().run(frame, options=RULES).response["violations"]
    return [f"{each['id']}: {node['target']} {node['failureSummary']}" for each in found for node in each["nodes"]]


@pytest.mark.parametrize("name", NAMES)
def test_in_windows_of_every_width(pages, window, name):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    window.goto(pages[name].as_uri())
    for scheme in SCHEMES:
        window.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            window.set_viewport_size({"width": width, "height": 800})
            window.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
            assert window.evaluate(FAULTS) == [], (width, scheme)
        assert violations(window) == [], scheme


@pytest.mark.parametrize("name", NAMES)
def test_in_the_frame_of_kubeflow(pages, window, name):
    window.set_viewport_size({"width": 460, "height": 620})
    window.set_content(FRAME)
    window.locator("iframe").evaluate("(frame, text) => { frame.srcdoc = text }", pages[name].read_text())
    window.wait_for_function("frames.length == 1")
    (frame,) = window.main_frame.child_frames
    frame.wait_for_selector("main")
    for scheme in SCHEMES:
        window.emulate_media(color_scheme=scheme)
        window.screenshot(path=SCREENSHOTS / f"{name}-frame-{scheme}.png")
        assert frame.evaluate(FAULTS) == [], scheme
        assert violations(frame) == [], scheme


@pytest.mark.parametrize("name", NAMES)
def test_on_paper_it_is_light_and_whole(pages, window, name):
    window.set_viewport_size({"width": 718, "height": 1000})  # A4, without its margins
    window.emulate_media(media="print", color_scheme="dark")
    window.goto(pages[name].as_uri())
    assert window.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    window.screenshot(path=SCREENSHOTS / f"{name}-paper.png", full_page=True)
    assert window.evaluate(FAULTS) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_figures_is_readable_on_what_is_below_it(pages, window, name):
    """What axe-core does not look at: text in a drawing, on the colours that are drawn there."""
    window.set_viewport_size({"width": 1000, "height": 800})
    window.goto(pages[name].as_uri())
    window.add_style_tag(content="svg text { visibility: hidden }")
    for scheme in SCHEMES:
        window.emulate_media(color_scheme=scheme)
        texts = window.evaluate("""() => [...document.querySelectorAll("svg text")].map(text => {
          const {left, right, top, bottom} = text.getBoundingClientRect()
          return [text.textContent, getComputedStyle(text).fill, [left, top, right, bottom].map(Math.round)]
        })""")
        shown = Image.open(io.BytesIO(window.screenshot(full_page=True))).convert("RGB")
        low = []
        for text, fill, box in texts:
            below = np.median(np.asarray(shown.crop(box)).reshape(-1, 3), axis=0)
            ink = [float(part) for part in fill.removeprefix("rgb(").removesuffix(")").split(",")]
            if (ratio := contrast(ink, below)) < 4.5:
                low.append((text.strip(), round(ratio, 2)))
        assert low == [], scheme


BAD = """<!doctype html><html lang="en"><title>Bad</title><main>
<section style="width: 100px"><p>averyveryverylongword</p><table><td style="width: 1px">1 2</td></table></section>
<section style="width: 600px"><svg width="100" height="20" aria-label="drawn">
<text x="0" y="15">one</text><text x="10" y="15">two</text><text x="80" y="15">beyond</text>
<text x="50" y="15" font-size="5">tiny</text></svg><svg></svg><img src="data:,"></section>
<p style="color: #999">faint</p></main>"""


def test_what_is_wrong_is_seen(chrome):
    window = chrome.new_page(viewport={"width": 400, "height": 300})
    window.set_content(BAD)
    assert window.evaluate(FAULTS) == [
        "the page scrolls sideways: 608 > 400",
        "text beyond its box: averyveryverylongword",
        "a number wraps: 1 2",
        "a figure's texts overlap: one / two",
        "a figure's text is cut: beyond",
        "a figure's text is 5.0 pixels high: tiny",
        "a figure without a description: one\ntwo\nbeyond\ntiny",
        "a picture does not show: ",
        "a picture without a description: one\ntwo\nbeyond\ntiny",
    ]
    assert [each.partition(":")[0] for each in violations(window)] == ["color-contrast", "image-alt"]
    window.close()
    assert contrast((255, 255, 255), (0, 0, 0)) == 21
    assert contrast((0x77, 0x77, 0x77), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def contrast(one, other):
    """Return the contrast of two colours, as WCAG defines it."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    """Return the relative luminance of a colour of 0 to 255."""
    shares = np.asarray(color, float) / 255
    return float(
        np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    )
