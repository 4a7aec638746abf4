"""What a search will do, in a few words; nothing heavy is loaded for it."""

from orthotune.record.study_definition import Study
from orthotune.space.rungs import rungs
from orthotune.space.settings import SearchSettings
from orthotune.text import counted


def overview(study: Study) -> list[str]:
    """The first lines of a study's plan.

    Args:
        study: A search.

    Example:
        >>> from orthotune.space.search_space import SearchSpace
        >>> from orthotune.space.settings import StudySettings
        >>> space = SearchSpace(parameters=())
        >>> settings = StudySettings(name="tiny")
        >>> study = Study(path="tiny.yaml", settings=settings, space=space)
        >>> print(overview(study)[0])
        study      tiny (tiny.yaml)
    """
    search = study.settings.search
    num_trials = int(min(search.num_trials, study.space.size))
    return [
        f"study      {study.settings.name} ({study.path})",
        f"minimizes  {' and '.join(study.settings.objectives)}",
        *_search_lines(study, num_trials),
        *_confirm_lines(study),
    ]


def _search_lines(study: Study, num_trials: int) -> list[str]:
    search = study.settings.search
    if study.searched:
        return ["searched   already; no further trial is suggested"]
    return [
        f"trials     {num_trials} by {_searcher(search)}, "
        f"{search.max_epochs} epochs each at most",
        *_schedule_lines(search, num_trials),
    ]


def _searcher(search: SearchSettings) -> str:
    if search.searcher == "grid":
        return "grid, which is every combination once"
    return f"{search.searcher}, seed {search.seed}"


def _schedule_lines(search: SearchSettings, num_trials: int) -> list[str]:
    if search.is_population:
        return [
            f"population compared every {search.perturbation_epochs} epochs; the worst "
            "quarter then copies the best (pbt)",
        ]
    if not rungs(search):
        return ["rungs      none: every trial runs its full budget"]
    alive = [
        f"{num_trials / search.reduction_factor**passed:.0f} go on after {epochs}"
        for passed, epochs in enumerate(rungs(search), 1)
    ]
    rest = f"audit      {search.audit:.0%} of the stopped run on, for the report alone"
    return [
        f"rungs      about {', '.join(alive)} epochs (asha; more at first)",
        *([rest] if search.audit else []),
    ]


def _confirm_lines(study: Study) -> list[str]:
    search = study.settings.search
    if not search.num_confirmations:
        return ["confirmed  nothing: what is first is not shown to be best"]
    what = f"the best {search.confirm.top} "
    what += "schedules" if search.is_population else "trials"
    if study.settings.objectives[1:]:
        what = f"{search.confirm.top} trials of the front"
    return [
        f"confirmed  {what} from scratch, with "
        f"{counted(search.confirm.seeds, 'fresh seed')} each: "
        f"{search.num_confirmations} runs at most"
    ]
