from orthotune.ablation.arm_runs import arm_runs
from orthotune.verdicts.findings import find
from tests.ablation.cells import DATA
from tests.ablation.retuned import AGAIN, asked, ended
from tests.ablation.small import FULL, L2, OFF


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
