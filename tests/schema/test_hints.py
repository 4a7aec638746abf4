import pytest

from orthotune.config.trial import FIELD_RULES, check_field
from orthotune.schema.hints import OTHER_NAMES, nearest
from orthotune.study.study_file import SECTIONS, SETTING_RULES, TOP_LEVEL

SETTABLE = [*SETTING_RULES, *FIELD_RULES]
SEARCH = [name.partition(".")[2] for name in SETTING_RULES if name.startswith("search")]
SPACE = ["type", "low", "high", "log", "step", "when"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a.lrr", "Did you mean `a.lr`?"),
        ("lr", "Did you mean `a.lr` or `b.lr`?"),
        ("c", "Known: a.lr, b.lr, cc.x, cc.y, cc.z, cc.w."),
        ("cc", "Known in `cc`: x, y, z, w."),
        ("b", "Did you mean `b.lr`?"),
        ("cc.", "Known in `cc`: x, y, z, w."),
        ("cc.lr", "Did you mean `a.lr` or `b.lr`?"),
        ("cc.q", "Known in `cc`: x, y, z, w."),
        ("bb.lr", "Did you mean `b.lr`?"),
        ("???", "Known: a.lr, b.lr, cc.x, cc.y, cc.z, cc.w."),
    ],
)
def test_near_is_what_ends_or_looks_or_begins_alike_in_its_section(name, sentence):
    assert nearest(name, ["a.lr", "b.lr", "cc.x", "cc.y", "cc.z", "cc.w"]) == sentence


@pytest.mark.parametrize(
    ("name", "known", "close"),
    [
        ("search.num_trails", SETTABLE, ["search.num_trials"]),
        ("search.trials", SETTABLE, ["search.num_trials"]),
        ("search.concurrency", SETTABLE, ["search.max_concurrent"]),
        ("search.epochs", SETTABLE, ["search.max_epochs"]),
        ("serach.seed", SETTABLE, ["search.seed"]),
        ("SEED", SETTABLE, ["seed"]),
        ("weight_decay", SETTABLE, ["regularizer.coeff"]),
        ("optimizer.weight_decay", SETTABLE, ["regularizer.coeff"]),
        ("learning_rate", SETTABLE, ["optimizer.lr"]),
        ("epochs", SETTABLE, ["search.max_epochs", "training.num_epochs"]),
        ("epochs", list(FIELD_RULES), ["training.num_epochs"]),
        ("num_samples", SEARCH, ["num_trials"]),
        ("budget", SEARCH, ["time_budget_s"]),
        ("time_budget", SEARCH, ["time_budget_s"]),
        ("optimiser.lr", SETTABLE, ["optimizer.lr"]),
        ("optimizer.schedule.warm_up", SETTABLE, ["optimizer.schedule.warmup"]),
        ("serch", TOP_LEVEL, ["search"]),
        ("maximum", ["initial", "max", "first"], ["max"]),
        ("hihg", SPACE, ["high"]),
        ("training.batch_size", SETTABLE, ["data.batch_size"]),
        ("training.lr", SETTABLE, ["optimizer.lr"]),
        ("optimizer.num_epochs", SETTABLE, ["training.num_epochs"]),
        ("data.seed", SETTABLE, ["search.seed", "seed"]),
        ("epoch", SETTABLE, ["search.max_epochs", "training.num_epochs"]),
        ("lr", SETTABLE, ["optimizer.lr"]),
        ("model", SETTABLE, ["model.family", "model.depth", "model.widths"]),
        ("modulation=of", ["full", "modulation=off"], ["modulation=off"]),
    ],
)
def test_a_name_is_near_what_it_means(name, known, close):
    shown = " or ".join(f"`{one}`" for one in close)
    assert nearest(name, known) == f"Did you mean {shown}?"


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("search.halt_at", SETTABLE),
        ("halt_at", SEARCH),
        ("stop_at", TOP_LEVEL),
        ("x", SETTABLE),
        ("model.x", SETTABLE),
        ("space.optimizer", SPACE),
        ("colour", SETTABLE),
        ("", SETTABLE),
        (".", SETTABLE),
        ("..", SETTABLE),
        ("k" * 100_000, SETTABLE),
    ],
)
def test_a_name_that_is_near_nothing_gets_no_guess(name, known):
    sentence = nearest(name, known)
    assert sentence.startswith("Known")
    assert len(sentence) < 250


@pytest.mark.parametrize("name", ["schedule", "scheduler", "shcedule", "schedules"])
def test_a_section_that_is_meant_is_listed(name):
    assert nearest(f"optimizer.{name}", SETTABLE) == (
        "Known in `optimizer.schedule`: kind, warmup, final, milestones, gamma, start, "
        "stop."
    )
    assert nearest("optimizer", SETTABLE).startswith("Known in `optimizer`: kind, lr, ")
    assert "schedule.*" in nearest("optimizer.x", SETTABLE)


def test_many_names_are_shown_by_their_sections():
    assert nearest("xyzzy", list(FIELD_RULES)) == (
        "Known are the fields of changes, data, init, model, modulation, optimizer, "
        "regularizer, training."
    )
    arms = [f"arm {number}" for number in range(1000)]
    assert nearest("xyzzy", arms) == "There are 1000, such as `arm 0`, `arm 1`."


def test_what_others_call_a_field_is_a_name_of_one():
    for name, ours in OTHER_NAMES.items():
        assert set(ours) <= set(SETTABLE)
        assert name not in SETTABLE
    assert SECTIONS
    with pytest.raises(ValueError, match=r"`wd` is not .* mean `regularizer\.coeff`\?"):
        check_field("wd", 1)
