"""Ablation files: what they come to, and the sentence for each that is wrong."""

from pathlib import Path

import pytest

from orthotune.design import ablation_file
from orthotune.design.ablation import Claim
from orthotune.design.ablation_file import read_ablation
from orthotune.errors import AblationError
from tests.ablation.small import RETUNE, TINY


def read(tmp_path, text, **overrides):
    path = tmp_path / "tiny.yaml"
    path.write_text(text)
    return read_ablation(str(path), overrides)


def changed(old, new):
    assert old in TINY
    return TINY.replace(old, new)


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


def test_adding_one_in_claims_that_what_is_added_helps(tmp_path):
    text = changed("full:", "design: add_one_in\nbaseline:")
    ablation = read(tmp_path, text)
    assert ablation.reference.name == "baseline"
    assert ablation.claims[0] == Claim(better="penalty=l2", than="baseline")


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


@pytest.mark.parametrize("reference", ["full", "baseline"])
def test_arms_of_ones_own_are_better_than_a_baseline_and_worse_than_full(
    tmp_path, reference
):
    head, _, rest = TINY.replace("full:", f"{reference}:").partition("factors:")
    arms = "arms: {ours: {model.depth: 14}}\n"
    text = head + "design: explicit\n" + arms + rest[rest.index("seeds:") :]
    (claim,) = read(tmp_path, text).claims
    better, than = ("full", "ours") if reference == "full" else ("ours", "baseline")
    assert claim == Claim(better=better, than=than)


def test_cells_are_whole_seeds_first(tmp_path):
    cells = list(read(tmp_path, TINY).cells())
    assert [(arm.name, seed) for arm, seed, _ in cells[:4]] == [
        ("full", 1),
        ("penalty=l2", 1),
        ("modulation=off", 1),
        ("full", 2),
    ]
    assert all(fields["seed"] == seed for _, seed, fields in cells)


def test_adaptive_seeds_are_judged_at_several_looks(tmp_path):
    ablation = read(tmp_path, changed("[1, 2, 3]", "{first: 100, initial: 5, max: 30}"))
    assert ablation.seeds == tuple(range(100, 130))
    assert ablation.looks == (5, 8, 12, 19, 30)
    study = ablation.study(lambda _records: ())
    assert len(study.listed) == 3 * 5
    assert study.question["looks"] == [5, 8, 12, 19, 30]


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
    "no seeds": (
        changed("seeds: [1, 2, 3]\n", ""),
        "`seeds` must be a list such as [1, 2, 3, 4, 5], or {initial: 5, max: 30}, but "
        "got None.",
    ),
    "seeds of another type": (
        changed("[1, 2, 3]", "5"),
        "or {initial: 5, max: 30}, but got 5. More than one is needed",
    ),
    "adaptive seeds without a maximum": (
        changed("[1, 2, 3]", "{initial: 5}"),
        ":16: `seeds.max` must be an integer in [2, 100000], but got None.",
    ),
    "adaptive seeds that cannot grow": (
        changed("[1, 2, 3]", "{initial: 5, max: 5}"),
        ":16: `seeds.max` must be above `initial` = 5, but got 5. For a fixed number",
    ),
    "adaptive seeds from one": (
        changed("[1, 2, 3]", "{initial: 1, max: 5}"),
        ":16: `seeds.initial` must be an integer in [2, 100000], but got 1.",
    ),
    "adaptive seeds with an unknown key": (
        changed("[1, 2, 3]", "{initial: 3, maximum: 5}"),
        ":16: `seeds.maximum` is not a key here. Did you mean `max`?",
    ),
    "a negative seed": (
        changed("[1, 2, 3]", "[1, -2]"),
        ":16: `seeds` must be an integer in [0, ",
    ),
    "a seed twice": (
        changed("[1, 2, 3]", "[1, 2, 1]"),
        ":16: `seeds` must not repeat a seed, but got [1, 2, 1]",
    ),
    "claims of another type": (
        TINY + "claims: full\n",
        ":17: `claims` must be a list such as",
    ),
    "a claim of an unknown arm": (
        TINY + "claims: [{better: full, than: modulation=of}]\n",
        ":17: `claims` must name an arm as `than`, but got the string 'modulation=of'. "
        "Did you mean `modulation=off`?",
    ),
    "a claim of one arm": (
        TINY + "claims: [{better: full, than: full}]\n",
        ":17: `claims` must compare two arms, but got the string 'full' twice.",
    ),
    "a claim with a negative margin": (
        TINY + "claims: [{better: full, than: penalty=l2, by: -1}]\n",
        ":17: `claims` must be a number in [0, 1e+06], but got -1.",
    ),
    "a claim twice": (
        TINY + "claims: [{better: full, than: penalty=l2}, "
        "{better: full, than: penalty=l2, by: 0}]\n",
        ":17: `claims` must not repeat a claim. Delete one.",
    ),
    "a claim with an unknown key": (
        TINY + "claims: [{better: full, then: penalty=l2}]\n",
        "`claims.then` is not a key here. Did you mean `than`?",
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
    "re-tuning of another type": (
        TINY + "retune: 3\n",
        ":17: `retune` must be a mapping of keys, but got 3.",
    ),
    "re-tuning with an unknown key": (
        TINY + RETUNE.replace("num_trials", "trials"),
        ":18: `retune.trials` is not a key here. Did you mean `num_trials`?",
    ),
    "re-tuning by one trial": (
        TINY + RETUNE.replace("num_trials: 3", "num_trials: 1"),
        ":18: `retune.num_trials` must be an integer in [2, 1000], but got 1.",
    ),
    "re-tuning without a budget": (
        TINY + RETUNE.replace("  num_trials: 3\n", ""),
        ":17: `retune.num_trials` must be an integer in [2, 1000], but got None.",
    ),
    "re-tuning with a seed of the ablation": (
        TINY + RETUNE + "  seed: 2\n",
        ":23: `retune.seed` must be none of `seeds`, but is 2",
    ),
    "re-tuning of nothing": (
        TINY + "retune: {num_trials: 3}\n",
        ":17: `retune.space` must hold at least one parameter, but is empty.",
    ),
    "re-tuning of an unknown field": (
        TINY + RETUNE.replace("optimizer.lr", "optimizer.rate"),
        ":20: `retune.space.optimizer.rate` is not a config field.",
    ),
    "re-tuning of the seed": (
        TINY + RETUNE.replace("optimizer.lr", "seed"),
        ":20: `retune.space.seed` is set by `seeds` and `retune.seed`. Delete it.",
    ),
    "re-tuning of the budget": (
        TINY + RETUNE.replace("optimizer.lr", "training.num_epochs"),
        ":20: `retune.space.training.num_epochs` must be the same in all arms",
    ),
    "re-tuning with wrong bounds": (
        TINY + RETUNE.replace("high: 0.1,", "high: 1e-4,"),
        ":20: `retune.space.optimizer.lr.high` must be greater than `low` = 0.001",
    ),
    "re-tuning under a condition on nothing": (
        TINY + RETUNE.replace("modulation.enabled: true}", "modulation.on: true}"),
        ":22: `retune.space.modulation.threshold.when` names `modulation.on`, which is "
        "not a config field. Known in `modulation`: enabled, ",
    ),
    "re-tuning what tells arms apart": (
        TINY
        + "retune:\n  num_trials: 3\n  space:\n    modulation.enabled: "
        + "{type: categorical, choices: [true, false]}\n",
        ":19: `retune.space` must leave the arms apart, but makes full and "
        "modulation=off one configuration.",
    ),
    "re-tuning to what does not go together": (
        TINY
        + "retune:\n  num_trials: 3\n  space:\n    model.family: "
        + "{type: categorical, choices: [residual, residual_x]}\n",
        ":20: `retune.space.model.family.choices` must be one of",
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
    text, expected = WRONG[kind]
    with pytest.raises(AblationError) as caught:
        read(tmp_path, text)
    assert expected in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "tiny.yaml") + ":")


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
    claim = {"better": "full", "than": "modulation=off"}
    with pytest.raises(AblationError, match="must be at most 1000, but are 10"):
        read(tmp_path, TINY, claims=[{**claim, "by": by} for by in range(1001)])
    many = RETUNE.replace("num_trials: 3", "num_trials: 1000") + TINY
    levels = "".join(f"    k{n}: {{regularizer.coeff: {n}e-6}}\n" for n in range(9))
    with pytest.raises(AblationError, match="at most 4000 trials with 12 arms, but gi"):
        read(tmp_path, many.replace("  modulation:\n", f"{levels}  modulation:\n"))
    with pytest.raises(AblationError, match="at most 500 characters long, but has 501"):
        read(tmp_path, TINY, question="x" * 501)


def test_too_many_cells_are_refused(tmp_path):
    with pytest.raises(AblationError, match="must give at most 100000 cells with 3"):
        read(tmp_path, TINY, seeds=list(range(40_000)))


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
