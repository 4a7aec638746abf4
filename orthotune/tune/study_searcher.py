"""Suggests the trials of a study that is searched: those left open, then new ones."""

from collections.abc import Callable
from typing import Any

from orthotune.record.identity import Fingerprints, trial_key
from orthotune.record.journal import Journal
from orthotune.record.population import population
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.tune.record_searcher import Assign, RecordSearcher
from orthotune.tune.stopper import StudyStopper

MAX_DUPLICATES = 200
"""Suggestions in a row that were known already, after which the space counts as
exhausted."""


class StudySearcher(RecordSearcher):
    """The base of what suggests new trials.

    A configuration that the journal knows is not suggested twice; when nothing new
    comes the search ends.

    Args:
        study: What to search; its metric is minimized.
        journal: The trials so far; every new one is added before it is suggested.
        fingerprints: The data's.
        assign: Gives what a trial is told, as an `assignment`.
        limit: Gives how many trials may be under way now; at least 1.
        stopper: Told when the journal cannot be written.
        on_resume: Called with a record and the name Ray gives it now, before a trial of
            an earlier session goes on.
    """

    def __init__(
        self,
        study: Study,
        journal: Journal,
        *,
        fingerprints: Fingerprints,
        assign: Assign,
        limit: Callable[[], float],
        stopper: StudyStopper,
        on_resume: Callable[[TrialRecord, str], None],
    ) -> None:
        metric = study.settings.metric
        left = population(journal.open)  # what confirms others is no suggestion
        super().__init__(left, metric, assign=assign, limit=limit, stopper=stopper)
        self._study = study
        self._journal = journal
        self._fingerprints = fingerprints
        self._on_resume = on_resume
        self._keys = {record.key for record in journal.records}

    def _new(self) -> TrialRecord | None:
        """A trial whose result is not known; None if there is none left."""
        raise NotImplementedError

    def _next(self, trial_id: str) -> TrialRecord | None:
        record = super()._next(trial_id)
        if record is None:
            return self._new()
        self._on_resume(record, trial_id)
        return record

    def draw(self, count: int) -> None:
        """Add trials to the journal until there are `count`, or no new ones.

        For a population, which Ray does not let a searcher suggest.
        """
        while len(self._journal) < count and not self._journal.exhausted:
            self._new()

    def _key(self, values: dict[str, Any]) -> str:
        """The key of the trial with these values of the parameters."""
        return trial_key(self._study.trial_fields(values), self._fingerprints)

    def _suggested(self, key: str, values: dict[str, Any]) -> TrialRecord:
        """A new trial of the journal."""
        record = self._journal.suggest(key, self._study.trial_fields(values))
        self._keys.add(key)
        return record
