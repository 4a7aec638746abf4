"""The source of modules that register ingredients: its files, and a hash of them.

A module is taken with the package it is in, and with the modules beside it that it
imports. Of an installed package only a hash is taken: it is there, or is not.
"""

import ast
import hashlib
import inspect
import sys
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthotune.schema.registry import Ingredient

MAIN = "__main__"


@dataclass(frozen=True, kw_only=True)
class ModuleSource:
    """The source of a module.

    Args:
        name: Of the module.
        files: Its text and that of what it needs beside it, by path below the folder
            from which it is imported; empty for what stands in a notebook.
        digest: A hash of these.
        installed: Whether it is part of an installed package.
    """

    name: str
    files: Mapping[str, str]
    digest: str
    installed: bool


_READ: dict[str, ModuleSource] = {}


def source_of(ingredient: Ingredient) -> ModuleSource:
    """The source of an ingredient's module, as it was when it was first asked for."""
    name = ingredient.module
    if name not in _READ:
        _READ[name] = _read(name, ingredient.make)
    return _READ[name]


def read_again(name: str) -> None:
    """Have a module's source read anew: it is imported anew."""
    _READ.pop(name, None)


def digest_of(ingredient: Ingredient) -> str:
    """A hash of an ingredient's source.

    Example:
        >>> from orthotune.schema.registry import ingredient
        >>> len(digest_of(ingredient("network", "plain")))
        16
    """
    return source_of(ingredient).digest


def _read(name: str, function: Any) -> ModuleSource:  # noqa: ANN401 - a function
    file = getattr(sys.modules.get(name), "__file__", None)
    if file is None or not Path(file).is_file():  # of a notebook
        text = inspect.getsource(function)
        return ModuleSource(name=name, files={}, digest=_hash([text]), installed=False)
    path = Path(file).resolve()
    above = 0 if name == MAIN else name.count(".") + (path.name == "__init__.py")
    root = path.parents[above]
    installed = str(root) in {sysconfig.get_path(key) for key in ("purelib", "platlib")}
    files = _with_imported(path, root, everything=not installed)
    texts = {str(one.relative_to(root)): one.read_text("utf-8") for one in files}
    return ModuleSource(
        name=name,
        files=texts,
        digest=_hash([part for item in sorted(texts.items()) for part in item]),
        installed=installed,
    )


def _hash(texts: list[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()[:16]


def _with_imported(path: Path, root: Path, *, everything: bool) -> list[Path]:
    """A file with its package, and those beside it that they import, if wanted."""
    found: dict[Path, None] = {}
    waiting = _package_of(path, root)
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = None
        if everything:
            for name in _imported(file):
                waiting += _beside(root, name)
    return list(found)


def _package_of(path: Path, root: Path) -> list[Path]:
    """All files of the outermost package that a file is in, or the file."""
    top = root / path.relative_to(root).parts[0]
    return sorted(top.rglob("*.py")) if top.is_dir() else [path]


def _beside(root: Path, name: str) -> list[Path]:
    """The files of a module of this name in a folder; none if there is none."""
    package = root / name / "__init__.py"
    if package.is_file():
        return _package_of(package, root)
    module = root / f"{name}.py"
    return [module] if module.is_file() else []


def _imported(file: Path) -> set[str]:
    """The outermost names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names
