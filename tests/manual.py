"""The pages that people read, and what is in them to be run."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MADE = {"_build", "generated"}
"""Folders of `docs` that `make docs` fills."""

PAGES = [
    ROOT / "README.md",
    *sorted(
        path
        for path in (ROOT / "docs").rglob("*.md")
        if not MADE & set(path.relative_to(ROOT).parts)
    ),
]


def blocks(language, page=None):
    """The blocks of a language: of one page, or of all, each once."""
    pages = [page] if page else PAGES
    pattern = rf"^```{language}\n(.*?)^```"
    found = [
        block
        for path in pages
        for block in re.findall(pattern, path.read_text(), re.DOTALL | re.MULTILINE)
    ]
    return list(dict.fromkeys(found))


def commands(page=None):
    """The commands of one page, or of all, each once."""
    lines = "".join(blocks("bash", page)).splitlines()
    found = (line.partition(" #")[0].strip() for line in lines)
    return list(dict.fromkeys(filter(None, found)))
