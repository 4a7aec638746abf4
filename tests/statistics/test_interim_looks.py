import itertools
import math

import numpy as np
import pytest

from orthotune.statistics.interim_looks import level_per_look, looks
from orthotune.statistics.paired import Verdict
from tests.ablation.simulate import family, most_often, rates
from tests.statistics.made import further


@pytest.mark.parametrize(
    ("initial", "maximum", "expected"),
    [
        (5, 30, (5, 8, 12, 19, 30)),
        (2, 5, (2, 3, 5)),
        (5, 5, (5,)),
        (5, 6, (5, 6)),
        (10, 15, (10, 15)),
    ],
)
def test_looks_grow_by_about_half(initial, maximum, expected):
    assert looks(initial, maximum) == expected


@pytest.mark.parametrize("initial", [2, 3, 5, 8])
def test_looks_rise_from_the_first_to_the_last(initial):
    for maximum in range(initial, 60):
        ns = looks(initial, maximum)
        assert (ns[0], ns[-1]) == (initial, maximum)
        assert all(a < b <= math.ceil(1.9 * a) for a, b in itertools.pairwise(ns))


def test_the_looks_share_the_level():
    assert level_per_look(0.05, 1) == 0.05
    assert level_per_look(0.05, 4) * 4 == pytest.approx(0.05)


# Studies with known truth. A right procedure fails a bound one time in a thousand
# (`simulate.ODDS`); with fixed seeds it either always does or never.


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0, *further(0.7)])
def test_adding_seeds_until_decided_keeps_level_and_coverage(effect):
    repetitions, ns = 1000, looks(5, 30)
    samples = np.random.default_rng(13).normal(effect, 1, size=(repetitions, ns[-1]))
    found = rates(samples, effect, ns=ns)
    assert found.covered >= 0.93
    if effect:
        assert found.supported > 0.7
        assert found.mean_n < 0.8 * ns[-1]
    else:
        wrong = (found.supported + found.contradicted) * repetitions
        assert wrong <= most_often(repetitions, 0.05)


@pytest.mark.soak
def test_adding_seeds_without_a_correction_would_not_keep_the_level():
    repetitions, ns = 500, looks(5, 30)
    samples = np.random.default_rng(13).normal(size=(repetitions, ns[-1]))
    found = rates(samples, 0.0, ns=ns, alpha=0.05 * len(ns))
    wrong = (found.supported + found.contradicted) * repetitions
    assert wrong > most_often(repetitions, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ns", "repetitions"), [((5, 8, 12), 300), *further(((5, 8, 12), 1000))]
)
def test_a_family_of_claims_is_rarely_wrong_at_all(ns, repetitions):
    rng = np.random.default_rng(14)
    means = [0, 0, 0, 2.5]
    wrong = found = 0
    for _ in range(repetitions):
        # Claims hang together: all compare with the same arm.
        verdicts = family(rng.normal(size=(5, ns[-1])), means, ns)
        wrong += any(verdict is not Verdict.UNDECIDED for verdict in verdicts[:3])
        found += verdicts[3] is Verdict.SUPPORTED
    assert wrong <= most_often(repetitions, 0.05)
    assert wrong > 0
    assert found > 0.8 * repetitions


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: looks(1, 5), r"`initial` must be >= 2, but got 1\. One pair has"),
        (
            lambda: looks(5, 4),
            r"`maximum` must be >= `initial`, 5, but got 4\. Raise it, or start",
        ),
        (
            lambda: level_per_look(1.5, 2),
            r"`alpha` must lie between 0 and 1, but got 1\.5",
        ),
        (
            lambda: level_per_look(0.05, 0),
            r"`num_looks` must be >= 1, but got 0\. Give the number of looks",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, text):
    with pytest.raises(ValueError, match=text):
        call()
