"""The seeds of an ablation as its file says them: a list, or as many as are needed."""

from typing import Any

from orthotune.config.trial import FIELD_RULES
from orthotune.errors import AblationError
from orthotune.schema.rules import Rule, show
from orthotune.space.file_reader import FileReader
from orthotune.statistics.interim_looks import looks

MAX_CELLS = 100_000

_SEED = FIELD_RULES["seed"]


class SeedsReader(FileReader):
    """Reads the section `seeds`."""

    error = AblationError

    def read(self, num_arms: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The seeds, and the numbers of them after which claims are judged.

        Args:
            num_arms: Arms that run with each of them.

        Raises:
            AblationError: If they are none, repeat one, or make too many cells.
        """
        seeds = self._given("seeds", None)
        if isinstance(seeds, dict):
            seeds, whens = self._adaptive(seeds)
        elif isinstance(seeds, list) and seeds:
            whens = (len(seeds),)
        else:
            raise self._error(
                ("seeds",),
                "must be a list such as [1, 2, 3, 4, 5], or {initial: 5, max: 30}, but "
                f"got {show(seeds)}. More than one is needed for an interval, at least "
                "five for most questions.",
            )
        for seed in seeds:
            self._check_rule(_SEED, "seeds", ("seeds",), seed)
        if len(set(seeds)) < len(seeds):
            raise self._error(
                ("seeds",),
                f"must not repeat a seed, but got {show(seeds)}: the same run twice is "
                "one run.",
            )
        if num_arms * len(seeds) > MAX_CELLS:
            raise self._error(
                ("seeds",),
                f"must give at most {MAX_CELLS} cells with {num_arms} arms, but give "
                f"{num_arms * len(seeds)}.",
            )
        return tuple(seeds), whens

    def _adaptive(self, given: dict[str, Any]) -> tuple[list[int], tuple[int, ...]]:
        """Seeds that are added where they are needed."""
        keys = ("seeds",)
        self._check_keys(keys, given, ("initial", "max", "first"))
        first = given.get("first", 1)
        self._check_rule(_SEED, "first", (*keys, "first"), first)
        initial: Any = given.get("initial")
        most: Any = given.get("max")
        number = Rule(kind=int, low=2, high=MAX_CELLS)
        self._check_rule(number, "initial", (*keys, "initial"), initial)
        self._check_rule(number, "max", (*keys, "max"), most)
        if most <= initial:
            raise self._error(
                (*keys, "max"),
                f"must be above `initial` = {initial}, but got {most}. For a fixed "
                "number of seeds give a list.",
            )
        return [*range(first, first + most)], looks(initial, most)
