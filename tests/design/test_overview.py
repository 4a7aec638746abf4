from orthotune.design.overview import overview
from tests.ablation.small import TINY
from tests.design.tiny_file import changed, read


def test_a_list_of_seeds_is_the_number_of_cells(tmp_path):
    lines = overview(read(tmp_path, TINY))
    assert lines[0] == "question   Does anything matter on a tiny network?"
    assert lines[-1] == "cells      9: 3 arms x 3 seeds"


def test_seeds_that_grow_are_told_with_their_looks(tmp_path):
    growing = changed("[1, 2, 3]", "{initial: 5, max: 12}")
    assert overview(read(tmp_path, growing))[-1] == (
        "cells      36: 3 arms x 12 seeds at most; undecided claims get more after 5, "
        "8 seeds, up to 12"
    )
