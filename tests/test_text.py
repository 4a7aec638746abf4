"""Tables, counts and durations as a reader sees them."""

import pytest
from markdown_it import MarkdownIt

from orthotune.text import duration, markdown_table


def test_a_bar_within_a_cell_is_no_border():
    text = markdown_table([["name", "value"], ["a|b", "1"]])
    page = MarkdownIt("js-default").render(text)
    assert "<td>a|b</td>" in page
    assert page.count("<td>") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42.3, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_a_duration_is_written_for_people(seconds, text):
    assert duration(seconds) == text
