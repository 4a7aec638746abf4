import pytest

from orthotune.config.takeover import changeable, taken_over
from orthotune.config.trial import TrialConfig

NAMES = {"lr": "optimizer.lr", "coeff": "regularizer.coeff"}


def config(**values):
    return TrialConfig.from_dict(
        {NAMES.get(k, k.replace("_", ".", 1)): v for k, v in values.items()}
    )


def in_force(config, name, epochs=10):
    return [config.value(name, epoch) for epoch in range(epochs)]


def test_up_to_the_epoch_it_is_theirs_and_from_then_on_ours():
    theirs, ours = config(lr=0.1, coeff=0.01), config(lr=0.2, coeff=0.01)
    both = taken_over(ours, theirs, 4)
    assert in_force(both, "lr") == [0.1] * 4 + [0.2] * 6
    assert in_force(both, "coeff") == [0.01] * 10
    assert both.changes.epochs == (4,)
    assert both.changes.coeff == ()  # what does not change is not listed


def test_what_cannot_change_is_ours():
    both = taken_over(config(seed=7, lr=0.2), config(seed=3, lr=0.1), 4)
    assert both.seed == 7


def test_a_copy_of_a_copy_has_the_whole_past():
    first = taken_over(config(lr=0.2), config(lr=0.1), 2)
    second = taken_over(config(lr=0.2, coeff=0.5), first, 5)
    third = taken_over(config(lr=0.3, coeff=0.5), second, 5)
    assert in_force(third, "lr") == [0.1] * 2 + [0.2] * 3 + [0.3] * 5
    assert in_force(third, "coeff") == [0.001] * 5 + [0.5] * 5


def test_going_on_as_one_was_changes_nothing():
    past = taken_over(config(lr=0.2), config(lr=0.1), 2)
    assert taken_over(config(lr=0.2), past, 6) == past
    assert taken_over(past, past, 6) == past
    # back at an earlier state, before its change
    assert in_force(taken_over(past, past, 1), "lr") == in_force(past, "lr")


def test_a_change_at_the_epoch_itself_gives_way():
    past = taken_over(config(lr=0.2), config(lr=0.1), 4)
    assert taken_over(config(lr=0.1), past, 4) == config(lr=0.1)
    again = taken_over(config(lr=0.3), past, 4)
    assert in_force(again, "lr") == [0.1] * 4 + [0.3] * 6


def test_before_the_first_epoch_there_is_no_past():
    ours = config(lr=0.2)
    assert taken_over(ours, config(lr=0.1), 0) == ours


@pytest.mark.parametrize("epoch", [1, 3, 5, 6, 8])
def test_changes_that_each_has_planned_are_kept_on_its_side(epoch):
    theirs = config(lr=0.1, changes_epochs=[2, 6], changes_lr=[0.2, 0.3])
    ours = config(lr=0.5, changes_epochs=[5, 7], changes_lr=[0.6, 0.7])
    both = taken_over(ours, theirs, epoch)
    expected = in_force(theirs, "lr")[:epoch] + in_force(ours, "lr")[epoch:]
    assert in_force(both, "lr") == expected


def test_the_fields_that_can_change_are_those_a_population_may_vary():
    assert set(changeable(TrialConfig().to_dict())) == {
        "optimizer.lr",
        "regularizer.coeff",
        "modulation.threshold",
        "modulation.strength",
        "changes.epochs",
        "changes.lr",
        "changes.coeff",
        "changes.threshold",
        "changes.strength",
    }
