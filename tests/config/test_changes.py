import pytest

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError


def test_a_change_is_in_force_from_its_epoch_on():
    config = TrialConfig().changed(2, {"lr": 0.5}).changed(5, {"strength": 0.25})
    assert config.changes.epochs == (2, 5)
    assert config.changes.lr == (0.5, 0.5)
    assert config.changes.strength == (1.0, 0.25)
    assert config.changes.coeff == config.changes.threshold == ()
    seen = [(config.value("lr", e), config.value("strength", e)) for e in range(7)]
    assert seen == [(0.01, 1.0)] * 2 + [(0.5, 1.0)] * 3 + [(0.5, 0.25)] * 2
    assert config.value("coeff", 6) == config.regularizer.coeff
    assert TrialConfig.from_dict(config.to_dict()) == config


def test_a_change_at_the_epoch_of_the_last_replaces_it():
    config = TrialConfig().changed(2, {"lr": 0.5, "coeff": 1.0}).changed(2, {"lr": 0.1})
    assert config.changes.epochs == (2,)
    assert (config.value("lr", 2), config.value("coeff", 2)) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"changes.epochs": [2, 1]}, "changes.epochs"),
        ({"changes.epochs": [2, 2]}, "changes.epochs"),
        ({"changes.epochs": [0]}, "changes.epochs"),
        ({"changes.lr": [0.1]}, "changes.lr"),
        ({"changes.epochs": [1, 2], "changes.lr": [0.1]}, "changes.lr"),
        ({"changes.epochs": [1], "changes.strength": [2.5]}, "changes.strength"),
    ],
)
def test_changes_that_make_no_sense_are_refused_by_name(values, name):
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_dict(values)
    assert caught.value.field == name
