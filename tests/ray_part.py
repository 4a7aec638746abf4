"""Ray's part in a session of a study, played in Ray's own order."""

import functools
import math
from dataclasses import dataclass, field
from types import SimpleNamespace

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orthotune.record.checkpoints import CheckpointFolder
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.tune.assignment import (
    ERROR,
    OUT_OF_MEMORY,
    STUDY,
    assignment,
    name_of,
    number_of,
)
from orthotune.tune.callback import WORKER_DEATHS, JournalCallback
from orthotune.tune.searcher import build_searcher
from orthotune.tune.stopper import StudyStopper
from tests.made_records import metrics

FINGERPRINTS = {"synthetic": "5120", "digits": "1797"}


def trial_info(name):
    """What Ray tells a trainable of its trial."""
    return SimpleNamespace(trial_name=name, trial_id="id", trial_resources=None)


@dataclass
class RayTrial:
    """What is read of Ray's trial."""

    trial_id: str
    config: dict = field(default_factory=dict)
    last_result: dict | None = None

    def __str__(self):
        return name_of(self)

    @property
    def fields(self):
        return self.config[STUDY]["fields"]

    @property
    def number(self):
        return number_of(self)


class Session:
    """A study's own parts, and what Ray asks of them.

    The order is that of ray/tune/execution/tune_controller.py: `_process_trial_result`
    and `stop_trial`; `_process_trial_failure`.
    """

    def __init__(self, study, path, *, scheduler=None):
        self.max_epochs = study.settings.search.max_epochs
        self.journal = Journal(EventLog(path), self.max_epochs)
        self.stopper = StudyStopper()
        self.scheduler = scheduler or FIFOScheduler()
        self.resumed = []
        self.limit = math.inf
        folder = CheckpointFolder(str(path.parent / "checkpoints"))
        self.searcher = build_searcher(
            study,
            self.journal,
            fingerprints=FINGERPRINTS,
            assign=functools.partial(assignment, folder),
            limit=lambda: self.limit,
            stopper=self.stopper,
            on_resume=lambda record, name: self.resumed.append((record.number, name)),
        )
        self.callback = JournalCallback(self.journal, self.stopper, {})
        self.count = 0
        self.journal.begin_session()

    def suggestion(self):
        """What the searcher says to the next question."""
        self.count += 1
        return self.searcher.suggest(f"id{self.count}")

    def start(self):
        """The next trial, running; None if there is none."""
        config = self.suggestion()
        if config in (None, Searcher.FINISHED):
            return None
        trial = RayTrial(f"id{self.count}", config)
        self.scheduler.on_trial_add(None, trial)
        self.callback.on_trial_start(1, [], trial)
        return trial

    def result(self, trial, result, *, stop=False):
        """A result has come; `stop` plays a scheduler that has enough of the trial."""
        decision = TrialScheduler.STOP
        if not result.get("done"):
            decision = self.scheduler.on_trial_result(None, trial, result)
        if stop:
            decision = TrialScheduler.STOP
        if decision == TrialScheduler.STOP:
            result = {**result, "done": True}
        else:
            self.searcher.on_trial_result(trial.trial_id, result)
        self.callback.on_trial_result(1, [], trial, result)
        trial.last_result = result
        if decision == TrialScheduler.STOP:
            self.scheduler.on_trial_complete(None, trial, result)
            self.searcher.on_trial_complete(trial.trial_id, result=result)
            self.callback.on_trial_complete(1, [], trial)
        return decision

    def epoch(self, trial, epoch, error, *, diverged=False, stop=False):
        """The trial reports an epoch."""
        done = diverged or epoch >= self.max_epochs
        result = metrics(error, float(diverged)) | {"epoch": epoch, "done": done}
        return self.result(trial, result, stop=stop)

    def run(self, trial, errors, *, diverged=False, stop=False):
        """The trial reports its epochs up to its end; those it has not reported yet."""
        for epoch, error in enumerate(errors, 1):
            last = epoch == len(errors)
            if epoch > trial.config[STUDY]["reported"]:
                self.epoch(
                    trial, epoch, error, diverged=diverged and last, stop=stop and last
                )

    def fail(self, trial, trace, key=ERROR):
        """The trial reports that it cannot go on."""
        self.result(trial, metrics(1.0, 1.0) | {key: trace, "done": True})

    def run_out_of_memory(self, trial):
        """The trial does not fit."""
        self.fail(trial, "torch.OutOfMemoryError: CUDA out of memory", OUT_OF_MEMORY)

    def die(self, trial, deaths=WORKER_DEATHS + 1):
        """Ray gives up the trial, whose worker has died so often at this epoch."""
        for _ in range(deaths - 1):
            self.callback.on_trial_recover(1, [], trial)
        self.scheduler.on_trial_error(None, trial)
        self.searcher.on_trial_complete(trial.trial_id, error=True)
        self.callback.on_trial_error(1, [], trial)
