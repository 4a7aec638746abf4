"""Provenance of results: commit, local changes, versions, host."""

import getpass
import json
import platform
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import orthotune
from orthotune.config.plugins import plugins
from orthotune.config.sources import digest_of, source_of
from orthotune.storage.redaction import without_secrets

PACKED = "provenance.json"
"""Beside the code of a package that `orthotune.pack` has copied: where it is from."""

ORIGIN_FILES = (
    "packages.txt",
    "packages-packed.txt",
    "uncommitted.diff",
    "plugins.txt",
)
"""What `origin_texts` may give."""

COMMIT = "mlflow.source.git.commit"
"""The tag that says which commit the code is of."""

UNKNOWN = "unknown"
"""In place of a commit that nobody knows."""

DIRTY = "mlflow.source.git.dirty"
"""The tag that says whether the code has changes that no commit has."""

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "scikit-learn")


def provenance() -> dict[str, str]:
    """Tags that say what ran, on what; MLflow's own names where it has them.

    The commit is that of the checkout orthotune runs from, or was packed from; another
    copy outside a checkout has none. Where git does not say whether there are changes
    beside it, as in a checkout of another user's, `mlflow.source.git.dirty` is unknown.

    Example:
        >>> tags = provenance()
        >>> tags["version.orthotune"]
        '0.1.0'
    """
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": _command(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "version.python": platform.python_version(),
        "version.orthotune": orthotune.__version__,
    }
    for package in PACKAGES:
        tags[f"version.{package}"] = metadata.version(package)
    for plugin in plugins():
        tags[f"plugin.{plugin.module}"] = digest_of(plugin)
    return tags | (_git() or _packed().get("tags", {}) or _unknown())


def origin_texts() -> dict[str, str]:
    """Texts that are too long for a tag, by file name.

    All installed packages; changes to the code that no commit has, if there are any;
    the packages of the machine the code was packed on, if it was; and the source of
    what others have registered.

    Example:
        >>> "torch==" in origin_texts()["packages.txt"]
        True
    """
    packed = {} if _git() else _packed()
    texts = {
        "packages.txt": _all_packages(),
        "packages-packed.txt": packed.get("packages", ""),
        "uncommitted.diff": packed.get("diff")
        or _git_output("diff", "HEAD", "--", ".")
        or "",
        "plugins.txt": _plugin_text(),
    }
    return {name: f"{text}\n" for name, text in texts.items() if text}


def _plugin_text() -> str:
    """The source of what others have registered, file after file."""
    files: dict[str, str] = {}
    for plugin in plugins():
        files |= source_of(plugin).files
    return "\n".join(f"# {path}\n{files[path]}" for path in sorted(files))


def packed_text() -> str:
    """The provenance that a packed copy of the code carries along, as JSON."""
    git = _git()
    origin = {
        "tags": git or _unknown(),
        "diff": _git_output("diff", "HEAD", "--", ".") or "",
        "packages": _all_packages(),
    }
    return json.dumps(origin if git else _packed() or origin, indent=1)


def _packed() -> dict[str, Any]:
    """What `packed_text` gave, in a packed copy."""
    path = _folder() / PACKED
    return json.loads(path.read_text()) if path.exists() else {}


def _all_packages() -> str:
    every = ((_name(one), one) for one in metadata.distributions())
    found = {name: one.version for name, one in every if name}
    return "\n".join(f"{name}=={found[name]}" for name in sorted(found, key=str.lower))


def _name(installed: metadata.Distribution) -> str | None:
    """Of a package; what a broken installation leaves, an empty folder, has none."""
    try:
        return installed.metadata["Name"]
    except FileNotFoundError:  # of importlib_metadata, which others may have loaded
        return None


def versions(*packages: str) -> str:
    """Python's version and those of packages, in words.

    Example:
        >>> versions("orthotune").startswith("Python 3.")
        True
    """
    found = [f"{package} {metadata.version(package)}" for package in packages]
    return ", ".join([f"Python {platform.python_version()}", *found])


def commits_text(commits: Sequence[str]) -> str:
    """The commits of the code that has run something, in words.

    Args:
        commits: Of its sessions, each once; none where nobody knows.

    Example:
        >>> commits_text([]), commits_text(["ab1"])
        ('commit unknown', 'commit ab1')
        >>> commits_text(["ab1", "cd2", UNKNOWN])
        'commits ab1, cd2 and unknown'
    """
    *others, last = commits or [UNKNOWN]
    return f"commits {', '.join(others)} and {last}" if others else f"commit {last}"


def _command() -> str:
    """What was typed, or the script or notebook that called us."""
    program = Path(sys.argv[0])
    ours = program.parent == _folder()
    name = f"python -m orthotune.{program.stem}" if ours else sys.argv[0]
    if program.name == "orthotune" or (ours and program.stem == "__main__"):
        name = "orthotune"
    return without_secrets(" ".join([name, *sys.argv[1:]]))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container without a user database
        return "unknown"


def _git() -> dict[str, str]:
    # An installed copy may lie inside somebody else's checkout.
    commit = _git_output("ls-files", "__init__.py") and _git_output("rev-parse", "HEAD")
    if not commit:
        return {}
    status = _git_output("status", "--porcelain", "--", ".")
    dirty = "unknown" if status is None else str(bool(status)).lower()
    return {
        COMMIT: commit,
        "mlflow.source.git.branch": _git_output("rev-parse", "--abbrev-ref", "HEAD")
        or "unknown",
        DIRTY: dirty,
    }


def _unknown() -> dict[str, str]:
    """For a copy in what looks like a checkout of which git says nothing."""
    in_checkout = any((folder / ".git").exists() for folder in _folder().parents)
    silent = _git_output("ls-files", "__init__.py") is None
    return {DIRTY: "unknown"} if in_checkout and silent else {}


def _folder() -> Path:
    return Path(orthotune.__file__).parent


def _git_output(*arguments: str) -> str | None:
    """What git prints; None if it fails, is not there, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(_folder()), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
