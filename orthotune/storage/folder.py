"""Folders that every node sees: a path, or a URI that pyarrow can open."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs

from orthotune.files import atomic_write
from orthotune.storage.redaction import without_secrets


def is_remote(storage: str) -> bool:
    """Whether a storage is a URI, and so nothing in it can be appended to or locked.

    Example:
        >>> is_remote("s3://bucket/studies"), is_remote("studies")
        (True, False)
    """
    return "://" in storage


def absolute(storage: str) -> str:
    """A storage as every process understands it."""
    return storage if is_remote(storage) else os.path.realpath(storage)


def joined(storage: str, *names: str) -> str:
    """The path or URI of something in a storage; the options of a URI stay at its end.

    Example:
        >>> joined("s3://bucket/studies/?region=eu-west-1", "digits", "ray")
        's3://bucket/studies/digits/ray?region=eu-west-1'
        >>> joined("/shared", "digits")
        '/shared/digits'
    """
    place, mark, options = storage, "", ""
    if is_remote(storage):
        place, mark, options = storage.partition("?")
    return "/".join([place.rstrip("/"), *names]) + mark + options


@dataclass(frozen=True)
class StorageFolder:
    """A folder, on every node the same.

    Args:
        uri: An absolute path, or a URI that pyarrow can open.

    Raises:
        OSError: From every method, if the folder cannot be read or written.

    Example:
        >>> import tempfile
        >>> folder = StorageFolder(tempfile.mkdtemp() + "/checkpoints")
        >>> folder.write("trial-0000.pt", b"state")
        >>> folder.names(), folder.read("trial-0000.pt")
        (['trial-0000.pt'], b'state')
        >>> folder.delete("trial-0000.pt")
        >>> folder.read("trial-0000.pt") is None
        True
    """

    uri: str

    def place(self, name: str) -> str:
        """The name of a file as messages show it, without secrets."""
        return without_secrets(joined(self.uri, name))

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        files, path = self._open(name)
        try:
            with files.open_input_stream(path) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Replace a file; it is whole or as it was, whatever dies."""
        files, path = self._open(name)
        if isinstance(files, pafs.LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(Path(path)) as file:
                file.write(content)
            return
        # An object store shows an object once it is whole.
        with files.open_output_stream(path) as file:
            file.write(content)

    def delete(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""
        files, path = self._open(name)
        try:
            files.delete_file(path)
        except FileNotFoundError:
            return

    def names(self) -> list[str]:
        """Every file in the folder, also those a dead process left unfinished."""
        files, path = self._open()
        selector = pafs.FileSelector(path, allow_not_found=True)
        return sorted(Path(info.path).name for info in files.get_file_info(selector))

    def clear(self) -> None:
        """Remove the folder with all that is in it, if it is there."""
        files, path = self._open()
        with contextlib.suppress(FileNotFoundError):
            files.delete_dir(path)

    def _open(self, name: str = "") -> tuple[pafs.FileSystem, str]:
        if not is_remote(self.uri):
            return pafs.LocalFileSystem(), str(Path(self.uri, name))
        files, path = pafs.FileSystem.from_uri(self.uri)
        return files, f"{path.rstrip('/')}/{name}".rstrip("/")
