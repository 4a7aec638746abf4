"""Memory and time of trials on GPUs, as measured, in a file that all studies share."""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import torch

from orthotune.storage.folder import StorageFolder
from orthotune.training.footprint import Footprint

CACHE = "gpu-footprints.json"

Footprints = Mapping[str, Mapping[str, Footprint]]
"""What was measured: by kind of GPU, by shape."""


class FootprintCache:
    """A copy of what can be measured again.

    One that cannot be read or written is as good as none.

    Args:
        storage: Folder or URI.

    Example:
        >>> import tempfile
        >>> cache = FootprintCache(tempfile.mkdtemp())
        >>> one = Footprint(tensor_bytes=1, context_bytes=1, total_bytes=9, busy=0.5)
        >>> cache.add({"H100": {"plain-8": one}})
        >>> cache.read()["H100"]["plain-8"] == one
        True
    """

    def __init__(self, storage: str) -> None:
        self._folder = StorageFolder(storage)

    def read(self) -> dict[str, dict[str, Footprint]]:
        """All measurements with this version of torch; others have other kernels."""
        try:
            return {
                kind: {shape: _footprint(one) for shape, one in by_shape.items()}
                for kind, by_shape in self._content()[torch.__version__].items()
            }
        except (ValueError, TypeError, LookupError, AttributeError):
            return {}

    def add(self, measured: Footprints) -> None:
        """Keep what was measured, beside what is there."""
        whole = self.read()
        for kind, by_shape in measured.items():
            whole[kind] = {**whole.get(kind, {}), **by_shape}
        plain = {
            kind: {shape: dataclasses.asdict(one) for shape, one in by_shape.items()}
            for kind, by_shape in whole.items()
        }
        content = {**self._content(), torch.__version__: plain}
        with contextlib.suppress(OSError):
            self._folder.write(CACHE, json.dumps(content, indent=1).encode())

    def _content(self) -> dict[str, Any]:
        try:
            found = json.loads(self._folder.read(CACHE) or b"{}")
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _footprint(values: Mapping[str, Any]) -> Footprint:
    sizes = (f"{name}_bytes" for name in ("tensor", "context", "total"))
    return Footprint(
        **{name: int(values[name]) for name in sizes}, busy=float(values["busy"])
    )
