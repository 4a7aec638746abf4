"""Where a number comes from: commit, versions, host."""

import getpass
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import orthotune

PACKAGES = ("torch", "torchvision", "ray", "optuna", "mlflow", "numpy", "scikit-learn")


def provenance() -> dict[str, str]:
    """Tags that say what ran, on what; MLflow's own names where it has them.

    The commit is that of the checkout orthotune runs from; an installed copy outside a
    checkout has none.

    Example:
        >>> tags = provenance()
        >>> tags["version.orthotune"]
        '0.1.0'
    """
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": " ".join(["python -m orthotune.search", *sys.argv[1:]]),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "version.python": platform.python_version(),
        "version.orthotune": orthotune.__version__,
    }
    for package in PACKAGES:
        tags[f"version.{package}"] = metadata.version(package)
    return tags | _git()


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
    return {
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": _git_output("rev-parse", "--abbrev-ref", "HEAD"),
        "mlflow.source.git.dirty": str(bool(status)).lower(),
    }


def _git_output(*arguments: str) -> str:
    folder = Path(orthotune.__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
