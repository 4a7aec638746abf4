import pytest

from orthotune.errors import AblationError, FileError
from tests.ablation.small import RETUNE, TINY
from tests.design.tiny_file import check_wrong, read

NESTED = """\
question: Does anything matter on a tiny network?
smallest_effect: 0.02
full.training: {num_epochs: 2}
full:
  model: {depth: 8}
  data:
    name: synthetic
    num_train: 64
  data.batch_size: 32
factors:
  penalty:
    orthonormal: {regularizer: {kind: orthonormal}}
    l2:
      regularizer:
        kind: l2
      regularizer.coeff: 1e-4
  modulation:
    "on": {modulation: {enabled: true}}
    "off": {modulation.enabled: false}
seeds: [1, 2, 3]
"""


def test_fields_in_sections_are_those_by_dotted_names(tmp_path):
    expected, found = read(tmp_path, TINY), read(tmp_path, NESTED)
    assert [arm.name for arm in found.arms] == [arm.name for arm in expected.arms]
    for ours, theirs in zip(found.arms, expected.arms, strict=True):
        assert dict(ours.fields) == dict(theirs.fields)


def test_arms_may_be_in_sections_whatever_their_names(tmp_path):
    text = """\
question: Which?
design: explicit
baseline: {model: {depth: 8}}
arms:
  v1.0: {optimizer: {lr: 0.1}}
seeds: [1, 2]
"""
    _, arm = read(tmp_path, text).arms
    assert (arm.name, arm.fields) == (
        "v1.0",
        {"model.depth": 8, "optimizer.lr": 0.1},
    )


def test_what_is_set_may_be_in_sections_too(tmp_path):
    more = {"model": {"depth": 14}, "resources": {"cpus": 2}, "retune": {"seed": 9}}
    ablation = read(tmp_path, NESTED + RETUNE, **more, seeds={"initial": 2, "max": 4})
    assert ablation.reference.fields["model.depth"] == 14
    assert ablation.resources.cpus == 2
    assert ablation.retune.seed == 9
    assert len(ablation.seeds) == 4
    with pytest.raises(AblationError, match=r"--set: `model.depth` must be given once"):
        read(tmp_path, NESTED, **{"model": {"depth": 8}, "model.depth": 14})


def test_both_ways_of_a_key_are_an_error_with_both_lines(tmp_path):
    text = NESTED.replace(
        "    num_train: 64\n", "    num_train: 64\n    batch_size: 8\n"
    )
    with pytest.raises(FileError, match=r":10: .* `data.batch_size` stands on line 9"):
        read(tmp_path, text)


def test_an_error_in_a_section_has_its_line(tmp_path):
    text = NESTED.replace("        kind: l2\n", "        kind: l3\n")
    check_wrong(
        tmp_path, text, ":15: `factors.penalty.l2.regularizer.kind` must be one"
    )


def test_accuracy_is_compared_by_the_error(tmp_path, capsys):
    assert read(tmp_path, NESTED, metric="val_accuracy").metric == "val_error"
    assert "val_accuracy is 1 - val_error" in capsys.readouterr().err
