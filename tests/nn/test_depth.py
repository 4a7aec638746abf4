import pytest

from orthotune.nn.depth import check_depth


@pytest.mark.parametrize(
    ("depth", "nearest"),
    [(45, "44 or 50"), (43, "38 or 44"), (2, "8"), (-5, "8"), (9, "8 or 14")],
)
def test_another_depth_is_refused_with_the_nearest(depth, nearest):
    with pytest.raises(ValueError, match=rf"got {depth}\. Nearest: {nearest}\."):
        check_depth(depth)
