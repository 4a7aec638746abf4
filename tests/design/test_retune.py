"""Arms that are tuned anew: what is tried, what is chosen, and what is asked again."""

import csv

import pytest

from orthotune.ablation.arm_runs import arm_runs
from orthotune.ablation.findings import find, further_trials
from orthotune.ablation.report import report_writer
from orthotune.ablation.retuning_results import retuning
from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError, DataError
from orthotune.record.identity import definition
from orthotune.record.trial_record import Status
from orthotune.statistics.paired import Verdict
from orthotune.study.data import read_data
from tests.ablation.cells import DATA, tiny, trained
from tests.ablation.small import RETUNE, TINY

FULL, L2, OFF = "full", "penalty=l2", "modulation=off"
FIVE = TINY.replace("[1, 2, 3]", "[1, 2, 3, 4, 5]") + RETUNE
SHARED = {
    FULL: [0.10, 0.12, 0.11, 0.13, 0.12],
    L2: [0.101, 0.119, 0.112, 0.129, 0.121],
    OFF: [0.50, 0.55, 0.47, 0.52, 0.54],
}
TUNING = {FULL: [0.2, 0.1, 0.3], L2: [0.2, 0.2, 0.3], OFF: [0.5, 0.4, Status.DIVERGED]}
AGAIN = SHARED | {OFF: [0.11, 0.12, 0.10, 0.13, 0.11]}


def asked(tmp_path, text=FIVE):
    return tiny(tmp_path, text)


def ended(ablation, tuning=TUNING, again=None):
    """Records of an ablation, and of its re-tuned arms if they are given."""
    records = trained(ablation, SHARED, tuning)
    if again is None:
        return records
    retuned = retuning(ablation, records, DATA).ablation
    known = {record.key for record in records}
    for record in trained(retuned, again):
        if record.key not in known:
            record.number = len(records)
            records.append(record)
    return records


def test_every_arm_is_given_the_same_draws_that_apply_to_it(tmp_path):
    ablation = asked(tmp_path)
    tried = {}
    for arm, number, fields in ablation.tuning():
        tried.setdefault(arm.name, []).append(fields)
        assert fields["seed"] == 0
        assert number == len(tried[arm.name]) - 1
    assert {name: len(own) for name, own in tried.items()} == {FULL: 3, L2: 3, OFF: 3}
    for full, l2, off in zip(*tried.values(), strict=True):
        rates = [one.get("optimizer.lr") for one in (full, l2, off)]
        assert len(set(rates)) == 1
        thresholds = [one.get("modulation.threshold") for one in (full, l2)]
        assert len(set(thresholds)) == 1
        assert "modulation.threshold" not in off
    assert "optimizer.lr" not in tried[FULL][0]  # the shared setting
    assert len({one.get("optimizer.lr") for one in tried[FULL]}) == 3


def test_the_best_draw_is_told_by_what_the_arm_reads(tmp_path):
    free = FIVE.replace(", when: {modulation.enabled: true}", "")
    assert free != FIVE
    ablation = asked(tmp_path, free)
    found = retuning(ablation, ended(ablation), DATA)
    assert "modulation.threshold" in found.best(OFF).values
    assert found.best(OFF).words.startswith("optimizer.lr = ")
    assert "modulation.threshold" not in found.best(OFF).words
    assert "modulation.threshold = " in found.best(FULL).words


def test_more_draws_are_the_same_and_further_ones(tmp_path):
    few = asked(tmp_path).retune.draws()
    more = asked(tmp_path, FIVE.replace("num_trials: 3", "num_trials: 9")).retune
    assert more.draws()[:3] == few


def test_data_that_a_draw_asks_too_much_of_are_refused_before_the_start(tmp_path):
    """A failed trial would run again with every start, and tuning never end."""
    space = "data.batch_size: {type: int, low: 32, high: 65536, log: true}"
    text = RETUNE.replace("    optimizer.lr:", f"    {space}\n    optimizer.lr:")
    without_limit = TINY.replace("  data.num_train: 64\n", "")
    with pytest.raises(DataError, match=r"batch_size"):
        read_data(tiny(tmp_path, without_limit + text).data())


def test_the_best_draw_is_chosen_and_of_equals_the_shared_setting(tmp_path):
    ablation = asked(tmp_path)
    found = retuning(ablation, ended(ablation), DATA)
    draws = ablation.retune.draws()
    assert [found.best(name).draw for name in (FULL, L2, OFF)] == [1, 0, 1]
    fields = {arm.name: arm.fields for arm in found.ablation.arms}
    shared = {arm.name: arm.fields for arm in ablation.arms}
    assert fields[FULL] == {**shared[FULL], **draws[1]}
    assert fields[L2] == shared[L2]
    rate = {"optimizer.lr": draws[1]["optimizer.lr"]}
    assert fields[OFF] == {**shared[OFF], **rate}
    assert found.best(OFF).words == f"optimizer.lr = {rate['optimizer.lr']:.3g}"
    assert found.best(L2).words == "the shared setting"


def test_what_diverged_or_did_not_fit_is_never_chosen(tmp_path):
    ablation = asked(tmp_path)
    tuning = TUNING | {OFF: [Status.OOM, Status.DIVERGED, 0.9]}
    found = retuning(ablation, ended(ablation, tuning), DATA)
    assert found.best(OFF).draw == 2
    nothing = TUNING | {OFF: [Status.OOM] * 3}
    found = retuning(ablation, ended(ablation, nothing), DATA)
    assert found.best(OFF).draw == 0


def test_claims_are_judged_at_the_shared_setting_and_after_tuning(tmp_path):
    ablation = asked(tmp_path)
    findings = find(ablation, ended(ablation, again=AGAIN), DATA)
    alone = find(tiny(tmp_path, FIVE.replace(RETUNE, "")), ended(ablation), DATA)
    assert [j.verdict for j in findings.claims] == [j.verdict for j in alone.claims]
    assert findings.claims[1].verdict == Verdict.SUPPORTED
    again = findings.again.claims[1]
    assert again.verdict == Verdict.UNDECIDED
    assert again.difference.mean == pytest.approx(-0.002)
    assert again.difference.n == 5


def test_nothing_is_asked_again_before_all_tuning_has_ended(tmp_path):
    ablation = asked(tmp_path)
    for open_or_failed in (None, Status.FAILED):
        tuning = TUNING | {OFF: [0.5, 0.4, open_or_failed]}
        records = ended(ablation, tuning)
        findings = find(ablation, records, DATA)
        assert (findings.retuning.num_open, findings.again) == (1, None)
        assert further_trials(ablation, DATA)(records) == []


def test_then_the_arms_so_tuned_run_with_the_seeds_of_the_ablation(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation)
    listed = further_trials(ablation, DATA)(records)
    # The shared setting of penalty=l2 is its best: its cells are there.
    assert [one.group for one in listed] == [
        f"{name}, re-tuned" for _ in range(5) for name in (FULL, OFF)
    ]
    assert [one.label for one in listed[::2]] == [f"seed {s}" for s in (1, 2, 3, 4, 5)]
    assert (
        listed[0].fields["optimizer.lr"] == ablation.retune.draws()[1]["optimizer.lr"]
    )
    assert further_trials(ablation, DATA)(ended(ablation, again=AGAIN)) == []


def test_further_seeds_go_to_what_is_undecided_after_tuning_alone(tmp_path):
    text = FIVE.replace("[1, 2, 3, 4, 5]", "{initial: 5, max: 8}")
    ablation = asked(tmp_path, text)
    shared = {name: [*own, None, None, None] for name, own in SHARED.items()}
    shared[L2] = [0.5, 0.55, 0.47, 0.52, 0.54, None, None, None]
    records = trained(ablation, shared, TUNING)
    retuned = retuning(ablation, records, DATA).ablation
    again = {
        FULL: [0.10, 0.12, 0.11, 0.13, 0.12, None, None, None],
        L2: shared[L2],
        OFF: [0.2, 0.1, 0.3, 0.05, 0.16, None, None, None],
    }
    known = {record.key for record in records}
    for record in trained(retuned, again):
        if record.key not in known:
            record.number = len(records)
            records.append(record)
    listed = further_trials(ablation, DATA)(records)
    assert {one.group for one in listed} == {f"{FULL}, re-tuned", f"{OFF}, re-tuned"}
    assert {one.fields["seed"] for one in listed} == {6, 7, 8}


def test_the_report_has_both_columns_and_says_where_they_differ(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation, again=AGAIN)
    report = report_writer(ablation, DATA, "again!")(None, tmp_path, records, ["abc1"])
    text = (tmp_path / "report.md").read_text()
    top = "- **supported**: full is better than modulation=off; re-tuned: **undecided**"
    assert top in text
    numbers = text.partition(top)[2].splitlines()[1]
    assert numbers.startswith("  effect +0.4000 [")
    assert "5 seeds; re-tuned: effect -0.0020 [" in numbers
    remark = (
        "full is better than modulation=off: supported at the shared setting, "
        "undecided after every arm was tuned. It may have helped only because the rest"
    )
    assert remark in text
    row = next(
        line
        for line in text.partition("## After re-tuning")[2].splitlines()
        if line.startswith(f"| {OFF}")
    )
    shown = [cell.strip() for cell in row.strip("|").split("|")]
    assert shown[1].startswith("optimizer.lr = ")
    assert shown[2:6] == ["3", "1", "0.5160", "0.1140"]
    assert [cell.split()[0] for cell in shown[6:]] == ["+0.4000", "-0.0020"]
    assert report.metrics["retuned_claims_undecided"] == 2.0
    assert report.tags["re-tuned claim 2"].startswith("undecided: full is better")
    names = [path.name for path in report.paths]
    assert {"retuned_curves.svg", "retuned_cells.csv"} < set(names)
    with (tmp_path / "tuning_trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_error"]) for row in rows[-3:]] == [0.5, 0.4, 1.0]


def test_a_report_before_tuning_has_ended_says_so(tmp_path):
    ablation = asked(tmp_path)
    records = ended(ablation, TUNING | {OFF: [None] * 3})
    report = report_writer(ablation, DATA, "again!")(None, tmp_path, records, ["abc1"])
    text = (tmp_path / "report.md").read_text()
    assert "Re-tuning has not ended: 3 trials to run or failed" in text
    assert "Not known yet" in text
    assert not (tmp_path / "retuned_cells.csv").exists()
    assert "retuned_claims_undecided" not in report.metrics


def test_mlflow_has_a_run_for_the_tuning_and_for_the_arm_so_tuned(tmp_path):
    ablation = asked(tmp_path)
    runs = {r.name: r for r in arm_runs(find(ablation, ended(ablation), DATA))}
    assert set(runs) == {FULL, L2, OFF} | {f"tuning: {n}" for n in (FULL, L2, OFF)} | {
        f"{L2}, re-tuned"  # which is the shared setting
    }
    off = runs[f"tuning: {OFF}"]
    assert off.curve == {1: 0.9, 2: 0.4}
    assert off.tags["orthotune.chosen"].startswith("optimizer.lr = ")
    # What can still change is no parameter: those stay as they were first logged.
    assert off.params == runs[OFF].params
    all_runs = arm_runs(find(ablation, ended(ablation, again=AGAIN), DATA))
    retuned = {run.name: run for run in all_runs}[f"{OFF}, re-tuned"]
    assert retuned.params["optimizer.lr"] == ablation.retune.draws()[1]["optimizer.lr"]


def test_how_arms_are_tuned_cannot_change_under_an_answer(tmp_path):
    before = definition(asked(tmp_path).study(), DATA)
    for old, new in (
        ("num_trials: 3", "num_trials: 4"),
        ("high: 0.5", "high: 0.6"),
        ("when: {modulation.enabled: true}", "when: {regularizer.kind: l2}"),
    ):
        assert old in FIVE
        assert definition(asked(tmp_path, FIVE.replace(old, new)).study(), DATA) != (
            before
        )


def test_budget_and_seed_can_be_set_and_only_where_there_is_re_tuning(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(FIVE)
    more = {"retune.num_trials": 7, "retune.seed": 9}
    retune = read_ablation(str(path), more).retune
    assert (retune.num_trials, retune.seed) == (7, 9)
    path.write_text(TINY)
    with pytest.raises(AblationError, match=r"--set: `retune\.seed` is not a key"):
        read_ablation(str(path), {"retune.seed": 9})
