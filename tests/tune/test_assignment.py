import pytest

from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.trial_record import PARTS, Status, TrialRecord
from orthotune.tune.assignment import ERROR, OUT_OF_MEMORY, assignment, ended_as
from tests.made_records import metrics


def test_a_trial_that_goes_on_is_told_how_far_it_has_come(tmp_path):
    record = TrialRecord(
        number=3, key="abc", fields={"seed": 1, PARTS: 1}, history={1: {}, 2: {}}
    )
    folder = CheckpointFolder(str(tmp_path))
    told = assignment(folder, record)
    assert (told["name"], told["reported"]) == ("trial-0003-abc", 2)
    assert not told["parted"]
    record.changed_fields = {PARTS: 4}
    told = assignment(folder, record)
    assert told["parted"]
    assert told["fields"] == {"seed": 1, PARTS: 4}  # and not as it was suggested


@pytest.mark.parametrize(
    ("key", "status"), [(ERROR, Status.FAILED), (OUT_OF_MEMORY, Status.OOM)]
)
def test_what_a_trial_says_of_its_end_is_believed_before_its_epochs(
    session, key, status
):
    trial = session.start()
    for epoch in (1, 2, 3):
        session.journal.report(trial.number, epoch, metrics(0.5))
    assert ended_as(session.journal, trial.number, {key: "trace"}) == status
    assert ended_as(session.journal, trial.number, {}) == Status.FINISHED
