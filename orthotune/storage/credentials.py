"""Keys of a storage, kept away from Ray while a study runs.

Ray Tune copies `AWS_SECRET_ACCESS_KEY` and its like from the environment of the driver
into what it asks of every node for an actor, and the nodes write that into their logs,
which every user of a machine can read. So they leave the environment once Ray is up;
what speaks to the storage in this process finds them in a file that only it can open.
Workers have the environment of their node, as the preflight has seen.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

KEYS = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
    "AWS_SECURITY_TOKEN": "aws_security_token",
}
"""Names in the environment, and in a file of credentials."""

FILE = "AWS_SHARED_CREDENTIALS_FILE"


@contextmanager
def storage_keys() -> Iterator[Callable[[], None]]:
    """Yields a function that removes the keys from the environment, until the end.

    The file is in memory, has no name, and is gone with this process.

    Example:
        >>> os.environ["AWS_SECRET_ACCESS_KEY"] = "example"
        >>> with storage_keys() as hide:
        ...     hide()
        ...     "AWS_SECRET_ACCESS_KEY" in os.environ
        False
        >>> os.environ.pop("AWS_SECRET_ACCESS_KEY")
        'example'
    """
    keys = {name: os.environ[name] for name in KEYS if os.environ.get(name)}
    if not keys or not hasattr(os, "memfd_create"):
        yield lambda: None
        return
    before = os.environ.get(FILE)
    file = os.memfd_create("storage-keys")
    os.write(file, _credentials(keys).encode())
    # Before there are threads: others read the environment while it grows.
    os.environ[FILE] = f"/proc/self/fd/{file}"

    def hide() -> None:
        for name in keys:
            os.environ.pop(name, None)

    try:
        yield hide
    finally:
        os.environ.update(keys)
        if before is None:
            del os.environ[FILE]
        else:
            os.environ[FILE] = before
        os.close(file)


def _credentials(keys: dict[str, str]) -> str:
    profile = os.environ.get("AWS_PROFILE") or "default"
    lines = [f"{KEYS[name]} = {value}" for name, value in keys.items()]
    return "\n".join([f"[{profile}]", *lines, ""])
