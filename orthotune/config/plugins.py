"""Modules of others that register ingredients: imported, sent, and imported elsewhere.

Workers import a copy of what the driver has, from a folder of their own: the code of a
study does not change while it runs, and a node needs no copy of it. What is part of an
installed package is not sent, but compared.
"""

import importlib
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthotune.config.sources import MAIN, ModuleSource, read_again, source_of
from orthotune.config.trial import FIELD_RULES
from orthotune.errors import PluginError, cut
from orthotune.files import atomic_write
from orthotune.schema.kinds import KINDS
from orthotune.schema.registry import Ingredient, forget, ingredients

FRAMES_SHOWN = 2
"""Of a traceback of somebody's own code."""

_OTHERS = tuple(
    str(Path(folder).resolve())
    for folder in (
        *(sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")),
        Path(__file__).parents[1],
    )
)
"""Folders of code that is nobody's own."""


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """Modules as they are sent to where trials run.

    Args:
        modules: Their names.
        files: Their files, by path below the folder from which they are imported.
        installed: The hashes of those that are part of installed packages.
        digest: A hash of all of it.
    """

    modules: Sequence[str]
    files: Mapping[str, str]
    installed: Mapping[str, str]
    digest: str


def import_plugins(modules: Iterable[str], folder: str = ".") -> None:
    """Import modules that register ingredients, by name or by their file.

    Args:
        modules: The modules.
        folder: Where they are looked for, too.

    Raises:
        PluginError: If one cannot be imported, with its own error; or registers
            nothing; or settings have a name that is taken.
    """
    here = str(Path(folder).resolve())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    for module in modules:
        name = module_name(module)
        before = _registered()
        _import(name, module)
        if _registered() == before and not _from(name):
            raise PluginError(
                f"--import must name a module that registers something, but {module} "
                "registers nothing. Decorate a function of it, for example with "
                '@orthotune.network("my_net").'
            )
    len(FIELD_RULES)  # refuses what has two meanings


def plugins() -> list[Ingredient]:
    """Every ingredient that does not come with orthotune."""
    every = (one for kind in KINDS for one in ingredients(kind).values())
    return [one for one in every if not one.is_ours]


def shipment() -> Shipment | None:
    """What workers need of the modules that are registered here; None for nothing.

    Raises:
        PluginError: If one cannot be imported elsewhere: it is a script, or a notebook.
    """
    sources = {one.module: source_of(one) for one in plugins()}
    for name in sources:
        _check_importable(name, sources[name])
    if not sources:
        return None
    sent = [source for source in sources.values() if not source.installed]
    return Shipment(
        modules=[source.name for source in sent],
        files={path: text for source in sent for path, text in source.files.items()},
        installed={one.name: one.digest for one in sources.values() if one.installed},
        digest="-".join(sorted(source.digest for source in sources.values())),
    )


_TAKEN: list[str] = []
"""The digest of the last shipment that this process has taken."""


def take(sent: Shipment | None, folder: Path) -> None:
    """Import what was sent, once a process.

    Args:
        sent: The modules.
        folder: Of this process alone: they are written into a folder in it.

    Raises:
        PluginError: If one cannot be imported here, or a package is another.
    """
    if sent is None or sent.digest in _TAKEN[-1:]:
        return
    root = folder / f"plugins-{sent.digest[:60]}"
    write_files(sent.files, root)
    _forget(sent.files)
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
    for name in sent.modules:
        _import(name, name)
    for name, digest in sent.installed.items():
        _check_installed(name, digest)
    _TAKEN.append(sent.digest)


def write_files(files: Mapping[str, str], folder: Path) -> None:
    """Write the files of modules into a folder, by their paths below it."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as opened:
            opened.write(text.encode())


def _check_installed(name: str, digest: str) -> None:
    _import(name, name)
    here = {source_of(one).digest for one in _from(name)}
    if here != {digest}:
        raise PluginError(
            f"The installed plug-in {name} must be that of the driver, but is another "
            "here. Install the same version."
        )


def _forget(files: Iterable[str]) -> None:
    """Take out what an earlier version of modules has left."""
    names = {
        ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")
        for path in files
    }
    forget(sorted(names))
    for name in names:
        sys.modules.pop(name, None)
        read_again(name)


def _import(name: str, shown: str) -> None:
    try:
        importlib.import_module(name)
    except PluginError:
        raise
    except BaseException as err:  # of a user's own code; it may end in sys.exit, too
        if isinstance(err, KeyboardInterrupt):
            raise
        missing = isinstance(err, ModuleNotFoundError) and err.name in (
            name,
            name.partition(".")[0],
        )
        if missing:
            raise PluginError(
                f"--import must name a module that can be imported, but {cut(shown)} "
                "is not found. Run the command where it is, or add its folder to "
                "PYTHONPATH."
            ) from err
        raise PluginError(
            f"--import must name a module that can be imported, but {cut(shown)} "
            f"fails:\n{own_trace(err)}"
        ) from err


def own_trace(err: BaseException) -> str:
    """Where an error came from in somebody's own code, and what it says."""
    frames = traceback.extract_tb(err.__traceback__)
    own = [one for one in frames if not one.filename.startswith((*_OTHERS, "<"))]
    lines = traceback.format_list(own[-FRAMES_SHOWN:])
    return "".join([*lines, *traceback.format_exception_only(err)]).rstrip()


def module_name(module: str) -> str:
    """The name of a module that may be given as a file."""
    path = Path(module)
    if path.suffix != ".py":
        return module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return path.stem


def _registered() -> int:
    return len(plugins())


def _from(name: str) -> list[Ingredient]:
    """What a module, or one within it, has registered."""
    return [one for one in plugins() if f"{one.module}.".startswith(f"{name}.")]


def _check_importable(name: str, source: ModuleSource) -> None:
    if name == MAIN or not source.files:
        made = next(one.name for one in plugins() if one.module == name)
        raise PluginError(
            f"What is registered must stand in a module that workers can import, but "
            f"{made} stands in the script or notebook itself. Move it into a file, and "
            "import that."
        )
