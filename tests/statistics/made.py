"""Differences with numbers of their own, and parameters for `make soak` alone."""

import pytest

from orthotune.statistics.paired import PairedDifference, PairedTest


def measured(mean, sd, n=5, against=0.0):
    """A difference of which only these numbers matter."""
    return PairedDifference(
        n=n,
        mean=mean,
        sd=sd,
        interval=None,
        against=against,
        p=None,
        test=PairedTest.NONE,
        superiority=0.5,
    )


def further(*values):
    """Parameters of the same kind, which only `make soak` has the time for."""
    return [
        pytest.param(*one, marks=pytest.mark.soak)
        if isinstance(one, tuple)
        else pytest.param(one, marks=pytest.mark.soak)
        for one in values
    ]
