"""The two sides of the tracking benchmark: ours, and the callback that comes with Ray.

Both are told of the same trials with the same metrics.
"""

import time
from array import array

from ray.air.integrations.mlflow import MLflowLoggerCallback  # noqa: TID251 - the other

from orthotune.config.metrics import METRICS
from orthotune.record.event_log import EventLog
from orthotune.record.journal import Journal
from orthotune.record.trial_record import Status
from orthotune.tracking.summary import Summary
from orthotune.tracking.tracker import Tracker

NUM_EPOCHS = 20
AT_ONCE = 8


def started(uri, name):
    """A tracker of a study that begins."""
    tracker = Tracker(
        uri=uri, name=name, study_id=name, metric="val_error", params={}, tags={}
    )
    tracker.connect()
    tracker.start([])
    return tracker


def finish(tracker):
    """Everything written, and the study over."""
    tracker.finish(Summary(status="FINISHED", metrics={}, tags={}, artifacts=[]))
    assert tracker.complete, tracker.first_error


class Ours:
    """A study's journal, and the tracker that observes it, timed or not."""

    def __init__(self, folder, uri, name, *, tracked=True, timed=True):
        self.journal = Journal(EventLog(folder / f"{name}.jsonl"), NUM_EPOCHS)
        self.waits_s = []
        self.tracker = None
        if tracked:
            self.tracker = started(uri, name)
            self.journal.observers = [self if timed else self.tracker]
        self.journal.begin_session()

    def on_start(self, record):
        self._tell(self.tracker.on_start, record)

    def on_epoch(self, record, epoch):
        self._tell(self.tracker.on_epoch, record, epoch)

    def on_end(self, record):
        self._tell(self.tracker.on_end, record)

    def _tell(self, call, *arguments):
        before = time.perf_counter()
        call(*arguments)
        self.waits_s.append(time.perf_counter() - before)

    def start(self, number, fields):
        self.journal.suggest(f"key{number}", fields)
        self.journal.start(number)

    def report(self, number, epoch, metrics):
        self.journal.report(number, epoch, metrics)

    def end(self, number):
        self.journal.end(number, Status.FINISHED)

    def close(self):
        if self.tracker is not None:
            finish(self.tracker)


class RayTrial:
    def __init__(self, number, config):
        self.name, self.config = f"trial-{number}", config

    def __str__(self):
        return self.name


class Rays:
    """Ray's callback, as a script has it that names the experiment."""

    def __init__(self, _folder, uri, name):
        self.callback = MLflowLoggerCallback(tracking_uri=uri, experiment_name=name)
        self.callback.setup()
        self.trials = {}
        self.waits_s = []

    def start(self, number, fields):
        self.trials[number] = RayTrial(number, fields)
        self.callback.log_trial_start(self.trials[number])

    def report(self, number, epoch, metrics):
        result = {**metrics, "training_iteration": epoch}
        before = time.perf_counter()
        self.callback.log_trial_result(0, self.trials[number], result)
        self.waits_s.append(time.perf_counter() - before)

    def end(self, number):
        self.callback.log_trial_end(self.trials[number])

    def close(self):
        pass


def play(side, first, last, pause_s=0.0):
    """Trials that report in turns, so many at once; seconds of every report."""
    seconds = array("d")  # beside what is measured, next to nothing
    for start in range(first, last, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, last))
        for number in numbers:
            side.start(number, {"optimizer.lr": 0.001 * (number % 99 + 1)})
        for epoch in range(1, NUM_EPOCHS + 1):
            for number in numbers:
                metrics = {name: k + epoch / 32 for k, name in enumerate(METRICS)}
                metrics |= {"val_error": 1 / (epoch + number), "diverged": 0.0}
                if pause_s:
                    time.sleep(pause_s)
                before = time.perf_counter()
                side.report(number, epoch, metrics)
                seconds.append(time.perf_counter() - before)
        for number in numbers:
            side.end(number)
    return seconds
