"""Studies in a folder as a session leaves them, made without Ray and MLflow."""

from orthotune.design.ablation_file import read_ablation
from orthotune.record.event_log import EventLog
from orthotune.record.identity import definition, trial_key
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.study.study_file import read_study
from tests.made_records import metrics

DATA = {"synthetic": "5120", "digits": "1797"}


def begun(study, storage, study_id="0123456789ab"):
    """The journal of a study that has begun in a storage."""
    folder = storage / study.settings.name
    folder.mkdir(parents=True)
    log = EventLog(folder / "record.jsonl")
    header = {"event": "study", "format": 1, "id": study_id}
    log.append({**header, "definition": definition(study, DATA), "time": 1})
    return Journal(log, study.settings.search.max_epochs)


def ran(journal, fields, errors, status=Status.FINISHED, **more):
    """A trial of it that has reported errors, epoch by epoch, and ended."""
    record = journal.suggest(trial_key(fields, DATA), fields, **more)
    journal.start(record.number)
    for epoch, error in enumerate(errors, 1):
        diverged = float(status == Status.DIVERGED)
        journal.report(record.number, epoch, metrics(error, diverged))
    if status.ended:
        why = "ValueError: broken" if status == Status.FAILED else None
        journal.end(record.number, status, why)
    return record


def searched(storage, text, trials, **settings):
    """A search in a storage, with trials of given learning rates and errors."""
    study = read_study(text, settings)
    journal = begun(study, storage)
    for lr, errors, *status in trials:
        fields = study.trial_fields({"optimizer.lr": lr, "regularizer.kind": "l2"})
        ran(journal, fields, errors, *status)
    return study, journal


def ablated(storage, file, errors):
    """An ablation in a storage: the errors of each arm's seeds, and a tuning trial."""
    ablation = read_ablation(file)
    journal = begun(ablation.study(), storage)
    for arm in ablation.arms:
        for seed, error in enumerate(errors[arm.name], 1):
            fields = {**arm.fields, "seed": seed}
            ran(journal, fields, [0.9, error], group=arm.group, label=f"seed {seed}")
    tuning = {**ablation.arms[0].fields, "seed": 99}
    group = f"tuning: {ablation.arms[0].name}"
    ran(journal, tuning, [0.9, 0.0], group=group, label="draw 0")
    return ablation
