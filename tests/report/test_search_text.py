"""The report of a search as text: its parts, its numbers, its warnings."""

import math
import random

from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.findings import find
from orthotune.report.search_report import write_report
from orthotune.report.search_text import markdown, short_note
from tests.made_records import metrics, record
from tests.report.searched import ended, study_of

POPULATION = """\
name: members
search: {num_trials: 4, max_epochs: 6, scheduler: pbt, perturbation_epochs: 2}
fixed: {model.depth: 8}
space:
  optimizer.lr: {type: float, low: 1e-3, high: 3, log: true}
  modulation.strength: {type: float, low: 0.5, high: 1}
"""


def drawn(study, value_of, count):
    """Finished random trials, with an error computed from their values."""
    rng = random.Random(2)
    records = []
    for number in range(count):
        fields = study.trial_fields(study.space.draw(rng))
        one = record(number, [0.9, 0.9, value_of(fields, rng)])
        one.fields = fields
        records.append(one)
    return records


def text_of(study, records, figures=None):
    return markdown(find(study, records), figures or {}, ["abc1"], "python -m x a.yaml")


def rate_only(fields, rng):
    return (math.log10(fields["optimizer.lr"]) + 3) / 4 + 0.01 * rng.random()


def test_the_report_says_what_was_found_and_how(study, tmp_path):
    records = [
        ended(0),
        ended(1, errors=[0.9, 0.5, 0.3], **{"regularizer.kind": "none"}),
        ended(2, Status.STOPPED, [0.8]),
        ended(3, Status.DIVERGED, [0.8, 1.0]),
    ]
    write_report(study, tmp_path, records, ["abc1"], "python -m x a.yaml")
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert lines[0] == "# searched: the smallest val_error"
    assert lines[2] == (
        "**First in the search, not confirmed**: trial 1, val_error 0.3000 after 3 "
        "epochs."
    )
    assert lines[4] == (
        "4 trials (2 finished, 1 stopped, 1 diverged), 25% of those that have ended "
        "diverged."
    )
    cells = [cell.strip() for cell in lines[8].strip("|").split("|")]
    assert cells == ["1", "1", "0.3000", "3", "0.03", "0.5", "none", "-"]
    assert [line for line in lines if line.startswith("## ")] == [
        "## Remarks",
        "## Lowest so far against budget",
        "## Learning curves",
        "## Trials over the space",
        "## Slices",
        "## Choice by choice",
        "## What matters",
        "## The two that matter most",
        "## Schedules of the best",
        "## How it was run",
    ]
    for name in ("budget", "curves", "parallel", "slices", "schedules"):
        assert any(line.endswith(f"]({name}.svg)") for line in lines)
    assert "| search.seed                | 5     |" in lines
    (momentum,) = (line for line in lines if line.startswith("| optimizer.momentum"))
    assert "| number in [0, 0.9] " in momentum
    assert "Fixed: `model.depth` = 8." in lines
    assert lines[-1].startswith("9 epochs of training, 4 s of it; Python 3.")
    assert "optuna 5." in lines[-1]
    assert "code at commit abc1." in lines[-1]
    assert lines[-1].endswith("`python -m x a.yaml`")


def test_both_methods_stand_side_by_side_for_every_group(study):
    text = text_of(study, drawn(study, rate_only, 60))
    assert text.count("| fANOVA | PED-ANOVA |") == 2
    assert "**All trials**: 60 trials at epoch 3 of 3. " in text
    assert "An epoch before the last" not in text
    assert "**Trials with regularizer.kind = orthonormal**: " in text
    assert "Without `regularizer.kind`: of a single value here." in text
    assert "So are trials that diverged" in text
    assert "Parameters that are not in effect in all trials" in text
    first = next(r for r in text.splitlines() if r.startswith("| optimizer.lr "))
    fanova, ped_anova = (float(cell) for cell in first.strip("| ").split("|")[1:])
    assert min(fanova, ped_anova) > 0.9


def test_a_disagreement_of_the_methods_is_said(study):
    def disaster_by_rate(fields, _rng):
        disaster = math.log10(fields["optimizer.lr"]) > -0.3
        return 1.0 if disaster else 0.2 * fields["optimizer.momentum"]

    text = text_of(study, drawn(study, disaster_by_rate, 100))
    assert (
        "**The methods disagree**: fANOVA names `optimizer.lr` first, PED-ANOVA "
        "`optimizer.momentum` (rank correlation"
    ) in text


def test_few_trials_give_a_sentence_and_no_numbers(study):
    text = text_of(study, drawn(study, rate_only, 12))
    assert (
        "**All trials**: no importances, because they take 20 trials, and there are 12."
    ) in text
    assert "PED-ANOVA |" not in text


def test_an_epoch_on_the_way_is_said_to_be_one(study):
    records = drawn(study, rate_only, 30)
    for one in records[5:]:
        one.status, one.history = Status.STOPPED, {1: one.history[3]}
    text = text_of(study, records)
    assert "**All trials**: 30 trials at epoch 1 of 3. " in text
    assert "span the full budget of 3 epochs" in text
    assert "early values favour what learns fast" in text
    assert "the deepest that at least 20 of them have reached" in text


def test_a_sample_is_said_to_be_one(study):
    text = text_of(study, drawn(study, rate_only, 230))
    assert "230 trials at epoch 3 of 3. A random sample of 200 of them (seed 5)" in text


def test_lines_that_are_not_drawn_are_counted(study):
    stopped = [ended(n, Status.STOPPED, [0.5]) for n in range(300)]
    text = text_of(study, [*stopped, ended(300)])
    # Of the learning curves and of the parallel coordinates.
    assert text.count("Of 300 trials others, evenly by number, 250 are drawn.") == 2


def test_without_a_result_it_says_so(study):
    text = text_of(study, [ended(0, Status.FAILED, [])])
    assert "No trial gave a result that can be compared." in text
    assert "| rank" not in text
    assert text_of(study, []).splitlines()[4] == "0 trials (none started)."


def test_of_a_population_no_importances_but_what_was_lived_through(tmp_path):
    study = study_of(tmp_path, POPULATION)
    members = [
        TrialRecord(
            number=number,
            fields={
                **study.trial_fields({"optimizer.lr": 0.1, "modulation.strength": 0.7})
            },
            history={epoch: metrics(0.9 - 0.1 * number) for epoch in range(1, 7)},
            changed_fields={"changes.epochs": [2], "changes.lr": [2.9]}
            if number == 3
            else {},
            status=Status.FINISHED,
        )
        for number in range(4)
    ]
    report = write_report(study, tmp_path, members, [])
    text = (tmp_path / "report.md").read_text()
    assert "Importances are not given: in a population" in text
    assert "No schedule of the population has been confirmed" in text
    assert "The settings are those that a member ended with" in text
    assert "0.1 to 2.9" in text
    assert "`optimizer.lr` of the first trial is 2.9, within 5%" in text
    assert tmp_path / "schedules.svg" in report.paths


def test_mlflow_is_given_the_head_of_it(study):
    findings = find(study, [ended(0)])
    note = short_note(findings)
    assert note.startswith("# searched: the smallest val_error")
    assert "| 1    | 0     | 0.4000    |" in note
    assert note.endswith("The whole report is the artifact `report.html`.")
