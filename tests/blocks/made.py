"""A tiny ablation on two blocks whose cells gave given values."""

from orthotune.design.ablation_file import read_ablation
from orthotune.record.identity import trial_key
from orthotune.record.trial_record import Status
from tests.ablation.small import FIVE
from tests.made_records import record

DATA = {"synthetic": "5120", "digits": "1797"}
BLOCKS = "blocks: [{data.name: synthetic}, {data: {name: digits, num_train: 100}}]\n"
TWO = FIVE + BLOCKS
A, B = "synthetic", "digits"
"""The blocks."""


def read(tmp_path, text=TWO, **overrides):
    (tmp_path / "tiny.yaml").write_text(text)
    return read_ablation(str(tmp_path / "tiny.yaml"), overrides)


def trained(ablation, values, tuning=None, before=()):
    """Records of the trials that have ended.

    Args:
        ablation: The ablation.
        values: By block and arm, a value a seed, None for a cell that has not run; or
            nothing, for one none of whose cells has.
        tuning: Of the trials that tune the arms, by block and arm a value a draw.
        before: Records there are.
    """
    given = []
    for part in ablation.parts:
        for arm, seed, fields in part.cells():
            row = values.get((arm.block, arm.name))
            if row is not None:
                given.append((row[part.seeds.index(seed)], fields))
        for arm, number, fields in part.tuning() if tuning else ():
            given.append((tuning[arm.block, arm.name][number], fields))
    found = {one.key: one for one in before}
    for value, fields in given:
        key = trial_key(fields, DATA)
        if value is not None and key not in found:
            made = record(len(found), [0.9, value], Status.FINISHED, **fields)
            made.key = key
            found[key] = made
    return list(found.values())
