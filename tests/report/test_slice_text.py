"""What is said of slices."""

from pathlib import Path

from orthotune.record.trial_record import Status
from orthotune.report.findings import find
from orthotune.report.slice_text import slices_part
from tests.report.searched import ended


def test_nothing_is_said_of_a_figure_that_is_not_there(study):
    assert slices_part(None, find(study, [])) == []


def test_of_very_many_trials_it_is_said_that_some_are_drawn(study):
    few = find(study, [ended(n, Status.STOPPED, [0.5]) for n in range(3)])
    title, shown, text = slices_part(Path("slices.svg"), few)
    assert (title, shown[-13:]) == ("## Slices", "](slices.svg)")
    assert "at most" not in text
    many = find(study, [ended(n, Status.STOPPED, [0.5]) for n in range(251)])
    text = slices_part(Path("slices.svg"), many)[2]
    assert text.endswith(
        "at most 250 are drawn, evenly, and 1,000 where the figure answers."
    )
