"""An ablation as values: its arms, the seeds they share, and what is claimed of them.

An *arm* is a configuration without a seed; a *cell* is an arm with one. All arms run
with the same seeds, so that the arms of one seed share their random streams as far as
they draw from them (`orthotune.training.streams`), and are compared seed by seed.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orthotune.config.sections import DataConfig
from orthotune.config.trial import TrialConfig
from orthotune.design.retune import Retune
from orthotune.record.study_definition import TUNING, Listed, More, Study
from orthotune.space.parameters import definition_of
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import Resources, SearchSettings, StudySettings

Levels = Mapping[str, Mapping[str, Any]]
"""The levels of a factor by name, the reference's first; each some fields' values."""

DATA_PLACES = ("data.root", "data.download")
"""Fields that say where the data are, not what is trained."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A configuration that is compared with others.

    Args:
        name: What tables call it.
        fields: Its fields by dotted name, without a seed.
        retuned: Whether they are not those of the file, but what tuning has found.
        block: The block whose fields are among them; none by default.
    """

    name: str
    fields: Mapping[str, Any]
    retuned: bool = False
    block: str = ""

    @property
    def title(self) -> str:
        """Its name, after that of its block."""
        return f"{self.block}: {self.name}" if self.block else self.name

    @property
    def group(self) -> str:
        """The name of the group that its cells belong to."""
        return f"{self.title}, re-tuned" if self.retuned else self.title


@dataclass(frozen=True, kw_only=True)
class Block:
    """What every arm is run on once more: a data set, by the fields that say which.

    Args:
        name: What tables call it; by default its `data.name`.
        fields: The fields that it sets in every arm.
        smallest_effect: That of this block, where it is not the ablation's.
    """

    name: str
    fields: Mapping[str, Any]
    smallest_effect: float


@dataclass(frozen=True, kw_only=True)
class Claim:
    """That the metric of one arm is smaller than that of another, or the same.

    Args:
        better: Name of the arm with the smaller metric.
        than: Name of the other.
        by: At least so much smaller, on average over seeds.
        same: Whether it is that they differ by less than the smallest effect instead:
            `{same: better, as: than}` in a file.
    """

    better: str
    than: str
    by: float = 0.0
    same: bool = False

    def __str__(self) -> str:
        """The claim in words."""
        if self.same:
            return f"{self.better} is equivalent to {self.than}"
        margin = f" by at least {self.by:g}" if self.by else ""
        return f"{self.better} is better than {self.than}{margin}"


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """An ablation file, checked.

    Args:
        path: The file as the user named it.
        name: Of its folder and its MLflow experiment.
        question: What it is to settle.
        metric: What is compared; smaller is better.
        smallest_effect: The smallest difference that is of interest; what is surely
            smaller is called equivalent. With 0, the default, nothing is.
        design: leave_one_out, add_one_in, factorial or explicit.
        factors: What varies, by name; empty for an explicit design.
        arms: The arms, the reference first; where there are blocks, before these set
            their fields.
        seeds: The seeds arms run with, in this order.
        looks: Numbers of seeds after which the claims are judged: all of them once, or
            several times, where further seeds go to undecided claims only.
        claims: What is to be supported or contradicted.
        num_epochs: Epochs of every cell.
        resources: What one cell occupies.
        retune: How every arm is tuned anew, after which all is asked again; None where
            it is not.
        register: As which model of MLflow's registry the best arm's best network is
            kept; None for none.
        blocks: What every arm, seed and claim is run on: fields such as `data.name`,
            for each. Empty where there is one data set, that of the arms.
    """

    path: str
    name: str
    question: str
    metric: str
    smallest_effect: float
    design: str
    factors: Mapping[str, Levels]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    looks: tuple[int, ...]
    claims: tuple[Claim, ...]
    num_epochs: int
    resources: Resources
    retune: Retune | None = None
    register: str | None = None
    blocks: tuple[Block, ...] = ()

    @property
    def parts(self) -> "tuple[Ablation, ...]":
        """The same ablation on every block alone; itself, where there are none."""
        if not self.blocks:
            return (self,)
        return tuple(
            replace(
                self,
                arms=tuple(in_block(arm, block) for arm in self.arms),
                smallest_effect=block.smallest_effect,
                blocks=(),
            )
            for block in self.blocks
        )

    @property
    def all_arms(self) -> tuple[Arm, ...]:
        """The arms of every block."""
        return tuple(arm for part in self.parts for arm in part.arms)

    @property
    def reference(self) -> Arm:
        """The arm that all others are compared with."""
        return self.arms[0]

    def is_void(self, claim: Claim) -> bool:
        """Whether a claim compares a configuration with itself under another name."""
        fields = {arm.name: arm.fields for arm in self.arms}
        better, than = (
            TrialConfig.from_dict(fields[name]).canonical()
            for name in (claim.better, claim.than)
        )
        return better == than

    def cells(self) -> Iterator[tuple[Arm, int, dict[str, Any]]]:
        """Arm, seed and fields of every cell there may be, seed by seed.

        So an interrupted ablation has whole seeds, which can be compared.
        """
        for seed, arm in itertools.product(self.seeds, self.all_arms):
            yield arm, seed, cell_fields(arm, seed)

    def tuning(self) -> Iterator[tuple[Arm, int, dict[str, Any]]]:
        """Arm, number of the draw and fields of every trial that tunes an arm."""
        if self.retune is None:
            return
        for number, draw in enumerate(self.retune.draws()):
            for arm in self.all_arms:
                own = self.retune.applied(draw, arm.fields)
                yield arm, number, {**arm.fields, **own, "seed": self.retune.seed}

    def data(self) -> list[DataConfig]:
        """Every data set a trial names."""
        fields = [arm.fields for arm in self.all_arms]
        fields += [tuning for _, _, tuning in self.tuning()]
        return list(dict.fromkeys(TrialConfig.from_dict(one).data for one in fields))

    def retuned(self, found: Mapping[str, Mapping[str, Any]]) -> "Ablation":
        """The same questions of the same arms, with what was found for each.

        Args:
            found: Values by the name of an arm, by field.
        """
        arms = (
            replace(arm, fields={**arm.fields, **found[arm.name]}, retuned=True)
            for arm in self.arms
        )
        return replace(self, arms=tuple(arms), retune=None)

    def study(self, more: More | None = None, *, reuse: bool = False) -> Study:
        """The study that trains the cells of the first look, and what is needed then.

        Args:
            more: What that is, by the trials that have ended.
            reuse: Whether what other studies have run is not run again.
        """
        first = itertools.product(self.seeds[: self.looks[0]], self.all_arms)
        tuning = (
            Listed(fields=fields, group=tuning_group(arm), label=f"draw {number}")
            for arm, number, fields in self.tuning()
        )
        listed = (*(listed_cell(arm, seed) for seed, arm in first), *tuning)
        search = SearchSettings(
            num_trials=len(listed),
            max_epochs=self.num_epochs,
            scheduler="none",
            keep_checkpoints=0,
        )
        settings = StudySettings(
            name=self.name,
            metric=self.metric,
            search=search,
            resources=self.resources,
        )
        return Study(
            path=self.path,
            settings=settings,
            space=SearchSpace(parameters=()),
            listed=listed,
            more=more,
            # Another study's result comes without the network.
            reuse=reuse and self.register is None,
            keep_best_of_groups=self.register is not None,
            question=self._question(),
        )

    def _question(self) -> dict[str, Any]:
        """What must not change once the first cell has run, as plain values."""
        arms = {
            f"arms.{arm.name}.{name}": value
            for arm in self.arms
            for name, value in arm.fields.items()
            if name not in DATA_PLACES
        }
        return {
            "design": self.design,
            "smallest_effect": self.smallest_effect,
            "seeds": list(self.seeds),
            "looks": list(self.looks),
            "claims": [str(claim) for claim in self.claims],
            **arms,
            **self._retune_question(),
            **self._block_question(),
        }

    def _block_question(self) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        for block in self.blocks:
            own = {k: v for k, v in block.fields.items() if k not in DATA_PLACES}
            own["smallest_effect"] = block.smallest_effect
            asked |= {f"blocks.{block.name}.{k}": v for k, v in own.items()}
        return asked

    def _retune_question(self) -> dict[str, Any]:
        if self.retune is None:
            return {}
        return {
            "retune.num_trials": self.retune.num_trials,
            "retune.seed": self.retune.seed,
            # In its order, by which values are drawn.
            "retune.space": [parameter.name for parameter in self.retune.parameters],
            **{
                f"retune.space.{parameter.name}": definition_of(parameter)
                for parameter in self.retune.parameters
            },
        }


def tuning_group(arm: Arm) -> str:
    """The name of the group of trials that tune an arm."""
    return f"{TUNING}{arm.title}"


def in_block(arm: Arm, block: Block) -> Arm:
    """An arm with the fields of a block.

    Example:
        >>> full = Arm(name="full", fields={"model.depth": 8})
        >>> fields = {"data.name": "mnist"}
        >>> in_block(full, Block(name="M", fields=fields, smallest_effect=0)).group
        'M: full'
    """
    return replace(arm, fields={**arm.fields, **block.fields}, block=block.name)


def listed_cell(arm: Arm, seed: int) -> Listed:
    """A cell as a study lists it."""
    fields = cell_fields(arm, seed)
    return Listed(fields=fields, group=arm.group, label=f"seed {seed}")


def cell_fields(arm: Arm, seed: int) -> dict[str, Any]:
    """The fields of an arm with a seed.

    Example:
        >>> cell_fields(Arm(name="full", fields={"model.depth": 8}), 3)
        {'model.depth': 8, 'seed': 3}
    """
    return {**arm.fields, "seed": seed}


def one_at_a_time(base: Arm, factors: Mapping[str, Levels]) -> list[Arm]:
    """The base, and an arm for every other level of every factor.

    Example:
        >>> base = Arm(name="full", fields={"a": 1, "b": 1})
        >>> factors = {"A": {"on": {"a": 1}, "off": {"a": 0}}}
        >>> [(arm.name, dict(arm.fields)) for arm in one_at_a_time(base, factors)]
        [('full', {'a': 1, 'b': 1}), ('A=off', {'a': 0, 'b': 1})]
    """
    arms = [base]
    for factor, levels in factors.items():
        for level, fields in list(levels.items())[1:]:
            arms.append(Arm(name=f"{factor}={level}", fields={**base.fields, **fields}))
    return arms


def crossed(base: Arm, factors: Mapping[str, Levels]) -> list[Arm]:
    """An arm for every combination of levels; the first is the base's own.

    Example:
        >>> factors = {
        ...     "A": {"on": {"a": 1}, "off": {"a": 0}},
        ...     "B": {"on": {"b": 1}, "off": {"b": 0}},
        ... }
        >>> base = Arm(name="full", fields={"a": 1, "b": 1})
        >>> [arm.name for arm in crossed(base, factors)]
        ['A=on, B=on', 'A=on, B=off', 'A=off, B=on', 'A=off, B=off']
    """
    arms = []
    for levels in itertools.product(*factors.values()):
        chosen = dict(zip(factors, levels, strict=True))
        fields = dict(base.fields)
        for factor, level in chosen.items():
            fields |= factors[factor][level]
        name = ", ".join(f"{factor}={level}" for factor, level in chosen.items())
        arms.append(Arm(name=name, fields=fields))
    return arms
