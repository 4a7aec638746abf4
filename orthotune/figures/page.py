"""A report as one HTML file that needs nothing beside it."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orthotune.figures.live import LivePage, container, scripts
from orthotune.files import atomic_write

if TYPE_CHECKING:
    from markdown_it.token import Token

# What is wider than the page scrolls by itself, and a shadow lies on each side that
# hides some of it: painted on the box, below covers of the page's colour that scroll
# with the content. That needs no script, which the policy below forbids but to figures
# that answer. What a still figure says of its own elements holds in the whole page.
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --line: #c9ccd1; --link: #0b57a4;
        --soft: #8080801c; --shadow: #0008 }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #16181d; --line: #3c4048; --link: #7db7f0; --soft: #80808030;
          --shadow: #fff7 }
  body { color: #e6e6e6 }
}
body { max-width: 78rem; margin: 2rem auto; padding: 0 1rem; background: var(--page);
       font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word }
h1 { font-size: 1.6rem; line-height: 1.25 }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line) }
p, ul, .figure { max-width: 60rem }
a { color: var(--link) }
code, pre { font: 0.9em/1.4 ui-monospace, monospace; background: var(--soft) }
.wide, .figure, pre {
  overflow-x: auto;
  background:
    linear-gradient(to right, var(--page) 40%, transparent) left / 2rem 100% local,
    linear-gradient(to left, var(--page) 40%, transparent) right / 2rem 100% local,
    linear-gradient(to right, var(--shadow), transparent) left / 0.8rem 100% scroll,
    linear-gradient(to left, var(--shadow), transparent) right / 0.8rem 100% scroll;
  background-color: var(--page); background-repeat: no-repeat }
pre { padding: 0.8rem; border: 1px solid var(--line) }
pre code { background: none }
table { border-collapse: collapse; font-size: 0.9rem;
        font-variant-numeric: tabular-nums }
th, td { padding: 0.3rem 0.6rem; border-bottom: 1px solid var(--line);
         text-align: left; vertical-align: top }
th { background: var(--soft) }
td:not(:first-child) { white-space: nowrap }
.figure { display: block; break-inside: avoid }
:is(.figure, .still) > :is(svg, img) { display: block; width: 100%; min-width: 34rem;
                                       height: auto; background: none }
.still { display: block }
.live, .answers .still { display: none }
.answers .live, .said { display: block }
.live svg { background: none }
.live text { stroke: none; text-shadow: none !important }
.live .domain { stroke: currentColor !important }
.live .tick line { display: none }
.said:empty, .note:empty { display: none }
.note { position: fixed; z-index: 9; padding: 0.3rem 0.6rem; white-space: pre;
        pointer-events: none; font-size: 12px; background: var(--page);
        border: 1px solid var(--line) }
@media print {
  .live, .answers .live, .said, .hint, .note { display: none }
  .answers .still { display: block }
  body { max-width: none; margin: 0; font-size: 10pt }
  .wide, .figure, pre { background: none }
  :is(.figure, .still) > :is(svg, img) { min-width: 0 }
  tr, h2 { break-inside: avoid; break-after: avoid }
}
"""

# A reader can trust that opening it tells nobody.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


STILL = LivePage()
"""No figure that answers."""


def write_page(path: Path, markdown: str, live: LivePage = STILL) -> None:
    """Write a text in Markdown as an HTML file with its figures inside.

    Without its script, and on paper, every figure is the still one.

    Args:
        path: The file; figures are looked for beside it.
        markdown: The text; its first line is a heading, which names the page. HTML in
            it is shown as text.
        live: Figures that answer, in place of still ones in the text.
    """
    title = html.escape(markdown.splitlines()[0].lstrip("# "))
    body, policy = _body(markdown, path.parent, live), _POLICY
    if live.figures:
        script, sources = scripts(live)
        body, policy = body + script, f"{_POLICY}; script-src {sources}"
    page = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )
    with atomic_write(path) as file:
        file.write(page.encode())


def _body(markdown: str, folder: Path, live: LivePage) -> str:
    from markdown_it import MarkdownIt

    def image(_: object, tokens: "Sequence[Token]", index: int, *_more: object) -> str:
        token = tokens[index]
        path = folder / str(token.attrs["src"])
        still = _figure(path, token.content)
        if path.stem in live.figures:
            still = f'<span class="still">{still}</span>{container(path.stem)}'
        return f'<span class="figure">{still}</span>'

    parser = MarkdownIt("js-default")
    parser.add_render_rule("image", image)
    parser.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return parser.render(markdown)


def _figure(path: Path, caption: str) -> str:
    """A figure within the text; an SVG is text itself."""
    label = html.escape(caption, quote=True)
    if path.suffix == ".svg":
        drawing = path.read_text()
        drawing = drawing[drawing.index("<svg") :]
        inner = drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    else:
        data = base64.b64encode(path.read_bytes()).decode()
        kind = f"image/{path.suffix.removeprefix('.')}"
        inner = f'<img alt="{label}" src="data:{kind};base64,{data}">'
    return inner
