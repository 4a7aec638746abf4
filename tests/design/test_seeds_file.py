import pytest

from orthotune.errors import AblationError
from tests.ablation.small import TINY
from tests.design.tiny_file import changed, check_wrong, read


def test_adaptive_seeds_are_judged_at_several_looks(tmp_path):
    ablation = read(tmp_path, changed("[1, 2, 3]", "{first: 100, initial: 5, max: 30}"))
    assert ablation.seeds == tuple(range(100, 130))
    assert ablation.looks == (5, 8, 12, 19, 30)
    study = ablation.study(lambda _records: ())
    assert len(study.listed) == 3 * 5
    assert study.question["looks"] == [5, 8, 12, 19, 30]


WRONG = {
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
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, kind):
    check_wrong(tmp_path, *WRONG[kind])


def test_too_many_cells_are_refused(tmp_path):
    with pytest.raises(AblationError, match="must give at most 100000 cells with 3"):
        read(tmp_path, TINY, seeds=list(range(40_000)))
