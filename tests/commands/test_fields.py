"""`orthotune fields`: all fields, those that are asked for, and none."""

import re

from orthotune.__main__ import main
from orthotune.config.reference import field_reference
from orthotune.config.trial import FIELD_RULES, TrialConfig


def test_every_field_has_a_meaning_a_range_and_the_default_in_effect(capsys):
    assert main(["fields"]) == 0
    shown = capsys.readouterr().out
    for name, value in TrialConfig().to_dict().items():
        assert re.search(rf"(?m)^{re.escape(name)} = ", shown), (name, value)
    reference = field_reference()
    assert [field.name for field in reference] == list(FIELD_RULES)
    assert all(field.meaning and field.allowed for field in reference)


def test_only_those_that_are_asked_for_are_shown(capsys):
    assert main(["fields", "optimizer.schedule"]) == 0
    shown = capsys.readouterr().out
    assert 'optimizer.schedule.kind = "cosine"\n    one of constant, linear,' in shown
    assert "optimizer.schedule.warmup = 0.1\n    a number in [0, 1)\n" in shown
    assert "momentum" not in shown


def test_a_filter_that_fits_nothing_is_refused(capsys):
    assert main(["fields", "optimiser"]) == 2
    assert capsys.readouterr().err.startswith(
        "orthotune: FILTER must be a part of a field's name, but got 'optimiser'."
    )
