"""The section `retune` of an ablation file."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.design.ablation import DATA_PLACES, Arm
from orthotune.design.retune import Retune
from orthotune.errors import AblationError, ConfigError, cut
from orthotune.schema.hints import nearest
from orthotune.schema.rules import Rule, assigned
from orthotune.space.parameters import Parameter
from orthotune.space.space_reader import SpaceReader

RETUNE_RULES = {
    "num_trials": Rule(kind=int, low=2, high=1000),
    "seed": FIELD_RULES["seed"],
}
MAX_TUNING = 4000
"""Trials that tune the arms: each draw is checked for each arm."""
SHARED = (
    "data.name",
    "data.num_train",
    *DATA_PLACES,
    "training.num_epochs",
    "training.evaluate_test",
)
"""Fields that no space may vary: arms are compared on the same data, after equal
training."""


class RetuneReader(SpaceReader):
    """Reads how arms are tuned anew."""

    error = AblationError
    space_at = ("retune", "space")

    def read(
        self, blocks: Sequence[Sequence[Arm]], seeds: Collection[int]
    ) -> Retune | None:
        """The section, checked; None if there is none.

        Args:
            blocks: The arms of every block.
            seeds: Those they are compared with.

        Raises:
            AblationError: If anything in it is not allowed.
        """
        if "retune" not in self._file.data:
            return None
        section = self._section("retune")
        self._check_keys(("retune",), section, (*RETUNE_RULES, "space"))
        retune = Retune(
            num_trials=self._number("num_trials", section.get("num_trials")),
            seed=self._number("seed", section.get("seed", 0)),
            parameters=self._space(section),
        )
        if retune.seed in seeds:
            raise self._error(
                ("retune", "seed"),
                f"must be none of `seeds`, but is {retune.seed}: what is chosen by a "
                "seed looks good with it. Give another.",
            )
        self._check_number(retune, sum(map(len, blocks)))
        for arms in blocks:
            self._check_arms(retune, arms)
        return retune

    def _number(self, name: str, given: Any) -> int:  # noqa: ANN401 - as the file has it
        value = self._overrides.get(f"retune.{name}", given)
        self._check_rule(RETUNE_RULES[name], name, ("retune", name), value)
        return value

    def _space(self, section: Mapping[str, Any]) -> tuple[Parameter, ...]:
        entries = section.get("space")
        entries = {} if entries is None else self._mapping(self.space_at, entries)
        if not entries:
            raise self._error(
                self.space_at, "must hold at least one parameter, but is empty."
            )
        parameters = [self._parameter(name, entry) for name, entry in entries.items()]
        for parameter in parameters:
            for name in parameter.when:
                self._check_field_of_condition(parameter, name)
        tuned = {name for parameter in parameters for name in parameter.fields}
        others = {name: None for name in FIELD_RULES if name not in tuned}
        return self._in_order(parameters, others)

    def _check_settable(self, keys: tuple[str, ...], name: str) -> None:
        if name == "seed":
            raise self._error(keys, "is set by `seeds` and `retune.seed`. Delete it.")
        if name in SHARED:
            raise self._error(
                keys,
                "must be the same in all arms, which are compared on the same data, "
                "after equal training. Set it in the reference.",
            )

    def _check_field_of_condition(self, parameter: Parameter, name: str) -> None:
        if name not in FIELD_RULES:
            raise self._error(
                (*self.space_at, parameter.name, "when"),
                f"names `{name}`, which is not a config field. "
                f"{nearest(name, list(FIELD_RULES))}",
            )

    def _check_number(self, retune: Retune, num_arms: int) -> None:
        if retune.num_trials * num_arms > MAX_TUNING:
            raise self._error(
                ("retune", "num_trials"),
                f"must give at most {MAX_TUNING} trials with {num_arms} arms, but "
                f"gives {retune.num_trials * num_arms}.",
            )

    def _check_arms(self, retune: Retune, arms: Sequence[Arm]) -> None:
        """Refuse draws that are not allowed, or under which two arms are one."""
        shared = [_text(TrialConfig.from_dict(arm.fields)) for arm in arms]
        for draw in retune.draws():
            first: dict[str, int] = {}
            for index, arm in enumerate(arms):
                other = first.setdefault(self._tuned(retune, arm, draw), index)
                if shared[other] != shared[index]:
                    raise self._error(
                        self.space_at,
                        f"must leave the arms apart, but makes {cut(arms[other].name)} "
                        f"and {cut(arm.name)} one configuration. Do not tune what "
                        "tells them apart.",
                    )

    def _tuned(self, retune: Retune, arm: Arm, draw: Mapping[str, Any]) -> str:
        """What an arm is with a draw: equal for two that are one."""
        applied = retune.applied(draw, arm.fields)
        try:
            return _text(TrialConfig.from_dict({**arm.fields, **applied}))
        except ConfigError as err:
            raise self._error(
                (*self.space_at, err.field),
                f"{err.problem} It happens in the arm {cut(arm.name)} for "
                f"{assigned(applied)}.",
            ) from err


def _text(config: TrialConfig) -> str:
    """Equal for configurations that give equal metrics."""
    return repr(sorted(config.canonical().items()))
