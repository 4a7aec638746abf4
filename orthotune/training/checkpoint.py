"""The whole state of a trial to and from one file, readable with weights_only=True."""

from pathlib import Path
from typing import Any

import torch

from orthotune.errors import CheckpointError
from orthotune.training.atomic import atomic_write

FORMAT = 1


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a trial's state; the file is whole or absent, whatever dies.

    Args:
        path: The file; its folder must exist.
        state: What `Trial.state_dict` gives: tensors and plain values.
    """
    with atomic_write(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a trial's state on the CPU, without running any code from the file.

    Raises:
        CheckpointError: If the file is missing, broken, holds anything but tensors and
            plain values, or is of another format.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as err:
        raise CheckpointError(
            f"{path} must be a readable checkpoint, but: {err.strerror}. "
            "Use another one, or train from the start."
        ) from err
    except Exception as err:  # what torch raises for a broken file has no common base
        raise CheckpointError(
            f"{path} must be a checkpoint of tensors and plain values, but holds "
            f"something else or is broken ({type(err).__name__}). Use another one, or "
            "train from the start."
        ) from err
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} must be an orthotune checkpoint of format {FORMAT}, but is not. "
            "It was written by something else or by another version."
        )
    return state
