"""The checkpoints of a study: one a trial, in one folder, local or by URI.

A live trial has its latest state there; when it ends, only those of the best stay.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from orthotune.training.atomic import atomic_write
from orthotune.training.checkpoint import parse_checkpoint
from orthotune.tuning.journal import Journal, TrialRecord


@dataclass(frozen=True)
class CheckpointFolder:
    """The folder, on every node the same.

    Args:
        uri: An absolute path, or a URI that pyarrow can open.

    Raises:
        OSError: From every method, if the folder cannot be read or written.

    Example:
        >>> import tempfile
        >>> folder = CheckpointFolder(tempfile.mkdtemp() + "/checkpoints")
        >>> folder.write("trial-0000.pt", b"state")
        >>> folder.names(), folder.read("trial-0000.pt")
        (['trial-0000.pt'], b'state')
        >>> folder.delete("trial-0000.pt")
        >>> folder.read("trial-0000.pt") is None
        True
    """

    uri: str

    def read(self, name: str) -> bytes | None:
        """The content of a checkpoint; None if there is none."""
        files, path = self._open(name)
        try:
            with files.open_input_stream(path) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def load(self, name: str) -> dict[str, Any] | None:
        """The state in a checkpoint; None if there is none.

        Raises:
            CheckpointError: If it is damaged.
        """
        content = self.read(name)
        if content is None:
            return None
        return parse_checkpoint(content, f"{self.uri}/{name}")

    def write(self, name: str, content: bytes) -> None:
        """Replace a checkpoint; it is whole or as it was, whatever dies."""
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
        """Remove a checkpoint; one that is not there is no error."""
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
        if "://" not in self.uri:
            return pafs.LocalFileSystem(), str(Path(self.uri, name))
        files, path = pafs.FileSystem.from_uri(self.uri)
        return files, f"{path.rstrip('/')}/{name}".rstrip("/")


def checkpoint_name(trial: str) -> str:
    """The file name of a trial's checkpoint, by the trial's name.

    Example:
        >>> checkpoint_name("trial-0003-0123456789abcdef")
        'trial-0003-0123456789abcdef.pt'
    """
    return f"{trial}.pt"


class CheckpointKeeper:
    """Deletes the checkpoints nobody needs; an observer of the study's journal.

    Args:
        folder: The study's checkpoints.
        journal: Its trials.
        metric: What it minimizes.
        keep: Ended trials whose checkpoints stay, the best.
    """

    def __init__(
        self, folder: CheckpointFolder, journal: Journal, metric: str, keep: int
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._keep = keep
        self._standings = journal.standings(metric)
        self._kept = self._best()

    def on_start(self, record: TrialRecord) -> None:
        """Nothing ends."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Nothing ends."""

    def on_end(self, record: TrialRecord) -> None:
        """Delete what this end made superfluous."""
        if record.status.ended:
            before = self._kept | {checkpoint_name(record.name)}
            self._standings.add(record)
            self._kept = self._best()
            self._delete(before - self._kept)

    def sweep(self) -> None:
        """Delete every file that is of no live trial and none of the best."""
        live = {checkpoint_name(r.name) for r in self._journal.open}
        with contextlib.suppress(OSError):
            self._delete(set(self._folder.names()) - live - self._kept)

    def _best(self) -> set[str]:
        best = self._standings.best[: self._keep]
        return {checkpoint_name(record.name) for record in best}

    def _delete(self, names: set[str]) -> None:
        for name in names:
            # A file that stays is swept up another time.
            with contextlib.suppress(OSError):
                self._folder.delete(name)
