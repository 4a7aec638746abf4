import ast
import collections
import dataclasses
import decimal
import enum
import fractions
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from orthotune.config import changes, sections
from orthotune.config import schedules as schedules_module
from orthotune.config import trial as config_module
from orthotune.config.reference import field_reference
from orthotune.config.schedules import Schedule
from orthotune.config.sections import ModelConfig
from orthotune.config.trial import FIELD_RULES, NO_RESULT, TrialConfig, check_field
from orthotune.errors import ConfigError
from orthotune.schema.kinds import KINDS
from orthotune.schema.registry import ingredients

OTHER_SCHEDULE = {
    "kind": "window",
    "warmup": 0.05,
    "final": 0.5,
    "milestones": [0.1, 0.2, 0.9],
    "gamma": 0.2,
    "start": 0.25,
    "stop": 0.75,
}
CHANGED = {
    "model.family": "residual",
    "model.depth": 20,
    "model.widths": [4, 4, 8],
    "init.scheme": "he",
    "init.batch_norm_bias": 0.5,
    "regularizer.kind": "l2",
    "regularizer.coeff": 0.5,
    "modulation.enabled": False,
    "modulation.threshold": 0.7,
    "modulation.strength": 0.3,
    "modulation.allow_branches": True,
    "optimizer.kind": "adamw",
    "optimizer.lr": 0.2,
    "optimizer.momentum": 0.5,
    "optimizer.nesterov": True,
    "data.name": "svhn",
    "data.root": "/somewhere",
    "data.download": True,
    "data.batch_size": 128,
    "data.num_micro_batches": 8,
    "data.augment": True,
    "data.num_train": 500,
    "data.memory_share": 0.3,
    "data.workers": 0,
    "training.num_epochs": 3,
    "training.precision": "bf16",
    "training.label_smoothing": 0.1,
    "training.clip_norm": 2.0,
    "training.capture": "never",
    "training.compile": True,
    "training.batch_norm": "running",
    "training.evaluate_test": True,
    "changes.epochs": [1],
    "changes.lr": [0.3],
    "changes.coeff": [0.01],
    "changes.threshold": [0.2],
    "changes.strength": [0.5],
    "seed": 2**63 - 1,
    **{
        f"{section}.schedule.{leaf}": value
        for section in ("regularizer", "modulation", "optimizer")
        for leaf, value in OTHER_SCHEDULE.items()
    },
}


OWN = {
    name
    for name in FIELD_RULES
    if any(
        name.startswith(f"{KINDS[kind].section}.{one.name}.")
        for kind in KINDS
        for one in ingredients(kind).values()
    )
}
"""The fields of what is registered with settings of its own."""
PLAIN = [name for name in FIELD_RULES if name not in OWN]


def test_defaults_round_trip():
    assert TrialConfig.from_dict(TrialConfig().to_dict()) == TrialConfig()
    assert TrialConfig.from_dict({}) == TrialConfig()


def test_a_config_with_every_field_changed_round_trips():
    defaults = TrialConfig().to_dict()
    assert defaults.keys() == FIELD_RULES.keys()
    assert CHANGED.keys() == set(PLAIN)
    assert [name for name in CHANGED if CHANGED[name] == defaults[name]] == []
    config = TrialConfig.from_dict(CHANGED)
    assert config.to_dict() == defaults | CHANGED
    assert TrialConfig.from_dict(config.to_dict()) == config


def test_no_result_depends_on_where_data_lie_or_how_they_are_read():
    folder = {"data.name": "image_folder", "data.image_folder.size": 32}
    config = TrialConfig.from_dict(folder)
    how = {"data.root": "/other", "data.memory_share": 1.0, "data.workers": 8}
    assert TrialConfig.from_dict(folder | how).canonical() == config.canonical()
    assert "data.image_folder.size" in config.canonical()
    assert how.keys() <= config.in_effect().keys()
    assert not {"data.memory_share", "data.workers"} & TrialConfig().in_effect().keys()


def test_a_flat_name_reaches_the_field_it_names():
    config = TrialConfig.from_dict(CHANGED)
    for name, expected in CHANGED.items():
        value = config
        for part in name.split("."):
            value = getattr(value, part)
        assert value == (tuple(expected) if isinstance(expected, list) else expected)


def test_a_dict_holds_plain_values_only():
    for config in (TrialConfig(), TrialConfig.from_dict(CHANGED)):
        for name, value in config.to_dict().items():
            assert type(value) in (bool, int, float, str, list, type(None)), name


def test_a_dict_of_a_config_is_the_callers_own():
    config = TrialConfig()
    config.to_dict()["model.widths"].append(5)
    assert config == TrialConfig()


def test_a_partly_given_schedule_keeps_its_owners_defaults():
    config = TrialConfig.from_dict({"optimizer.schedule.final": 0.1})
    assert config.optimizer.schedule == Schedule(kind="cosine", warmup=0.1, final=0.1)
    config = TrialConfig.from_dict({"regularizer.schedule.final": 0.1})
    assert config.regularizer.schedule == Schedule(kind="constant", final=0.1)


def test_equal_configs_are_equal_however_they_were_written():
    ours = TrialConfig.from_dict(
        {
            "modulation.strength": 1,
            "optimizer.momentum": 0,
            "model.widths": (16, 32, 64),
            "modulation.schedule.stop": 1,
        }
    )
    theirs = TrialConfig.from_dict(
        {
            "modulation.strength": 1.0,
            "optimizer.momentum": 0.0,
            "model.widths": [16, 32, 64],
            "modulation.schedule.stop": 1.0,
        }
    )
    assert ours == theirs
    assert hash(ours) == hash(theirs)
    assert repr(ours.to_dict()) == repr(theirs.to_dict())


class Level(enum.IntEnum):
    TWENTY = 20


class Kind(str, enum.Enum):  # noqa: UP042 - as others write them
    L2 = "l2"


MEANING_THE_SAME = {
    "model.depth": (
        *(20, np.int64(20), np.uint8(20), np.array(20), Level.TWENTY),
        torch.tensor(20),
    ),
    "optimizer.lr": (
        *(
            0.125,
            np.float16(0.125),
            np.float32(0.125),
            np.float64(0.125),
            np.longdouble(0.125),
        ),
        *(fractions.Fraction(1, 8), np.array(0.125), torch.tensor(0.125)),
    ),
    "regularizer.coeff": (1.0, 1, np.int32(1), np.float32(1), fractions.Fraction(1)),
    "modulation.enabled": (True, np.bool_(True), np.array(True), torch.tensor(True)),
    "regularizer.kind": ("l2", np.str_("l2"), np.array("l2"), Kind.L2),
    "model.widths": (
        *([8, 8, 9], (8, 8, 9), np.array([8, 8, 9]), [np.int64(8), 8, np.uint8(9)]),
        np.array([np.int64(8), 8, np.uint8(9)], dtype=object),
        *(torch.tensor([8, 8, 9]), collections.UserList([8, 8, 9])),
    ),
    "optimizer.schedule.milestones": ([0.25, 0.5], np.array([0.25, 0.5], np.float32)),
    "data.num_train": (1000, np.int64(1000)),
    "seed": (2**63 - 1, np.uint64(2**63 - 1)),
}


@pytest.mark.parametrize("name", MEANING_THE_SAME)
def test_values_of_the_ecosystem_that_mean_the_same_give_the_same_config(name):
    """As `tune.choice`, `sample_from` and search algorithms give them."""
    plain, *others = MEANING_THE_SAME[name]
    expected = TrialConfig.from_dict({name: plain})
    for value in others:
        config = TrialConfig.from_dict({name: value})
        assert config == expected
        assert json.dumps(config.to_dict()) == json.dumps(expected.to_dict())
        check_field(name, value)
    section, _, leaf = name.rpartition(".")
    if section == "model":
        assert all(getattr(ModelConfig(**{leaf: v}), leaf) for v in others)


def test_a_range_is_a_list_of_numbers():
    config = TrialConfig.from_dict(
        {"changes.epochs": range(1, 4), "changes.lr": [1] * 3}
    )
    assert config.changes.epochs == (1, 2, 3)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("model.depth", np.int64(45), "6n + 2 (8, 14, 20, ...), but got 45."),
        (
            "model.depth",
            np.float64(20),
            "must be an integer in [8, 1202], but got 20.0",
        ),
        (
            "model.depth",
            np.bool_(True),
            "must be an integer in [8, 1202], but got True",
        ),
        ("model.depth", np.array([20]), "an integer in [8, 1202], but got [20]."),
        ("optimizer.lr", np.float32("nan"), "a number in (0, 100], but got nan."),
        ("optimizer.lr", fractions.Fraction(10**400), "(0, 100], but got Fraction("),
        ("optimizer.lr", decimal.Decimal("0.1"), "but got Decimal('0.1')."),
        ("optimizer.lr", np.complex64(1), "a number in (0, 100], but got (1+0j)."),
        ("optimizer.lr", torch.ones(1, device="meta"), "but got tensor(..."),
        ("optimizer.lr", b"1", "a number in (0, 100], but got b'1'."),
        ("modulation.enabled", np.int64(1), "must be true or false, but got 1."),
        ("modulation.enabled", np.str_("true"), "but got the string 'true'."),
        ("model.widths", np.array([8, 8]), "three numbers of filters, but got [8, 8]."),
        ("model.widths", np.array([8.0, 8, 8]), "a list of integers in [1, 4096], but"),
        ("model.widths", "888", "integers in [1, 4096], but got the string '888'."),
        ("model.widths", {8, 9, 10}, "integers in [1, 4096], but got {8, 9, 10}."),
    ],
)
def test_what_means_something_else_is_refused_as_its_plain_value(name, value, problem):
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_dict({name: value})
    assert problem in str(caught.value)


def test_a_config_cannot_be_changed():
    config = TrialConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.seed = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.depth = 8


def documented_fields(*modules):
    """`{class: {field: (annotation, docstring)}}` of the sources, by their syntax."""
    classes = {}
    for module in modules:
        for node in ast.parse(Path(module.__file__).read_text()).body:
            if isinstance(node, ast.ClassDef):
                fields = classes.setdefault(node.name, {})
                for item, after in zip(node.body, [*node.body[1:], None], strict=True):
                    if isinstance(item, ast.AnnAssign):
                        text = None
                        if isinstance(after, ast.Expr):
                            text = ast.literal_eval(after.value)
                        fields[item.target.id] = (ast.unparse(item.annotation), text)
    return classes


def test_every_field_has_a_docstring_that_names_its_default():
    classes = documented_fields(sections, changes, config_module, schedules_module)

    def leaves(section, prefix):
        for name, (annotation, text) in classes[section].items():
            if annotation in classes:
                yield from leaves(annotation, f"{prefix}{name}.")
            else:
                yield prefix + name, text

    documented = dict(leaves("TrialConfig", ""))
    documented = {
        name: text for name, text in documented.items() if not name.endswith(".own")
    }
    assert documented.keys() == set(PLAIN)
    texts = {field.name: field.meaning for field in field_reference()}
    documented |= {name: texts[name] for name in OWN}
    for name, text in documented.items():
        assert isinstance(text, str), name
        assert "default" in text.lower(), name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("model.dept", "Did you mean `model.depth`?"),
        ("depth", "Did you mean `model.depth`?"),
        ("lr", "Did you mean `optimizer.lr`?"),
        ("optimizer.schedule.warm_up", "Did you mean `optimizer.schedule.warmup`?"),
        ("Seed", "Did you mean `seed`?"),
        (
            "warmup",
            "Did you mean `regularizer.schedule.warmup` or `modulation.schedule.warmup`"
            " or `optimizer.schedule.warmup`?",
        ),
        (
            "init",
            "Did you mean `init.scheme` or `init.batch_norm_bias`?",
        ),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(name, hint):
    for refuse in (
        lambda: check_field(name, 1),
        lambda: TrialConfig.from_dict({name: 1}),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value) == f"`{name}` is not a config field. {hint}"
        assert caught.value.field == name


def test_a_field_like_no_other_is_refused_with_all_sections():
    with pytest.raises(ConfigError, match=r"`xyzzy` is not .* fields of changes, data"):
        check_field("xyzzy", 1)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "model.depth",
            45,
            "must be 6n + 2 (8, 14, 20, ...), but got 45. Nearest: 44 or 50.",
        ),
        ("model.depth", 2, "must be an integer in [8, 1202], but got 2."),
        ("model.depth", 1208, "must be an integer in [8, 1202], but got 1208."),
        ("model.depth", 44.0, "must be an integer in [8, 1202], but got 44.0."),
        ("model.depth", "44", "must be an integer in [8, 1202], but got the string"),
        (
            "model.widths",
            [16, 32],
            "must be three numbers of filters, but got [16, 32]. "
            "The default is [16, 32, 64].",
        ),
        (
            "model.widths",
            [0, 1, 2],
            "must be a list of integers in [1, 4096], but got [0, 1, 2].",
        ),
        (
            "model.family",
            "dense",
            "must be one of plain, residual, but got the string 'dense'.",
        ),
        (
            "init.scheme",
            "xavier",
            "must be one of orthonormal, he, as_built, but got the string 'xavier'. "
            "One of "
            "your own? Name its module with --import.",
        ),
        (
            "regularizer.kind",
            None,
            "must be one of orthonormal, l2, none, but got None.",
        ),
        ("regularizer.coeff", -1, "must be a number in [0, 1000], but got -1."),
        ("modulation.threshold", -0.1, "must be a number in [0, 1000], but got -0.1."),
        ("modulation.strength", 2.5, "must be a number in [0, 2], but got 2.5."),
        ("modulation.enabled", "on", "must be true or false, but got the string 'on'."),
        ("modulation.enabled", 1, "must be true or false, but got 1."),
        ("optimizer.lr", 0, "must be a number in (0, 100], but got 0."),
        ("optimizer.lr", "fast", "must be a number in (0, 100], but got the string"),
        ("optimizer.lr", float("nan"), "must be a number in (0, 100], but got nan."),
        ("optimizer.lr", True, "must be a number in (0, 100], but got True."),
        ("optimizer.momentum", 1, "must be a number in [0, 1), but got 1."),
        ("optimizer.schedule.warmup", 1.0, "must be a number in [0, 1), but got 1.0."),
        (
            "data.name",
            "imagenet",
            "must be one of digits, cifar10, cifar100, svhn, fashion_mnist, mnist, "
            "kmnist, synthetic, image_folder, npz, pt, torchvision, huggingface, but "
            "got the string 'imagenet'.",
        ),
        ("data.root", 5, "must be a string, but got 5."),
        ("data.batch_size", 1, "must be an integer in [2, 65536], but got 1."),
        (
            "data.num_micro_batches",
            0,
            "must be an integer in [1, 4096], but got 0.",
        ),
        (
            "data.num_micro_batches",
            2.0,
            "must be an integer in [1, 4096], but got 2.0.",
        ),
        ("data.num_train", 1, "must be an integer in [2, 1e+09] or null, but got 1."),
        ("training.num_epochs", 0, "must be an integer in [1, 100000], but got 0."),
        (
            "training.precision",
            "fp8",
            "must be one of fp32, bf16, fp16, but got the string 'fp8'.",
        ),
        ("training.label_smoothing", 1, "must be a number in [0, 1), but got 1."),
        ("training.clip_norm", 0, "must be a number in (0, 1e+06] or null, but got 0."),
        ("optimizer.muon.steps", 0, "must be an integer in [1, 20], but got 0."),
        (
            "optimizer.muon.adjust_lr",
            "best",
            "must be one of match_rms_adamw, original, but got the string 'best'.",
        ),
        ("optimizer.lars.eta", 0, "must be a number in (0, 1], but got 0."),
        (
            "training.batch_norm",
            "batch",
            "must be one of recalibrated, running, but got the string 'batch'.",
        ),
        ("seed", -1, "must be an integer in [0, "),
        ("seed", True, "must be an integer in [0, "),
        ("seed", 2**63, "must be an integer in [0, "),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_dotted_name(name, value, sentence):
    for refuse in (
        lambda: check_field(name, value),
        lambda: TrialConfig.from_dict({name: value}),
    ):
        with pytest.raises(ConfigError) as caught:
            refuse()
        assert str(caught.value).startswith(f"`{name}` {sentence}")
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"model.family": "residual"},
            "`modulation.enabled` must be false for `model.family` residual, "
            "but got True. Modulation is exact only without shortcuts; "
            "`modulation.allow_branches` restricts it to what lies between them.",
        ),
        (
            {"optimizer.nesterov": True, "optimizer.momentum": 0},
            "`optimizer.nesterov` must be false when `optimizer.momentum` is 0, "
            "but got True.",
        ),
        (
            {
                "model.family": "residual",
                "modulation.enabled": False,
                "model.widths": [64, 32, 16],
            },
            "`model.widths` must not decrease in a residual network, "
            "but got [64, 32, 16].",
        ),
        (
            {"data.num_train": 63},
            "`data.num_train` must be at least `data.batch_size` = 64, but got 63.",
        ),
        (
            {"data.num_micro_batches": 33},
            "`data.num_micro_batches` must leave two images a part of "
            "`data.batch_size` = 64, but got 33.",
        ),
        (
            {"data.batch_size": 3, "data.num_micro_batches": 2},
            "`data.num_micro_batches` must leave two images a part of "
            "`data.batch_size` = 3, but got 2.",
        ),
        (
            {"modulation.schedule.kind": "window", "modulation.schedule.start": 1},
            "`modulation.schedule.stop` must be greater than `start` = 1, but got 1. "
            "Such a window never opens.",
        ),
        (
            {
                "optimizer.schedule.kind": "window",
                "optimizer.schedule.start": 0.6,
                "optimizer.schedule.stop": 0.5,
            },
            "`optimizer.schedule.stop` must be greater than `start` = 0.6, "
            "but got 0.5. Such a window never opens.",
        ),
        (
            {"regularizer.schedule.milestones": [0.75, 0.5]},
            "`regularizer.schedule.milestones` must increase, but got [0.75, 0.5]. "
            "Sort them.",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, sentence):
    for name, value in values.items():
        check_field(name, value)  # each alone is allowed
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_dict(values)
    assert str(caught.value) == sentence
    assert caught.value.field == sentence.split("`")[1]


@pytest.mark.parametrize(
    "values",
    [
        {"model.widths": [64, 32, 16]},
        {"model.family": "residual", "modulation.enabled": False},
        {"data.num_train": 64},
        {"data.num_micro_batches": 32},
        {"data.batch_size": 5, "data.num_micro_batches": 2},
        {"optimizer.nesterov": True},
        {"optimizer.momentum": 0},
    ],
)
def test_the_neighbours_of_refused_values_are_allowed(values):
    assert values.items() <= TrialConfig.from_dict(values).to_dict().items()


def test_a_config_error_crosses_processes_whole():
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_dict({"optimizer.lr": "fast"})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is ConfigError
    assert str(copy) == str(caught.value)
    assert (copy.field, copy.problem) == (caught.value.field, caught.value.problem)


IDLE = {*NO_RESULT, *OWN}
LATER = {
    "optimizer.kind",
    "modulation.allow_branches",
    "training.label_smoothing",
    "training.clip_norm",
    "training.capture",
}
"""What came when there were records, and is as it was then."""
CHANGES = {name for name in FIELD_RULES if name.startswith("changes.")}
UNREAD = {
    "constant": {"final", "milestones", "gamma", "start", "stop"},
    "linear": {"milestones", "gamma", "start", "stop"},
    "cosine": {"milestones", "gamma", "start", "stop"},
    "multistep": {"final", "start", "stop"},
    "window": {"final", "milestones", "gamma"},
}


def unread(section, kind):
    return {f"{section}.schedule.{leaf}" for leaf in UNREAD[kind]}


@pytest.mark.parametrize("kind", UNREAD)
def test_canonical_leaves_out_what_is_not_read_and_keeps_the_rest(kind):
    sections = ("regularizer", "modulation", "optimizer")
    config = TrialConfig.from_dict({f"{name}.schedule.kind": kind for name in sections})
    left_out = IDLE.union(*(unread(name, kind) for name in sections))
    left_out |= CHANGES | LATER
    values = config.to_dict()
    expected = {name: values[name] for name in values if name not in left_out}
    assert config.canonical() == expected


def test_canonical_leaves_out_the_fields_of_a_switched_off_ingredient():
    values = {"regularizer.kind": "none", "modulation.enabled": False}
    kept = TrialConfig.from_dict(values).canonical()
    of_both = {
        name for name in kept if name.startswith(("regularizer.", "modulation."))
    }
    assert of_both == {"regularizer.kind", "modulation.enabled"}
    everything = TrialConfig().to_dict().keys()
    off = {
        name for name in everything if name.startswith(("regularizer.", "modulation"))
    }
    left_out = off | IDLE | CHANGES | LATER | unread("optimizer", "cosine")
    assert kept.keys() == everything - left_out | of_both


def test_a_field_changes_the_canonical_form_exactly_if_it_is_kept():
    base = {
        "modulation.schedule.kind": "window",
        "regularizer.schedule.kind": "multistep",
        "data.name": "digits",
        "changes.epochs": [2],
    }
    config = TrialConfig.from_dict(base)
    kept = config.canonical().keys() | LATER
    singles = {**CHANGED, "model.family": "plain", "modulation.schedule.kind": "linear"}
    for name, value in singles.items():
        other = TrialConfig.from_dict({**base, name: value})
        if other != config:
            assert (other.canonical() != config.canonical()) == (name in kept), name


def test_canonical_forms_of_equal_training_are_equal():
    ours = TrialConfig.from_dict(
        {
            "data.root": "/a",
            "modulation.enabled": False,
            "modulation.threshold": 0.5,
            "modulation.schedule.kind": "window",
            "optimizer.schedule.gamma": 0.3,
        }
    )
    theirs = TrialConfig.from_dict(
        {"data.download": True, "modulation.enabled": False, "modulation.strength": 1}
    )
    assert ours != theirs
    assert ours.canonical() == theirs.canonical()


def test_checking_a_config_loads_nothing_heavy():
    code = (
        "import sys\n"
        "from orthotune.config.trial import TrialConfig\n"
        "TrialConfig.from_dict({'model.depth': 20}).canonical()\n"
        "heavy = {'torch', 'torchvision', 'numpy', 'sklearn', 'ray', 'mlflow', "
        "'optuna', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
