from orthotune.record.trial_record import Status
from orthotune.verdicts.retuning_results import retuning
from tests.ablation.cells import DATA
from tests.ablation.retuned import RETUNED, TUNING, asked, ended
from tests.ablation.small import FULL, L2, OFF


def test_the_best_draw_is_told_by_what_the_arm_reads(tmp_path):
    free = RETUNED.replace(", when: {modulation.enabled: true}", "")
    assert free != RETUNED
    ablation = asked(tmp_path, free)
    found = retuning(ablation, ended(ablation), DATA)
    assert "modulation.threshold" in found.best(OFF).values
    assert found.best(OFF).words.startswith("optimizer.lr = ")
    assert "modulation.threshold" not in found.best(OFF).words
    assert "modulation.threshold = " in found.best(FULL).words


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
