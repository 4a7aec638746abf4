"""Modules that are changed as processes import them, whoever starts these processes."""

import os
from pathlib import Path

FINDER = """

import importlib.abc
import importlib.util
import sys


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name not in CHANGES:
            return None
        sys.meta_path.remove(self)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            sys.meta_path.insert(0, self)
        whole = spec.loader.exec_module

        def exec_module(module):
            whole(module)
            CHANGES[name](module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
"""


def python_path(folder: Path, code: str) -> str:
    """A value of PYTHONPATH under which modules are changed.

    Args:
        folder: Where the `sitecustomize` goes, which Python imports at its start.
        code: Python that sets `CHANGES`: functions of a module, by the module's name.
    """
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(code + FINDER)
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
