"""Where values lie on their scale."""

import pytest

from orthotune.space.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
)
from orthotune.space.scale import edge, place

LR = FloatParameter(name="optimizer.lr", low=1e-4, high=1e-2, log=True)
MOMENTUM = FloatParameter(name="optimizer.momentum", low=0.5, high=0.75)
THRESHOLD = FloatParameter(name="modulation.threshold", low=0, high=0.5)
BATCH = IntParameter(name="data.batch_size", low=10, high=100, step=40)
ONE = IntParameter(name="data.batch_size", low=10, high=10)
WIDTHS = CategoricalParameter(name="model.widths", choices=([4, 4, 4], [4, 8, 8]))


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (LR, 1e-4, 0),
        (LR, 1e-3, 0.5),
        (LR, 1e-2, 1),
        (MOMENTUM, 0.625, 0.5),
        (BATCH, 90, 1),  # the largest there is: 100 is not of the grid
        (ONE, 10, 0.5),
        (WIDTHS, [4, 8, 8], 1),
    ],
)
def test_a_place_is_the_part_of_the_scale_below(parameter, value, expected):
    assert place(parameter, value) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("parameter", "value", "expected"),
    [
        (LR, 1.2e-4, 1e-4),  # 4 % of two decades
        (LR, 1.3e-4, None),  # 6 %
        (LR, 9e-3, 1e-2),
        (MOMENTUM, 0.74, 0.75),
        (THRESHOLD, 0.5, 0.5),
        (THRESHOLD, 0.0, None),  # nothing is below 0: the field's own bound
        (BATCH, 90, 90),
        (ONE, 10, None),
        (WIDTHS, [4, 4, 4], None),
    ],
)
def test_an_edge_is_a_bound_that_could_be_moved(parameter, value, expected):
    assert edge(parameter, value) == expected
