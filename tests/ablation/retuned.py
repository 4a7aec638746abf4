"""A tiny ablation whose arms are tuned anew, and the records of its trials."""

from orthotune.record.trial_record import Status
from orthotune.verdicts.retuning_results import retuning
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import FIVE, FULL, L2, OFF, RETUNE

RETUNED = FIVE.replace("smallest_effect: 0.02\n", "") + RETUNE
SHARED = {
    FULL: [0.10, 0.12, 0.11, 0.13, 0.12],
    L2: [0.101, 0.119, 0.112, 0.129, 0.121],
    OFF: [0.50, 0.55, 0.47, 0.52, 0.54],
}
TUNING = {FULL: [0.2, 0.1, 0.3], L2: [0.2, 0.2, 0.3], OFF: [0.5, 0.4, Status.DIVERGED]}
AGAIN = SHARED | {OFF: [0.11, 0.12, 0.10, 0.13, 0.11]}


def asked(tmp_path, text=RETUNED):
    return tiny(tmp_path, text)


def ended(ablation, tuning=TUNING, again=None):
    """Records of an ablation, and of its re-tuned arms if they are given."""
    records = trained(ablation, SHARED, tuning)
    if again is None:
        return records
    retuned = retuning(ablation, records, DATA).ablation
    known = {record.key for record in records}
    for record in trained(retuned, again):
        if record.key not in known:
            record.number = len(records)
            records.append(record)
    return records
