"""The table of the best trials."""

from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.report.ranking import best_rows, rank
from orthotune.space.parameters import CategoricalParameter, FloatParameter
from orthotune.space.search_space import SearchSpace
from orthotune.space.settings import ConfirmSettings, SearchSettings, StudySettings
from tests.made_records import record

LR = FloatParameter(name="optimizer.lr", low=1e-3, high=1, log=True)
DEPTH = CategoricalParameter(name="model.depth", choices=(8, 14))


def test_the_table_shows_rank_trial_value_and_what_was_varied():
    best = record(0, [0.5, 0.25], **{"model.depth": 8})
    header, row = best_rows([best], "val_error", [LR, DEPTH])
    assert header == [
        "rank",
        "trial",
        "val_error",
        "epochs",
        "optimizer.lr",
        "model.depth",
    ]
    assert row == ["1", "0", "0.2500", "2", "0.01", "8"]


def test_the_table_holds_the_five_best_and_a_dash_for_what_a_trial_has_not():
    rows = best_rows([record(n, [0.1]) for n in range(9)], "val_error", [DEPTH])
    assert len(rows) == 6
    assert rows[-1] == ["5", "4", "0.1000", "1", "-"]


def test_a_value_that_a_trial_does_not_read_is_not_shown():
    coeff = FloatParameter(name="regularizer.coeff", low=0, high=1)
    kinds = [{"regularizer.kind": kind} for kind in ("l2", "none")]
    trials = [record(n, [0.1], **kinds[n], **{coeff.name: 0.5}) for n in range(2)]
    _, *rows = best_rows(trials, "val_error", [LR, coeff])
    assert [row[-2:] for row in rows] == [["0.01", "0.5"], ["0.02", "-"]]


def ranked(records, parameters=(LR,), **search):
    confirm = ConfirmSettings(top=3, seeds=2)
    search = SearchSettings(max_epochs=2, confirm=confirm, **search)
    settings = StudySettings(search=search)
    space = SearchSpace(parameters=tuple(parameters))
    return rank(Study(path="a.yaml", settings=settings, space=space), records)


def confirming(number, validates, seed, error):
    other = record(number, [0.9, error], seed=seed)
    other.validates = validates
    return other


SEARCHED = [record(0, [0.5, 0.1]), record(1, [0.5, 0.2]), record(2, [0.5, 0.3])]


def test_a_setting_that_a_population_does_not_read_is_not_shown():
    parameters = [LR, FloatParameter(name="modulation.strength", low=0, high=1)]
    member = record(0, [0.3, 0.2], **{"modulation.enabled": False})
    member.changed_fields = {
        "changes.epochs": [1],
        "changes.lr": [0.02],
        "changes.strength": [0.5],
    }
    pbt = {"scheduler": "pbt", "num_trials": 4, "perturbation_epochs": 1}
    _, row = ranked([member], parameters, **pbt).rows
    assert row[-2:] == ["0.01 to 0.02", "-"]


def test_what_is_not_confirmed_is_only_first_in_the_search():
    found = ranked(SEARCHED)
    assert (found.title, found.confirmed) == (
        "First in the search, not confirmed",
        False,
    )
    assert found.why == "trial 0, val_error 0.1000 after 2 epochs."
    assert found.race == []


def test_the_confirmed_mean_ranks_beside_what_the_search_saw_and_the_curse():
    cells = [(0, 1, 0.4), (1, 1, 0.2), (2, 1, 0.3), (0, 2, 0.5), (1, 2, 0.3)]
    runs = [confirming(3 + n, *cell) for n, cell in enumerate(cells)]
    runs.append(TrialRecord(number=8, fields={"seed": 2}, validates=2))  # still waits
    found = ranked([*SEARCHED, *runs])
    header, *rows = found.rows
    assert header[:8] == [
        "rank",
        "trial",
        "mean val_error",
        "95 % interval",
        "seeds",
        "in search",
        "curse",
        "race",
    ]
    # Student's t with one degree of freedom: 12.7062 standard errors of 0.05.
    assert [" ".join(row[:8]) for row in rows] == [
        "1 1 0.2500 [-0.3853, 0.8853] 2 0.2000 +0.0500 to the end",
        "2 0 0.4500 [-0.1853, 1.0853] 2 0.1000 +0.3500 to the end",
        "- 2 0.3000 - 1 0.3000 +0.0000 in it",
    ]
    assert (found.title, found.value) == ("The best", 0.25)
    assert found.why == (
        "trial 1, val_error 0.2500 from scratch with fresh seeds (mean of 0.2000, "
        "0.3000; 0.2000 in the search)."
    )
    curse, undecided = found.race
    assert curse == (
        "Winner's curse: with fresh seeds val_error is 0.1333 higher than the search "
        "saw, on average over 3 candidates."
    )
    assert undecided == "Not worse than the best beyond doubt: 1 trial (0)."


def test_a_candidate_that_left_the_race_says_when():
    errors = {0: (0.1, 0.1), 1: (0.9, 0.9), 2: (0.1, 0.2)}
    runs = [
        confirming(3 + 3 * n + one, one, 1 + n, errors[one][n])
        for n in range(2)
        for one in errors
    ]
    runs[1].status = runs[1].status.FAILED
    found = ranked([*SEARCHED, *runs])
    assert [row[7] for row in found.rows[1:]] == [
        "to the end",
        "to the end",
        "a run failed",
    ]
