"""The random streams of a trial, one for each use.

A stream is named and independent of the others: arms that differ in one ingredient draw
the same batches and augmentations, whatever the ingredient itself draws. Numbers are
drawn on the CPU, so they are the same on every device.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator, Tensor

NAMES = ("init", "order", "augmentation")


def stream(seed: int, name: str) -> Generator:
    """A generator for one use, its seed a hash of the trial's seed and the name.

    Example:
        >>> stream(0, "order").initial_seed() == stream(0, "order").initial_seed()
        True
        >>> stream(0, "order").initial_seed() == stream(0, "init").initial_seed()
        False
    """
    return Generator().manual_seed(_hash(f"{seed}/{name}"))


def _hash(text: str) -> int:
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@contextmanager
def seeded(name: str, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators, and put them back afterwards.

    A network of others may draw from them: its own initial weights, dropout.

    Args:
        name: What the seed is a hash of.
        device: Whose generator is seeded beside the CPU's.
    """
    gpus = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.manual_seed(_hash(name))
        yield


class Streams:
    """The streams of one trial and their state.

    Args:
        seed: The trial's seed.
    """

    def __init__(self, seed: int) -> None:
        self._generators = {name: stream(seed, name) for name in NAMES}

    def __getitem__(self, name: str) -> Generator:
        return self._generators[name]

    def state_dict(self) -> dict[str, Tensor]:
        """The state of every stream, as byte tensors."""
        return {name: gen.get_state() for name, gen in self._generators.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue every stream from a state."""
        for name, generator in self._generators.items():
            generator.set_state(state[name])
