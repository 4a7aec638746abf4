"""The whole state of a trial to and from one file, readable with weights_only=True."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from orthotune.config.trial import TrialConfig
from orthotune.errors import CheckpointError, ConfigError
from orthotune.files import atomic_write

FORMAT = 1


def dump_checkpoint(state: dict[str, Any]) -> bytes:
    """A trial's state as the content of a file.

    Args:
        state: What `Trial.state_dict` gives: tensors and plain values.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    return buffer.getvalue()


def parse_checkpoint(content: bytes, name: str) -> dict[str, Any]:
    """The state in the content of a file, on the CPU; no code in it is run.

    Args:
        content: What `dump_checkpoint` gave.
        name: What to call the file in an error.

    Raises:
        CheckpointError: If it is damaged, holds anything but tensors and plain values,
            or is of another format.

    Example:
        >>> parse_checkpoint(dump_checkpoint({"epoch": 3}), "here")["epoch"]
        3
    """
    file = io.BytesIO(content)
    try:
        # torch writes a CRC of every tensor, but does not look at it when it reads.
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(damaged)
        file.seek(0)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as err:  # what torch raises for a broken file has no common base
        raise CheckpointError(
            f"{name} must be a checkpoint of tensors and plain values, but holds "
            f"something else or is damaged ({type(err).__name__}). Delete it to train "
            "from the start, or use another one."
        ) from err
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"{name} must be an orthotune checkpoint of format {FORMAT}, but is not. "
            "It was written by something else or by another version."
        )
    return state


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a trial's state; the file is whole or absent, whatever dies.

    Args:
        path: The file; its folder must exist.
        state: What `Trial.state_dict` gives: tensors and plain values.
    """
    with atomic_write(path) as file:
        file.write(dump_checkpoint(state))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a trial's state on the CPU, without running any code from the file.

    Raises:
        CheckpointError: As `parse_checkpoint`, or if the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as err:
        raise CheckpointError(
            f"{path} must be a readable checkpoint, but: {err.strerror}. "
            "Use another one, or train from the start."
        ) from err
    return parse_checkpoint(content, str(path))


def config_of(state: Mapping[str, Any]) -> TrialConfig:
    """The configuration of a trial's state.

    Args:
        state: What `Trial.state_dict` gave.

    Raises:
        CheckpointError: If it is of another version.
    """
    try:
        return TrialConfig.from_dict(state["config"])
    except (KeyError, ConfigError) as err:
        raise CheckpointError(
            "The checkpoint must be of this version of orthotune, but its "
            f"configuration cannot be read: {err}. Train from the start."
        ) from err


def check_same(config: TrialConfig, state: Mapping[str, Any]) -> None:
    """Refuse the state of a configuration with another result.

    Args:
        config: What is to go on from it.
        state: What `Trial.state_dict` gave.

    Raises:
        CheckpointError: If they differ, in a field or in a registered source.
    """
    ours = config.canonical()
    theirs = config_of(state).canonical() | state.get("sources", {})
    differing = sorted(
        name
        for name in ours.keys() | theirs.keys()
        # A trial that did not fit into memory goes on in smaller parts.
        if ours.get(name) != theirs.get(name) and name != "data.num_micro_batches"
    )
    if differing:
        name = differing[0]
        raise CheckpointError(
            "The checkpoint must be of the same configuration, but "
            f"`{name}` is {theirs.get(name)!r} there and {ours.get(name)!r} here. "
            "Train from the start, or use the checkpoint's own configuration."
        )
