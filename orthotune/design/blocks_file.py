"""The section `blocks` of an ablation file: the data sets that all is asked on."""

import re
from collections.abc import Sequence
from typing import Any

from orthotune.config.nested import flattened
from orthotune.config.trial import FIELD_RULES, TrialConfig
from orthotune.design.ablation import Arm, Block, in_block
from orthotune.design.claims_file import EFFECT
from orthotune.errors import AblationError, ConfigError, cut
from orthotune.schema.hints import nearest
from orthotune.schema.rules import show
from orthotune.space.file_reader import FileReader

MAX_BLOCKS = 50
_OWN = ("name", "smallest_effect")
"""The keys of a block that are no fields."""

_NEVER = {
    "seed": "is set by `seeds`. Delete it.",
    "training.num_epochs": "must be the same in all blocks, which a study trains "
    "equally long. Set it in the reference.",
}


class BlocksReader(FileReader):
    """Reads the section `blocks`."""

    error = AblationError

    def read(self, arms: Sequence[Arm], smallest_effect: float) -> tuple[Block, ...]:
        """The blocks; none for a file without them.

        Args:
            arms: The arms, before any block.
            smallest_effect: That of the file, which a block may set anew.

        Raises:
            AblationError: If one is not allowed.
        """
        if "blocks" not in self._file.data:
            return ()
        if self._given("register", None) is not None:
            raise self._error(
                ("register",),
                "must be absent beside `blocks`: a network is of one data set. Make an "
                "ablation of that alone.",
            )
        entries = self._file.data["blocks"]
        if not isinstance(entries, list) or len(entries) < 2:
            raise self._error(
                ("blocks",),
                "must be a list of two or more, such as [{data.name: digits}, "
                f"{{data.name: mnist}}], but got {show(entries)}. One data set belongs "
                "in the reference.",
            )
        if len(entries) > MAX_BLOCKS:
            raise self._error(
                ("blocks",), f"must be at most {MAX_BLOCKS}, but are {len(entries)}."
            )
        blocks = [self._block(entry, arms, smallest_effect) for entry in entries]
        self._check_apart(blocks, arms)
        return tuple(blocks)

    def _block(
        self, entry: object, arms: Sequence[Arm], smallest_effect: float
    ) -> Block:
        keys = ("blocks",)
        given = self._mapping(keys, entry)
        own = {key: given.pop(key) for key in _OWN if key in given}
        try:
            fields = flattened(given)
        except ConfigError as err:
            raise self._error((*keys, err.field), err.problem) from err
        for name, value in fields.items():
            self._check_field(name, value, arms)
        effect: Any = own.get("smallest_effect", smallest_effect)
        self._check_rule(EFFECT, "smallest_effect", keys, effect)
        name = own.get("name", fields.get("data.name"))
        if not isinstance(name, str) or not re.fullmatch(r"[\w][\w .+-]{0,39}", name):
            raise self._error(
                keys,
                "must each have a `data.name` or a `name` of 1 to 40 letters, digits, "
                f"spaces, dots, dashes, plus signs or underscores, but got {show(name)}"
                ". It stands in tables.",
            )
        return Block(name=name, fields=fields, smallest_effect=float(effect))

    def _check_field(self, name: str, value: object, arms: Sequence[Arm]) -> None:
        here = ("blocks", name)
        if name not in FIELD_RULES:
            known = [*FIELD_RULES, *_OWN]
            raise self._error(here, f"is not a config field. {nearest(name, known)}")
        if name in _NEVER:
            raise self._error(here, _NEVER[name])
        if len({show(arm.fields.get(name)) for arm in arms}) > 1:
            raise self._error(
                here,
                "must not be what tells arms apart: every arm of a block has its value."
                " Leave it to the arms, or to `retune`.",
            )
        self._check_rule(FIELD_RULES[name], name, here, value)

    def _check_apart(self, blocks: Sequence[Block], arms: Sequence[Arm]) -> None:
        names = [block.name for block in blocks]
        for name in names:
            if names.count(name) > 1:
                raise self._error(
                    ("blocks",),
                    f"must differ in their names, but two are {cut(name)}. Give each a "
                    "`name`.",
                )
        places: dict[str, tuple[str, str]] = {}
        known: dict[str, str] = {}
        for block in blocks:
            config = self._config(arms[0], block)
            data = config.data
            name, root = places.setdefault(data.name, (block.name, data.root))
            if root != data.root:
                raise self._error(
                    ("blocks",),
                    f"must have one `data.root` for {cut(data.name)}, by whose name a "
                    f"study knows its data, but {cut(name)} and {cut(block.name)} have "
                    "two. Make them ablations of their own.",
                )
            same = known.setdefault(
                repr(sorted(config.canonical().items())), block.name
            )
            if same != block.name:
                raise self._error(
                    ("blocks",),
                    f"must differ, but {cut(same)} and {cut(block.name)} run the same. "
                    "Delete one.",
                )

    def _config(self, arm: Arm, block: Block) -> TrialConfig:
        try:
            return TrialConfig.from_dict(in_block(arm, block).fields)
        except ConfigError as err:
            raise self._error(
                ("blocks", err.field),
                f"{err.problem} It happens in the block {cut(block.name)}.",
            ) from err
