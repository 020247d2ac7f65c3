# mypy: allow-untyped-defs, allow-untyped-calls
"""The words and colours that pages are made of."""

import re
from pathlib import Path

import pytest
from markupsafe import Markup

from components.artifacts import page
from components.artifacts.words import count, listed, percent


def test_numbers_and_lists_in_words():
    assert [percent(0.9852), percent(0), percent(1)] == ["98.52 %", "0.00 %", "100.00 %"]
    assert [count(1, "image"), count(1024, "image"), count(2, "class", "classes")] == [
        "1 image", "1,024 images", "2 classes"
    ]  # fmt: skip
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(list("abcde")), listed(list("abcdefg"))] == [
        "", "a", "a and b", "a, b, c, d and e", "a, b, c, d, e and 2 more"
    ]  # fmt: skip


def test_names_are_cut_to_the_room_there_is_and_stay_apart():
    assert page.labels(["0", "ankle boot", "T-shirt/top"]) == ["0", "ankle boot", "T-shirt/top"]
    assert page.labels(["a class of cats", "a cat"]) == ["a class of ca…", "a cat"]
    assert page.labels(["a class of cats", "a class of cars"]) == ["0: a class of…", "1: a class of…"]
    assert page.breakable("a/b_c, d" + "x" * 20) == "a/<wbr>b_<wbr>c,<wbr> dxxxxxxxxxxxxxx<wbr>xxxxxx"
    assert page.breakable("<b>") == "&lt;b&gt;"


def test_parameters_in_sentences_are_marked_and_nothing_else_is_taken_for_markup(tmp_path):
    answer = page.Answer("good", "Set `a_b` & <go>.", ["9 %."], [])
    page.write(tmp_path / "page.html", "A <title>", answer, [("name", "<b>")], [page.Section("S", "`x`", Markup("!"))])
    text = (tmp_path / "page.html").read_text()
    assert '<p class="headline">Set <code>a_b</code> &amp; &lt;go&gt;.</p>' in text
    assert "<h1>A &lt;title&gt;</h1>" in text
    assert "<dd>&lt;b&gt;</dd>" in text
    assert "<p><code>x</code></p>" in text
    assert "<p>9\u00a0%.</p>" in text
    assert "What next" not in text
    assert "{" not in text.split("</style>")[1]


def test_the_style_is_in_the_page_and_needs_nothing_else(tmp_path):
    style = (Path(page.__file__).parent / "page.css").read_text()
    page.write(tmp_path / "page.html", "T", page.Answer("good", "H", [], []), [], [])
    assert style in (tmp_path / "page.html").read_text()
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_borders_stand_out_from_the_page(scheme):
    """WCAG 1.4.11: what tells something has a contrast of at least 3."""
    style = (Path(page.__file__).parent / "page.css").read_text()
    colors = dict(re.findall(r"--(\w+): (#\w+)", style.split("@media")[0]))
    if scheme == "dark":
        colors |= dict(re.findall(r"--(\w+): (#\w+)", style.split("@media")[1]))
    for color in (*page.PALETTE, *(colors[tone] for tone in ("good", "info", "warning", "error"))):
        assert contrast(color, colors["paper"]) >= 3, color
        assert contrast(color, colors["card"]) >= 2.7, color


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color):
    shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
