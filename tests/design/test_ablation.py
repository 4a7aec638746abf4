from tests.ablation.small import TINY
from tests.design.tiny_file import read


def test_cells_are_whole_seeds_first(tmp_path):
    cells = list(read(tmp_path, TINY).cells())
    assert [(arm.name, seed) for arm, seed, _ in cells[:4]] == [
        ("full", 1),
        ("penalty=l2", 1),
        ("modulation=off", 1),
        ("full", 2),
    ]
    assert all(fields["seed"] == seed for _, seed, fields in cells)
