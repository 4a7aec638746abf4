"""Writes the table of claims in `docs/explanation/results.md` from the ledgers.

Usage: `make results`, or `python ablations/claims_table.py`.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "results.md"
START, END = "<!-- claims: make results -->\n", "<!-- end of claims -->\n"
COLUMNS = (
    "claim",
    "verdict",
    "effect",
    "interval",
    "corrected p",
    "p of equivalence",
    "n",
)


def claims(report: str) -> list[list[str]]:
    """The rows of a report's tables of claims, by `COLUMNS`.

    Those judged after every arm was tuned anew follow those at the shared setting.

    Args:
        report: A `report.md`.
    """
    header, *rows = _table(report, "Claims", "")
    # Older ledgers say of which confidence the interval is.
    names = [re.sub(r"^[\d.]+ % ", "", name) for name in header]
    places = [names.index(column) for column in COLUMNS]
    found = [[row[place] for place in places] for row in rows]
    if "\n## After re-tuning\n" in report:
        header, *rows = _table(report, "After re-tuning", "| claim ")
        places = [header.index(f"re-tuned {column}") for column in COLUMNS[1:]]
        found += [
            [f"{row[0]}, re-tuned", *(row[place] for place in places)] for row in rows
        ]
    return found


def _table(report: str, title: str, start: str) -> list[list[str]]:
    """The cells of a section's first table whose header starts in a certain way."""
    section = report.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    for block in section.split("\n\n"):
        lines = [line for line in block.splitlines() if line.startswith("| ")]
        if lines and lines[0].startswith(start):
            return [_cells(line) for line in lines]
    return []


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def table(results: Path) -> str:
    """The claims of every ledger in a folder as a Markdown table."""
    lines = [f"| ablation | {' | '.join(COLUMNS)} |", "|---" * 8 + "|"]
    for path in sorted(results.glob("*/report.md")):
        name = path.parent.name
        link = f"[{name}](../../ablations/results/{name}/report.md)"
        lines += [f"| {link} | {' | '.join(row)} |" for row in claims(path.read_text())]
    return "\n".join(lines) + "\n"


def updated(page: str, results: Path) -> str:
    """A page with the table as the ledgers have it.

    Raises:
        ValueError: If the page has no place for it.
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(
            f"The page must hold the lines {START.strip()!r} and {END.strip()!r}, "
            "between which the table stands. Put them back."
        )
    return f"{before}{START}\n{table(results)}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(), ROOT / "ablations" / "results"))
