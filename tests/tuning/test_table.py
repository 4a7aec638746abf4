"""Tables as a reader sees them."""

from markdown_it import MarkdownIt

from orthotune.tuning.table import markdown_table


def test_a_bar_within_a_cell_is_no_border():
    text = markdown_table([["name", "value"], ["a|b", "1"]])
    page = MarkdownIt("js-default").render(text)
    assert "<td>a|b</td>" in page
    assert page.count("<td>") == 2
