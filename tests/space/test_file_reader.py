from pathlib import Path

import pytest

from orthotune.errors import SearchSpaceError
from orthotune.study.study_file import read_study
from tests.study.study_files import VALID, check_malformed, space, write

MALFORMED = {
    "unknown_top": ("serch: {}\n", 1, "Did you mean `search`"),
    "unknown_search": (
        "search: {num_trails: 3}\n" + space("{}"),
        1,
        "`search.num_trails` is not a key here. Did you mean `num_trials`",
    ),
    "search_not_mapping": ("search: 3\n", 1, "must be a mapping of keys, but got 3"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_exits_2_with_one_sentence_and_creates_nothing(
    case, tmp_path, monkeypatch, capsys
):
    check_malformed(MALFORMED[case], tmp_path, monkeypatch, capsys)


def test_set_is_blamed_for_its_own_values_only(tmp_path):
    path = str(write(tmp_path, "search: {seed: -1}\n" + space("{}")))
    with pytest.raises(SearchSpaceError, match=r"study\.yaml:1: `search\.seed` must"):
        read_study(path, {"seed": 3})


def test_line_numbers_do_not_depend_on_line_ends(tmp_path):
    content = VALID.replace("\n", "\r\n").replace("low: 1e-3", "low: x")
    path = Path(tmp_path, "study.yaml")
    path.write_bytes(content.encode())
    with pytest.raises(SearchSpaceError, match=r"study.yaml:6: `optimizer.lr.low`"):
        read_study(str(path))
