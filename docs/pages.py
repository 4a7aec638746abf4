"""Pages of the site that are made of what lies elsewhere: the code and the ledgers.

They are written into `docs/generated`, which git ignores, when the site is built.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
FOLDER = HERE / "generated"
COPIES = {
    "cluster.md": ROOT / "cluster" / "README.md",
    "record.md": ROOT / "orthotune" / "record" / "RECORD.md",
}


def write() -> None:
    """Write all of them anew."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "api").mkdir(parents=True)
    (FOLDER / "ledgers").mkdir()
    for name, path in COPIES.items():
        (FOLDER / name).write_text(path.read_text())
    for folder in ledgers():
        _copy_ledger(folder)
    for name, modules in rooms().items():
        (FOLDER / "api" / f"{name}.rst").write_text(api_page(name, modules))


def ledgers() -> list[Path]:
    """The folders of what was measured."""
    return sorted(path for path in (ROOT / "ablations" / "results").iterdir())


def _copy_ledger(folder: Path) -> None:
    """A ledger's page and its figures; what else it names stays in its folder."""
    name = folder.name
    page = folder / "report.md"
    page = page if page.exists() else folder / "README.md"
    text = re.sub(r"\((\w+\.svg)\)", rf"({name}/\1)", page.read_text())
    (FOLDER / "ledgers" / f"{name}.md").write_text(text)
    for figure in folder.glob("*.svg"):
        (FOLDER / "ledgers" / name).mkdir(exist_ok=True)
        shutil.copy(figure, FOLDER / "ledgers" / name)


def rooms() -> dict[str, list[str]]:
    """The modules of every room, and of the roof, which is called `orthotune`.

    Not those that `python -m` runs: they refuse to be imported.
    """
    package = ROOT / "orthotune"
    found = {
        "orthotune": [
            f"orthotune.{path.stem}"
            for path in sorted(package.glob("*.py"))
            if not path.stem.startswith("__")
            and not (package / "commands" / path.name).exists()
        ]
    }
    for room in sorted(package.iterdir()):
        if (room / "__init__.py").exists():
            names = (path.stem for path in sorted(room.glob("*.py")))
            found[room.name] = [
                f"orthotune.{room.name}.{name}" for name in names if name != "__init__"
            ]
    return found


def api_page(room: str, modules: list[str]) -> str:
    """The page of a room: what it says of itself, and its modules.

    Args:
        room: Its name.
        modules: Its modules, by their full names.
    """
    package = "orthotune" if room == "orthotune" else f"orthotune.{room}"
    blocks = [_title(package, "="), f".. automodule:: {package}\n   :no-members:\n"]
    for module in modules:
        blocks += [_title(module, "-"), f".. automodule:: {module}\n"]
    return "\n".join(blocks)


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n"


def room_docstrings() -> Iterator[tuple[str, str]]:
    """Name and docstring of every room, in the order of the files."""
    for path in sorted((ROOT / "orthotune").glob("*/__init__.py")):
        docstring = ast.get_docstring(ast.parse(path.read_text()))
        yield path.parent.name, docstring or ""
