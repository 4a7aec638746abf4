from orthotune.design.arm_differences import arm_lines
from tests.ablation.small import TINY
from tests.design.tiny_file import changed, read


def test_an_arm_is_told_by_what_differs_from_the_reference(tmp_path):
    lines = arm_lines(read(tmp_path, TINY))
    assert lines[0] == "full"
    assert "  model.depth = 8" in lines
    assert lines[-2:] == [
        "penalty=l2: regularizer.kind = l2, regularizer.coeff = 0.0001",
        "modulation=off: modulation.enabled = False",
    ]


def test_an_arm_that_is_the_reference_is_said_to_be(tmp_path):
    same = changed('"off": {modulation.enabled: false}', '"off": {}')
    same = same.replace('"on": {modulation.enabled: true}', '"on": {}')
    assert arm_lines(read(tmp_path, same))[-1] == "modulation=off: nothing differs"
