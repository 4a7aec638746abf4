"""Reports as HTML: one file, everything in it, nothing that a text could smuggle in."""

import re

import pytest

from orthotune.figures.drawing import draw_svg
from orthotune.figures.page import write_page

TEXT = """\
# Is a < b?

| arm  | mean |
|------|------|
| full | 0.1  |

![The <curves>](curves.svg)

<script>alert(1)</script>
"""


@pytest.fixture
def page(tmp_path):
    draw_svg(tmp_path / "curves.svg", (4, 2), lambda figure: figure.subplots())
    write_page(tmp_path / "report.html", TEXT)
    return (tmp_path / "report.html").read_text()


def test_figures_and_tables_are_inside(page):
    assert "<title>Is a &lt; b?</title>" in page
    assert '<svg role="img" aria-label="The &lt;curves&gt;"' in page
    assert '<div class="wide"><table>' in page
    assert "<td>full</td>" in page


def test_nothing_is_asked_of_the_network(page):
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    without_names = re.sub(r"<!DOCTYPE svg.*?>", "", without_names, flags=re.DOTALL)
    assert "http" not in without_names.replace("http-equiv", "")
    assert "default-src 'none'" in page


def test_html_in_a_text_is_text(page):
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_bitmap_is_inside_as_data(tmp_path):
    (tmp_path / "dot.png").write_bytes(b"\x89PNG")
    write_page(tmp_path / "report.html", "# A dot\n\n![Dot](dot.png)\n")
    page = (tmp_path / "report.html").read_text()
    assert '<img alt="Dot" src="data:image/png;base64,iVBORw==">' in page


def test_a_figure_follows_the_theme_and_repeats_itself(tmp_path):
    def draw(figure):
        figure.subplots().set_title("drawn")

    draw_svg(tmp_path / "one.svg", (4, 2), draw)
    first = (tmp_path / "one.svg").read_text()
    draw_svg(tmp_path / "one.svg", (4, 2), draw)
    assert (tmp_path / "one.svg").read_text() == first
    assert "prefers-color-scheme:dark" in first
    assert "currentColor" in first
    assert "#000000" not in first
    assert ">drawn</text>" in first
