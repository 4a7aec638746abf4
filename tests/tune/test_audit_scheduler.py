"""An audited study, with Ray's part played: what everybody sees, and after a break."""

import hashlib

import pytest
from optuna.trial import TrialState
from ray.tune.schedulers import TrialScheduler

from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.stopping.signal_rule import FEATURES, FEWEST, stopped_on_signal
from orthotune.study.study_file import read_study
from orthotune.tune.audit_scheduler import AuditScheduler, settle_condemned
from orthotune.tune.scheduler import Replay, build_scheduler
from tests.made_records import metrics
from tests.ray_part import Session

pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*")

TRIALS, EPOCHS = 14, 5  # TPE draws the first ten at random


@pytest.fixture
def study_with(tiny_file):
    """Rungs at 1, 2 and 4 epochs of 5."""

    def build(audit, **overrides):
        settings = {
            "search.max_epochs": EPOCHS,
            "search.reduction_factor": 2,
            "search.audit": audit,
        }
        return read_study(str(tiny_file), settings | overrides)

    return build


def drawn(trial, epoch=0):
    """A number by a trial's configuration and an epoch alone."""
    text = f"{sorted(trial.fields.items())}/{epoch}"
    return hashlib.sha256(text.encode()).digest()[0] / 255


class Audited(Session):
    """A session with the scheduler and the searcher that a `TrialRunner` gives it."""

    def __init__(self, study, path):
        self.settle(study, path)
        super().__init__(study, path)
        inner, condemned = build_scheduler(study), set()
        replay = Replay(inner, study, self.journal)
        replay.ended()
        self.inner = inner
        self.scheduler = AuditScheduler(inner, study, self.journal, condemned)
        self.searcher._on_resume = replay.resumed
        self.callback._condemned = condemned

    @staticmethod
    def settle(study, path):
        """As a session begins: what an earlier one had decided, but not written."""
        journal = Journal(EventLog(path), EPOCHS)
        now = settle_condemned(study, journal)
        for record in journal.open:
            natural = journal.natural_end(record.number)
            if natural != Status.STOPPED or record.number in now:
                journal.end(record.number, natural)
        journal._log.close()

    def error_at(self, trial, epoch):
        """What a trial comes to."""
        return min(1.0, trial.fields["optimizer.lr"] + 0.2 * drawn(trial, epoch))

    def signals_of(self, _trial, _epoch):
        """What it reports beside that."""
        return {}

    def play(self, trials=TRIALS):
        """One trial after the other, to the end of the study."""
        while len(self.journal) < trials or self.journal.open:
            trial = self.start()
            known = self.journal[trial.number].trained_epochs
            for epoch in range(known + 1, EPOCHS + 1):
                diverged = trial.number == 5 and epoch == 3
                error = self.error_at(trial, epoch)
                done = diverged or epoch == EPOCHS
                told = metrics(error, float(diverged)) | self.signals_of(trial, epoch)
                told |= {"epoch": epoch, "done": done}
                decision = self.result(trial, told)
                if decision == TrialScheduler.STOP:
                    break
        return self


class Telling(Audited):
    """One whose trials show after the first epoch what they will come to."""

    def error_at(self, trial, epoch):
        """What a trial comes to."""
        return 0.9 * drawn(trial) + 0.05 * drawn(trial, epoch)

    def signals_of(self, trial, epoch):
        """What it reports beside that."""
        told = dict.fromkeys(FEATURES, 1 / (0.1 + drawn(trial)))
        return told if epoch == 1 else {}


def seen(record):
    """What everybody but the audit knows of a trial."""
    return record.key, record.status, dict(record.history)


def known(journal):
    """All there is in a journal but the time."""
    return [(*seen(r), r.audit and dict(r.audit)) for r in journal.records]


def told(session):
    """What Optuna was told, of a pruned trial what it reads."""
    return [
        (t.params, t.state, t.intermediate_values)
        if t.state == TrialState.PRUNED
        else (t.params, t.state, t.value)
        for t in session.searcher._optuna.get_trials()
    ]


def rungs(session):
    """The values of every rung."""
    (bracket,) = session.inner._brackets
    return {milestone: sorted(values.values()) for milestone, values in bracket._rungs}


def test_an_audit_changes_nothing_but_itself(study_with, tmp_path):
    without = Audited(study_with(0.0), tmp_path / "without").play()
    some = Audited(study_with(0.5), tmp_path / "some").play()
    every = Audited(study_with(1.0), tmp_path / "every").play()
    plain = list(map(seen, without.journal.records))
    stopped = [r for r in without.journal.records if r.status == Status.STOPPED]
    assert 3 < len(stopped) < TRIALS
    for session in (some, every):
        assert list(map(seen, session.journal.records)) == plain
        assert told(session) == told(without)
        assert rungs(session) == rungs(without)
    audits = [r.audit for r in every.journal.records if r.status == Status.STOPPED]
    assert all(audit and (max(audit) == EPOCHS or 3 in audit) for audit in audits)
    drawn = [r.number for r in some.journal.records if r.audit is not None]
    assert 0 < len(drawn) < len(stopped)


def test_a_study_goes_on_from_every_prefix_of_its_record_as_without_the_break(
    study_with, path, tmp_path
):
    study = study_with(0.5)
    whole = Audited(study, path).play()
    expected, lines = known(whole.journal), path.read_bytes().splitlines(keepends=True)
    kinds = [b'"condemned"' in line for line in lines]
    assert sum(kinds) > 2
    around = {n + more for n, is_it in enumerate(kinds) if is_it for more in range(3)}
    for count in sorted(around | set(range(1, len(lines), 5))):
        part = tmp_path / "part.jsonl"
        part.write_bytes(b"".join(lines[:count]))
        session = Audited(study, part).play()
        assert known(session.journal) == expected, count
        assert told(session) == told(whole), count
        assert rungs(session) == rungs(whole), count


def test_what_a_signal_stops_is_the_same_after_any_break(study_with, path, tmp_path):
    settings = {"search.stop_on_signal": True, "search.grace_epochs": 2}
    settings |= {"search.reduction_factor": 3, "search.searcher": "random"}
    study, trials = study_with(0.5, **settings), 24
    whole = Telling(study, path).play(trials)
    records = whole.journal.records
    on_signal = [stopped_on_signal(study.settings.search, r) for r in records]
    assert not any(on_signal[: 3 * FEWEST])  # which teach
    assert 1 < sum(on_signal)
    assert 0 < sum(r.audit is not None for r in records if r.epoch == 1)
    expected, lines = known(whole.journal), path.read_bytes().splitlines(keepends=True)
    first = next(n for n, is_it in enumerate(on_signal) if is_it)
    about = f'"number":{first},'.encode()
    around = [n for n, line in enumerate(lines, 1) if about in line][:6]
    for count in (9, *around):
        part = tmp_path / "part.jsonl"
        part.write_bytes(b"".join(lines[:count]))
        session = Telling(study, part).play(trials)
        assert known(session.journal) == expected, count
        assert told(session) == told(whole), count
    # One that went on is not judged again when its worker begins again.
    part.write_bytes(b"".join(lines[: around[1]]))
    session = Telling(study, part)
    trial, values = session.start(), dict(records[first].history[1])
    assert trial.number == first
    for epoch in (1, 2):
        session.journal.report(first, epoch, values)
    again = {**values, "epoch": 1, "done": False}
    assert session.result(trial, again) == TrialScheduler.CONTINUE
    # What confirms a trial has its whole budget, whatever its signals are.
    for validates, ends in ((0, set()), (None, {trials})):
        journal = Journal(EventLog(tmp_path / f"{validates}.jsonl"), EPOCHS)
        for record in records:
            journal.start(journal.suggest(record.key, record.fields).number)
            for epoch, values in record.history.items():
                journal.report(record.number, epoch, values)
            journal.end(record.number, record.status)
        journal.suggest("confirms", records[first].fields, validates)
        journal.start(trials)
        journal.report(trials, 1, records[first].history[1])
        found = settle_condemned(study_with(0, **settings), journal)
        assert found == ends


def test_a_condemned_trial_keeps_its_slot_and_the_searcher_knows_it_is_over(
    study_with, path
):
    session = Audited(study_with(1.0), path)
    session.limit = 2
    first, second = session.start(), session.start()
    session.epoch(first, 1, 0.1)
    assert session.epoch(second, 1, 0.9) == TrialScheduler.CONTINUE
    assert session.journal[1].audit == {}
    assert session.suggestion() is None  # both run
    session.epoch(second, 2, 0.05)
    assert (session.journal[1].epoch, session.journal[1].audit[2]["val_error"]) == (
        1,
        0.05,
    )
    for epoch in (2, 3, 4, 5):
        session.epoch(first, epoch, 0.1)
    assert session.journal[0].status == Status.FINISHED  # 0.05 is in no rung
    session.start()
    assert told(session)[1][1:] == (TrialState.PRUNED, {1: 0.9})


def test_whatever_an_audit_meets_the_trial_was_stopped(study_with, path):
    session = Audited(study_with(1.0), path)
    session.run(session.start(), [0.1] * EPOCHS)
    ends = [
        lambda trial: session.fail(trial, "ValueError: broken"),
        session.run_out_of_memory,
        lambda trial: session.epoch(trial, 2, 1.0, diverged=True),
        session.die,
    ]
    for end in ends:
        trial = session.start()
        session.epoch(trial, 1, 0.8 + 0.01 * trial.number)  # worse than all before
        end(trial)
        record = session.journal[trial.number]
        assert (record.status, dict(record.history).keys()) == (Status.STOPPED, {1})
    assert session.stopper.trace is None
    assert [state for _, state, _ in told(session)][1:] == [TrialState.PRUNED] * 4
