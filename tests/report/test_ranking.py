"""The table of the best trials."""

from orthotune.record.population import Validated
from orthotune.report.ranking import best_rows, population_rows
from orthotune.space.parameters import CategoricalParameter, FloatParameter
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


def test_a_setting_that_a_population_does_not_read_is_not_shown():
    parameters = [LR, FloatParameter(name="modulation.strength", low=0, high=1)]
    member = record(0, [0.3, 0.2], **{"modulation.enabled": False})
    member.changed_fields = {
        "changes.epochs": [1],
        "changes.lr": [0.02],
        "changes.strength": [0.5],
    }
    one = Validated(record=member, values=[0.25], complete=True)
    _, row = population_rows([one], "val_error", parameters)
    assert row[-2:] == ["0.01 to 0.02", "-"]
