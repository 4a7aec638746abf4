"""Commands of other users, where the tests run as root."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

OWNER, OTHER = 11111, 54321
"""Users that have nothing to do with each other."""

HANGING_S = 600


@functools.cache
def possible() -> bool:
    """Whether this process may be others, which may run this Python."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    code = "import torch, orthotune"
    return as_user(OTHER, Path("/"), sys.executable, "-c", code).returncode == 0


def as_user(
    user: int, home: Path, *words: str, **how: object
) -> subprocess.CompletedProcess[str]:
    """A command as another user, once it has ended."""
    return subprocess.run(
        ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words],
        env={
            **os.environ,
            "HOME": str(home),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLFLOW_TRACKING_URI": "",
        },
        capture_output=True,
        text=True,
        timeout=HANGING_S,
        check=False,
        **how,
    )
