"""The random streams of a trial, one for each use.

A stream is named and independent of the others: arms that differ in one ingredient draw
the same batches and augmentations, whatever the ingredient itself draws. Numbers are
drawn on the CPU, so they are the same on every device.
"""

import hashlib

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
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


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
