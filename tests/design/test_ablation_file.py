"""Ablation files: what they come to, and the sentence for each that is wrong."""

from pathlib import Path

import pytest

from orthotune.design import ablation_file
from orthotune.design.ablation import Claim
from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError
from tests.ablation.small import TINY
from tests.design.tiny_file import changed, check_wrong, read


def test_leaving_one_out_gives_an_arm_for_each_other_level(tmp_path):
    ablation = read(tmp_path, TINY)
    assert [arm.name for arm in ablation.arms] == [
        "full",
        "penalty=l2",
        "modulation=off",
    ]
    full, l2, off = (arm.fields for arm in ablation.arms)
    assert full["regularizer.kind"] == "orthonormal"
    assert l2 == full | {"regularizer.kind": "l2", "regularizer.coeff": 1e-4}
    assert off == full | {"modulation.enabled": False}
    assert (ablation.name, ablation.num_epochs, ablation.seeds) == (
        "tiny",
        2,
        (1, 2, 3),
    )
    assert ablation.claims == (
        Claim(better="full", than="penalty=l2"),
        Claim(better="full", than="modulation=off"),
    )


def test_a_factorial_crosses_every_level(tmp_path):
    ablation = read(tmp_path, TINY + "design: factorial\n")
    assert [arm.name for arm in ablation.arms] == [
        "penalty=orthonormal, modulation=on",
        "penalty=orthonormal, modulation=off",
        "penalty=l2, modulation=on",
        "penalty=l2, modulation=off",
    ]
    last = ablation.arms[-1].fields
    assert (last["regularizer.kind"], last["modulation.enabled"]) == ("l2", False)


def test_explicit_arms_depart_from_the_reference(tmp_path):
    head, _, rest = TINY.partition("factors:")
    seeds = rest[rest.index("seeds:") :]
    arms = "arms:\n  deeper: {model.depth: 14}\n  again:\n"
    ablation = read(tmp_path, head + "design: explicit\n" + arms + seeds)
    assert [(arm.name, arm.fields["model.depth"]) for arm in ablation.arms] == [
        ("full", 8),
        ("deeper", 14),
        ("again", 8),
    ]


def test_overrides_take_the_place_of_the_file(tmp_path):
    overrides = {"seeds": [7], "name": "other", "training.num_epochs": 1}
    ablation = read(tmp_path, TINY, **overrides, **{"resources.cpus": 2})
    assert (ablation.seeds, ablation.name, ablation.num_epochs) == ((7,), "other", 1)
    assert ablation.resources.cpus == 2
    assert all(arm.fields["training.num_epochs"] == 1 for arm in ablation.arms)


WRONG = {
    "unknown key": (
        changed("seeds:", "seed:"),
        ":16: `seed` is not a key here. Did you mean `seeds`?",
    ),
    "no question": (
        changed("question: Does anything matter on a tiny network?", "question: ' '"),
        ":1: `question` must say what the ablation is to settle",
    ),
    "question of another type": (
        changed("question: Does anything matter on a tiny network?", "question: 3"),
        ":1: `question` must be a string, but got 3.",
    ),
    "unknown design": (
        TINY + "design: latin_square\n",
        ":17: `design` must be one of leave_one_out, add_one_in, factorial, explicit",
    ),
    "no reference": (
        changed("full:", "resources:"),
        "`full` must hold the reference's configuration for the design leave_one_out, "
        "but the file has neither",
    ),
    "the other reference": (
        changed("full:", "baseline:"),
        "`full` must hold the reference's configuration for the design leave_one_out, "
        "but the file has `baseline`",
    ),
    "two references": (
        TINY + "baseline: {}\n",
        "but the file has `full` and `baseline`",
    ),
    "reference of another type": (
        "question: q\nfull: 3\nseeds: [1]\n",
        ":2: `full` must be a mapping of keys, but got 3.",
    ),
    "unknown field": (
        changed("model.depth: 8", "model.dept: 8"),
        ":4: `model.dept` is not a config field. Did you mean `model.depth`?",
    ),
    "value out of range": (
        changed("model.depth: 8", "model.depth: 9"),
        ":4: `model.depth` must be 6n + 2",
    ),
    "value of another type": (
        changed("{modulation.enabled: false}", "{modulation.enabled: off}"),
        ":15: `factors.modulation.off.modulation.enabled` must be true or false, but "
        "got the string 'off'.",
    ),
    "seed in the reference": (
        changed("model.depth: 8", "seed: 8"),
        ":4: `seed` is set by `seeds`. Delete it.",
    ),
    "epochs in a factor": (
        changed("{modulation.enabled: false}", "{training.num_epochs: 9}"),
        ":15: `factors.modulation.off.training.num_epochs` must be the same in all "
        "arms",
    ),
    "another data folder in a factor": (
        changed("{modulation.enabled: false}", "{data.root: there}"),
        ":15: `factors.modulation.off.data.root` must be the same in all arms",
    ),
    "crossed factors of one field": (
        changed("{modulation.enabled: false}", "{regularizer.coeff: 0.1}")
        + "design: factorial\n",
        ":13: `factors.modulation` must not set `regularizer.coeff` in the design "
        "factorial, as the factor penalty does.",
    ),
    "no factors": (
        "question: q\nfull: {model.depth: 8}\nseeds: [1]\n",
        "`factors` must hold at least one factor for the design leave_one_out",
    ),
    "factors and arms": (
        TINY + "arms: {other: {}}\n",
        ":17: `arms` must be absent for the design leave_one_out. Use `factors`.",
    ),
    "explicit with factors": (
        TINY + "design: explicit\n",
        ":9: `factors` must be absent for the design explicit. Use `arms`.",
    ),
    "explicit without arms": (
        "question: q\ndesign: explicit\nfull: {model.depth: 8}\nseeds: [1]\n",
        "`arms` must hold at least one arm for the design explicit",
    ),
    "an arm with the reference's name": (
        "question: q\ndesign: explicit\nfull: {}\narms: {full: {}}\nseeds: [1]\n",
        ":4: `arms.full` is the name of a reference. Choose another.",
    ),
    "one level": (
        changed('    "off": {modulation.enabled: false}\n', ""),
        ":13: `factors.modulation` must have at least two levels, but has 1.",
    ),
    "name with an odd character": (
        changed("    l2:", "    'l2|':"),
        ":12: `factors.penalty.l2|` must be named by 1 to 40 letters",
    ),
    "a first level that is not the reference's": (
        changed("  model.depth: 8", "  modulation.enabled: false\n  model.depth: 8"),
        ":15: `factors.modulation.on.modulation.enabled` must be as in the reference, "
        "False, but is True",
    ),
    "unknown metric": (
        TINY + "metric: accuracy\n",
        ":17: `metric` must be one of val_error",
    ),
    "negative smallest effect": (
        changed("smallest_effect: 0.02", "smallest_effect: -0.1"),
        ":2: `smallest_effect` must be a number in [0, 1e+06], but got -0.1.",
    ),
    "resources": (
        TINY + "resources: {gpus: 1.5}\n",
        ":17: `resources.gpus` must be a fraction of one GPU or a whole number",
    ),
    "values that do not go together": (
        changed("{modulation.enabled: false}", "{model.family: residual}"),
        "It happens in the arm modulation=off.",
    ),
    "a model's name with a slash": (
        TINY + "register: a/b\n",
        ":17: `register` must be 1 to 200 letters, digits, spaces, dots, dashes, plus",
    ),
    "a model's name of another type": (
        TINY + "register: 3\n",
        ":17: `register` must be a string or null, but got 3.",
    ),
    "a name that is no folder": (
        TINY + "name: a/b\n",
        ":17: `name` must be 1 to 64 letters, digits, dots, dashes or underscores",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, kind):
    check_wrong(tmp_path, *WRONG[kind])


def test_unknown_overrides_are_refused(tmp_path):
    with pytest.raises(AblationError, match=r"--set: `model\.dept` is not a key"):
        read(tmp_path, TINY, **{"model.dept": 8})


def test_whole_sections_are_not_replaced_from_the_command_line(tmp_path):
    for section in ("factors", "arms", "full"):
        with pytest.raises(AblationError, match=f"--set: `{section}` is not a key"):
            read(tmp_path, TINY, **{section: {}})


def factors(num_factors, num_levels):
    """A file with so many factors, of levels that are one configuration."""
    lines = ["factors:"]
    for number in range(num_factors):
        lines.append(f"  f{number}:")
        lines += [f"    l{level}: {{}}" for level in range(num_levels)]
    before, _, after = TINY.partition("factors:\n")
    return before + "\n".join(lines) + "\nseeds" + after.partition("\nseeds")[2]


@pytest.mark.parametrize(
    ("design", "num_factors", "num_levels", "arms"),
    [
        ("factorial", 24, 2, 2**24),
        ("factorial", 11, 2, 2**11),
        ("factorial", 5, 5, 5**5),
        ("leave_one_out", 50, 22, 1 + 50 * 21),
        ("leave_one_out", 1, 1025, 1025),
    ],
)
def test_too_many_arms_are_refused_before_they_are_made(
    design, num_factors, num_levels, arms, tmp_path, monkeypatch
):
    for make in ("crossed", "one_at_a_time"):
        monkeypatch.setattr(ablation_file, make, pytest.fail)
    sentence = rf":9: `factors` must make at most 1024 arms, but make {arms}\."
    with pytest.raises(AblationError, match=sentence):
        read(tmp_path, f"{factors(num_factors, num_levels)}design: {design}\n")


def test_as_many_arms_as_are_allowed_are_read(tmp_path):
    ablation = read(tmp_path, f"{factors(10, 2)}design: factorial\nclaims: null\n")
    assert len(ablation.arms) == 1024


def test_other_lists_without_end_are_refused(tmp_path):
    explicit = (
        TINY.partition("factors:")[0] + "design: explicit\nseeds: [1, 2]\narms:\n"
    )
    arms = "".join(f"  a{number}: {{model.depth: 14}}\n" for number in range(1024))
    with pytest.raises(AblationError, match="`arms` must make at most 1024 arms, but "):
        read(tmp_path, explicit + arms)
    with pytest.raises(AblationError, match="at most 500 characters long, but has 501"):
        read(tmp_path, TINY, question="x" * 501)


FILES = sorted(
    path
    for path in (Path(__file__).parents[2] / "ablations").glob("*.yaml")
    if "question:" in path.read_text()
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_files_of_this_project_are_ablations(path):
    ablation = read_ablation(str(path))
    assert len(ablation.seeds) >= 2
    assert len({arm.name for arm in ablation.arms}) == len(ablation.arms)
