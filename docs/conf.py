"""How Sphinx builds the site: `make docs`.

Sphinx and not MkDocs, because the docstrings are written in its language (formulas,
tables), and because it is the better kept: of MkDocs 1 there has been no release since
2024, and its theme Material is maintained no longer than needed. The pages are plain
Markdown that also reads without being built. Nothing is fetched, neither when the site
is built nor when it is read: formulas are MathML, the theme has its fonts and scripts
with it.
"""

import re
import sys
from pathlib import Path

from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pages  # noqa: E402 - found by the line above
import tables  # noqa: E402

project = "orthotune"
html_title = "orthotune"
author = "the authors of orthotune"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_math_renderer = "mathml"
# What is in single backticks in a docstring is code.
default_role = "code"
smartquotes = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

LEDGER = re.compile(
    r"\((?:\.\./)+ablations/results/(\w+)/(?:report|README)\.md(#\S+)?\)"
)
ELSEWHERE = {
    "cluster/README.md": "cluster.md",
    "orthotune/record/RECORD.md": "record.md",
}
"""Documents that live beside what they describe, and the site's copies of them."""


def _read(_app: Sphinx, name: str, source: list[str]) -> None:
    """A page as the site shows it: with its tables, and links that stay in the site."""
    if name.startswith(pages.FOLDER.name):
        return
    up = "../" * name.count("/") + pages.FOLDER.name
    text = tables.filled(source[0])
    text = LEDGER.sub(rf"({up}/ledgers/\1.md\2)", text)
    for path, copy in ELSEWHERE.items():
        text = re.sub(rf"\((?:\.\./)+{re.escape(path)}", f"({up}/{copy}", text)
    source[0] = text


def _inline(translator, node) -> None:  # noqa: ANN001 - Sphinx's own
    translator.body.append(tex2mathml(node.astext()))
    _skip()


def _block(translator, node) -> None:  # noqa: ANN001
    translator.body.append(tex2mathml(node.astext(), as_block=True))
    _skip()


def _skip() -> None:
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app: Sphinx) -> None:
    """Write the pages that are made of code and ledgers, and join the hooks."""
    pages.write()
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("source-read", _read)
