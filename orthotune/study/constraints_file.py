"""Constraints between parameters as a study file says them."""

import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any

from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.errors import SearchSpaceError, cut, quoted
from orthotune.schema.hints import nearest
from orthotune.schema.rules import show
from orthotune.space.constraints import Constraint, fields_named
from orthotune.space.file_reader import FileReader
from orthotune.space.parameters import CategoricalParameter, field_extremes
from orthotune.space.search_space import SearchSpace

MAX_CONSTRAINTS = 20
MAX_COUNTED = 4096
"""Configurations up to which all are looked at."""
MAX_TRIED = 4000
FEWEST_MET = 4
"""Of so many draws at least so many must meet the constraints: trials are drawn until
one does."""


class ConstraintsReader(FileReader):
    """Reads the section `constraints`."""

    error = SearchSpaceError

    def read(
        self, space: SearchSpace, num_epochs: int, *, lenient: bool
    ) -> tuple[Constraint, ...]:
        """The constraints, met by some configuration.

        Args:
            space: What varies and what is fixed.
            num_epochs: The epochs of every trial.
            lenient: Whether what is set for one run may leave a constraint nothing to
                decide.

        Raises:
            SearchSpaceError: If one is none, or no configuration meets them.
        """
        texts = self._file.data.get("constraints")
        if texts is None:
            return ()
        if not isinstance(texts, list) or len(texts) > MAX_CONSTRAINTS:
            got = show(texts) if not isinstance(texts, list) else f"{len(texts)}"
            raise self._error(
                ("constraints",),
                f"must be a list of at most {MAX_CONSTRAINTS} comparisons such as "
                f'"model.depth * data.batch_size <= 8000", but got {got}.',
            )
        defaults = {
            **TrialConfig().to_dict(),
            **space.fixed,
            "training.num_epochs": num_epochs,
        }
        found = [self._constraint(text, space, defaults, lenient) for text in texts]
        if len({one.text for one in found}) < len(found):
            raise self._error(("constraints",), "must not repeat one. Delete one.")
        return tuple(found)

    def _constraint(
        self,
        text: object,
        space: SearchSpace,
        defaults: Mapping[str, Any],
        lenient: bool,
    ) -> Constraint:
        if not isinstance(text, str):
            raise self._error(
                ("constraints",), f"must hold texts, but got {show(text)}. Quote it."
            )
        try:
            names = fields_named(text)
        except ValueError as err:
            raise self._error(("constraints",), str(err)) from err
        for name in names:
            self._check_number(name, text, space, defaults)
        constraint = Constraint(
            text=" ".join(text.split()),
            defaults={name: defaults[name] for name in names},
        )
        if not set(names) & set(space.fields):
            if not constraint.holds({}):
                raise self._error(
                    ("constraints",),
                    f"must hold for what is fixed, but `{cut(text)}` does not.",
                )
            if not lenient:
                raise self._error(
                    ("constraints",),
                    f"must name a field of `space`, but `{cut(text)}` names none and "
                    "always holds. Delete it.",
                )
        return constraint

    def _check_number(
        self, name: str, text: str, space: SearchSpace, defaults: Mapping[str, Any]
    ) -> None:
        if name not in FIELD_RULES:
            raise self._error(
                ("constraints",),
                f"names {quoted(name)}, which is not a config field. "
                f"{nearest(name, list(FIELD_RULES))}",
            )
        for value in _possible(name, space, defaults):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise self._error(
                    ("constraints",),
                    f"must name fields that are numbers, but {quoted(name)} in "
                    f"`{cut(text)}` can be {show(value)}.",
                )

    def check_met(self, space: SearchSpace) -> None:
        """Refuse constraints that no configuration meets, or hardly one.

        Args:
            space: The space with its constraints.

        Raises:
            SearchSpaceError: If so, and how it is known.
        """
        if not space.constraints:
            return
        everything = SearchSpace(parameters=space.parameters, fixed=space.fixed)
        whole = everything.combinations(MAX_COUNTED)
        if whole is not None:
            if not any(space.allows(values) for values in whole):
                raise self._error(
                    ("constraints",),
                    f"must be met by a configuration, but none of all {len(whole)} "
                    "does. Widen the space, or delete one.",
                )
            return
        rng = random.Random(0)
        met = sum(
            space.allows(space.draw_freely(rng))
            for _ in itertools.repeat(None, MAX_TRIED)
        )
        if met < FEWEST_MET:
            raise self._error(
                ("constraints",),
                f"must be met by at least {FEWEST_MET} of {MAX_TRIED} random "
                f"configurations, but {met or 'none'} did. Narrow the bounds of what "
                "they name.",
            )


def _possible(
    name: str, space: SearchSpace, defaults: Mapping[str, Any]
) -> Iterator[Any]:
    """Values that a field can have in a constraint: a few that stand for all."""
    for parameter in space.parameters:
        if name in parameter.fields:
            if isinstance(parameter, CategoricalParameter):
                yield from field_extremes(parameter)[name]
            if not parameter.when:
                return
    yield defaults[name]
