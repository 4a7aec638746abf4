"""Figures that answer, in a real browser: from a file, asking nobody."""

import contextlib
import re

import pytest

from tests.browser import page
from tests.figures.answering import HOSTILE, trials, written


@contextlib.contextmanager
def opened(path, width=1280, scheme="light", options=()):
    """The page once its figures are drawn, and what it asked for and complained of."""
    with page(width, scheme, options) as shown:
        asked, said = [], []
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("console", lambda told: said.append((told.type, told.text)))
        shown.on("pageerror", lambda error: said.append(("error", str(error))))
        shown.goto(path.as_uri())
        shown.wait_for_selector("html[data-drawn]", state="attached")
        yield shown
        assert asked == [path.as_uri()]
        assert [text for kind, text in said if kind == "error"] == []


@pytest.fixture
def path(tmp_path):
    return written(tmp_path, trials())


def marks(shown, name):
    return shown.locator(f"#live-{name} .scatterlayer .points path:visible")


def brush(shown, axis, start, end):
    """Drag along an axis of the parallel coordinates, between parts of its height."""
    box = shown.locator("#live-parallel .domain").nth(axis).bounding_box()
    x, low, high = box["x"] + box["width"] / 2, box["y"] + box["height"], box["height"]
    shown.mouse.move(x, low - start * high)
    shown.mouse.down()
    for part in range(1, 6):
        shown.mouse.move(x, low - (start + (end - start) * part / 5) * high)
    shown.mouse.up()


def test_a_page_answers_hovering_filtering_and_brushing_and_asks_nobody(path):
    with opened(path) as shown:
        drawn = shown.locator("html").get_attribute("data-drawn").split()
        assert drawn == ["budget", "parallel", "slices"]
        assert shown.locator(".still:visible").count() == 0
        assert shown.locator(".figure > svg:visible").count() == 1  # the still one
        # Hovering: of the best, whose mark is the first of the full budget.
        assert marks(shown, "budget").count() == 30
        marks(shown, "budget").first.hover(force=True)
        note = shown.locator("#live-budget .hovertext")
        note.wait_for()
        assert "trial 0" in note.text_content()
        # Filtering: a click on the first kind of trials, those of the full budget.
        shown.locator("#live-budget .legendtoggle").nth(1).click()
        shown.wait_for_function(
            "document.querySelectorAll('#live-budget .points path').length === 20"
        )
        # Brushing: the best half by rank, of those that can be compared.
        assert marks(shown, "slices").count() == 30 + 30 + 15
        brush(shown, 3, 0.08, 0.55)
        shown.locator(".said").filter(has_text="Selected").wait_for()
        told = shown.locator(".said").text_content()
        found = re.match(r"Selected: (\d+) of 30, by rank: ([\d, ]+)\.", told)
        kept = [int(number) for number in found[2].split(", ")]
        assert len(kept) == int(found[1])
        assert kept == list(range(len(kept)))
        assert 3 <= len(kept) <= 6
        halves = [number for number in kept if number % 2]
        assert marks(shown, "slices").count() == 2 * len(kept) + len(halves)
        # A name that is a script is a name, in every figure.
        assert shown.evaluate("typeof hacked") == "undefined"
        ticks = shown.locator("#live-slices .xtick, #live-slices .x2tick")
        start = HOSTILE[:13]
        assert [text for text in ticks.all_text_contents() if text.startswith(start)]
        assert "&lt;" not in shown.locator("#live-parallel").text_content()


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_fit_a_telephone_and_have_the_colours_of_the_page(path, scheme):
    with opened(path, 390, scheme) as shown:
        assert shown.evaluate("document.documentElement.scrollWidth") <= 390
        boxes = [
            shown.locator("#live-slices .bglayer rect").nth(name).bounding_box()
            for name in range(3)
        ]
        assert len({box["y"] for box in boxes}) == 3  # below each other
        ink = shown.evaluate("getComputedStyle(document.body).color")
        for place in (
            "budget .xtick text",
            "parallel .axis-title",
            "slices .g-xtitle text",
        ):
            fill = f"getComputedStyle(document.querySelector('#live-{place}')).fill"
            assert shown.evaluate(fill) == ink
        ground = "getComputedStyle(document.querySelector('#live-budget svg'))"
        assert shown.evaluate(f"{ground}.backgroundColor") == "rgba(0, 0, 0, 0)"


@pytest.mark.soak
def test_what_is_selected_stays_when_the_theme_or_the_window_changes(path):
    with opened(path) as shown:
        brush(shown, 3, 0.08, 0.55)
        shown.locator(".said").filter(has_text="Selected").wait_for()
        told, count = shown.locator(".said").text_content(), marks(shown, "budget")
        kept = count.count()
        shown.emulate_media(color_scheme="dark")
        shown.set_viewport_size({"width": 700, "height": 900})
        shown.wait_for_function(
            "document.querySelector('#live-budget .main-svg').clientWidth < 700"
        )
        shown.wait_for_timeout(1000)
        assert marks(shown, "budget").count() == kept < 30
        assert shown.locator(".said").text_content() == told
        shown.get_by_role("button", name="Show all").click()
        shown.wait_for_function("!document.querySelector('.said').textContent")
        shown.wait_for_function(
            "document.querySelectorAll('#live-budget .points path').length === 30"
        )


@pytest.mark.soak
def test_hovering_over_a_line_of_the_parallel_coordinates_shows_its_trial(path):
    with opened(path) as shown:
        shown.locator("#live-parallel").scroll_into_view_if_needed()
        axes = shown.locator("#live-parallel .domain")
        left, right = axes.nth(2).bounding_box(), axes.nth(3).bounding_box()
        # Half way between the last two axes: of the best no coefficient is in effect,
        # and by rank it is the first, 0.12 above that of a scale of 1.12.
        middle = (left["x"] + right["x"]) / 2
        upwards = 0.5 * (0 + 0.12 / 1.12)
        shown.mouse.move(middle, left["y"] + (1 - upwards) * left["height"])
        note = shown.locator(".note")
        assert note.text_content().startswith("trial 0\n")
        assert note.is_visible()
        shown.mouse.move(middle, left["y"] - 60)
        assert not note.is_visible()


@pytest.mark.soak
def test_on_paper_every_figure_is_the_still_one(path):
    with opened(path) as shown:
        shown.emulate_media(media="print")
        assert shown.locator(".still > svg:visible").count() == 3
        assert shown.locator(".live:visible, .hint:visible").count() == 0


@pytest.mark.soak
def test_what_a_browser_cannot_draw_stays_still(path):
    with opened(path, options=["--disable-3d-apis"]) as shown:
        drawn = shown.locator("html").get_attribute("data-drawn").split()
        assert drawn == ["budget", "slices"]
        assert shown.locator(".still > svg:visible").count() == 1
        assert "parallel" not in shown.locator(".hint").text_content()
