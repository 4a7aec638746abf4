"""The findings of a search, before they are drawn and written down."""

from collections.abc import Sequence
from dataclasses import dataclass

from orthotune.figures.contour import Surface
from orthotune.record.population import population
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.choices import choice_rows
from orthotune.report.importance import Importance, importances
from orthotune.report.ranking import Ranking, rank
from orthotune.report.surface import surface
from orthotune.text import Rows

PREVIEWED = 3


@dataclass(frozen=True, kw_only=True)
class SearchFindings:
    """What a search has found.

    Args:
        study: The study.
        records: Every trial.
        ranking: The best.
        members: The trials that were searched: not those that confirm them.
        compared: Those of them with an equal budget, best first.
        importances: Of the parameters, by groups of trials; of a population none.
        choices: What each choice of the categorical parameters came to, as a table; of
            a population only its header.
        surface: Of the metric over the two numeric parameters that matter most, or why
            there is none; of a population nothing.
    """

    study: Study
    records: Sequence[TrialRecord]
    ranking: Ranking
    members: Sequence[TrialRecord]
    compared: Sequence[TrialRecord]
    importances: Sequence[Importance]
    choices: Rows
    surface: Surface | str = ""

    @property
    def others(self) -> Sequence[TrialRecord]:
        """The members that have a result, but none to compare."""
        numbers = {record.number for record in self.compared}
        return [r for r in self.members if r.history and r.number not in numbers]

    @property
    def previewed(self) -> Sequence[TrialRecord]:
        """The trials whose schedules are shown."""
        return (self.ranking.best or self.compared)[:PREVIEWED]


def find(study: Study, records: Sequence[TrialRecord]) -> SearchFindings:
    """What the trials of a study say.

    Args:
        study: The study.
        records: Its trials.
    """
    members, metric = population(records), study.settings.metric
    compared, search = equal_budget(members, metric), study.settings.search
    found, epoch, ends, smooth = [], None, [], ""
    if not search.is_population:
        found = importances(study.space.parameters, members, metric, search.seed)
        epoch, ends = found[0].epoch, compared
        smooth = surface(study.space.parameters, members, metric, found, search.seed)
    return SearchFindings(
        study=study,
        records=records,
        ranking=rank(study, records),
        members=members,
        compared=compared,
        importances=found,
        choices=choice_rows(study, members, ends, epoch),
        surface=smooth,
    )
