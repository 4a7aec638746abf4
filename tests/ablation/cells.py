"""Cells of an ablation as a journal would hold them, with values given by hand."""

from orthotune.design.ablation_file import read_ablation
from orthotune.record.identity import trial_key
from orthotune.record.trial_record import Status
from orthotune.verdicts.findings import find
from tests.ablation.small import TINY
from tests.made_records import record

DATA = {"synthetic": "5120"}


def tiny(tmp_path, text=TINY):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return read_ablation(str(path))


def trained(ablation, values, tuning=None):
    """Records of trials that have ended.

    Args:
        ablation: The ablation.
        values: By name of the arm, a value a seed: a number, a status, or None for a
            cell that has not run.
        tuning: The same of the trials that tune the arms, a value a draw.
    """
    given = [
        (values[arm.name][ablation.seeds.index(seed)], fields)
        for arm, seed, fields in ablation.cells()
    ]
    if tuning is not None:
        given += [
            (tuning[arm.name][number], fields)
            for arm, number, fields in ablation.tuning()
        ]
    records = {}
    for value, fields in given:
        key = trial_key(fields, DATA)
        if value is None or key in records:
            continue
        status = value if isinstance(value, Status) else Status.FINISHED
        error = 0.9 if isinstance(value, Status) else value
        made = record(len(records), [0.9, error], status, **fields)
        made.key = key
        records[key] = made
    return list(records.values())


def found(tmp_path, values, text=TINY):
    """What is found of a tiny ablation whose cells gave these values."""
    ablation = tiny(tmp_path, text)
    return find(ablation, trained(ablation, values), DATA)
