"""A report's page as a browser lays it out, on a desk and on a telephone."""

import pytest

from orthotune.figures.drawing import draw_svg
from orthotune.figures.page import write_page
from orthotune.text import markdown_table
from tests.browser import page

WORD = "0123456789abcdef" * 8
COLUMNS = [f"optimizer.some_long_name_{n}" for n in range(16)]
TEXT = f"""# A page

Commit {WORD}, as code `{WORD}`.

![A figure](figure.svg)

{markdown_table([COLUMNS, ["0.123456789"] * len(COLUMNS)])}

- `python -m orthotune.search {" ".join(["--set optimizer.lr=0.1"] * 12)}`
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")

    def draw(figure):
        figure.subplots().plot([1, 2], [3, 4])

    draw_svg(folder / "figure.svg", (8.0, 4.0), draw)
    write_page(folder / "report.html", TEXT)
    return (folder / "report.html").as_uri()


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_as_wide_as_the_window(address, width):
    """What is wider scrolls by itself."""
    with page(width) as shown:
        shown.goto(address)
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        table = shown.locator(".wide").first
        inner, outer = (
            table.evaluate(f"e => e.{name}") for name in ("scrollWidth", "clientWidth")
        )
        assert inner > outer  # or there would be nothing to scroll


def test_dark_and_light_are_the_readers(address):
    seen = {}
    for scheme in ("light", "dark"):
        with page(scheme=scheme) as shown:
            shown.goto(address)
            style = "getComputedStyle(document.body)"
            seen[scheme] = [
                sum(map(int, shown.evaluate(f"{style}.{what}.match(/\\d+/g)")[:3]))
                for what in ("color", "backgroundColor")
            ]
    text, ground = seen["dark"]
    assert text > 600 > 150 > ground
    assert seen["light"][0] < 150  # on the browser's own white
