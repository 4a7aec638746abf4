"""A surface over the two numeric parameters that matter most, where one can be seen.

The surface is the mean of a Gaussian process (scikit-learn's, with a length for each
parameter and a noise, all fitted by their likelihood) on the scales that the parameters
are searched on. It is kept only where it is more than a guess: each trial is left out
in turn, and what the others say of it must explain some of what differs among them; and
where no trial is near, there is a gap.
"""

import random
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orthotune.figures.contour import Surface
from orthotune.figures.drawing import far_apart
from orthotune.record.trial_record import WITHOUT_VALUE, TrialRecord
from orthotune.report.importance import FEWEST, Importance
from orthotune.report.in_effect import in_effect
from orthotune.space.parameters import CategoricalParameter, Parameter
from orthotune.space.scale import place

if TYPE_CHECKING:
    from sklearn.gaussian_process import GaussianProcessRegressor

CELLS = 40
"""Places along either side."""

MOST = 100
"""Trials above which a random sample of so many stands for all: the time of the fit
grows with the cube (100: 0.05 s, 200: 0.3 s on one core)."""

LEAST_EXPLAINED = 0.3
"""The share of the variance, each trial left out in turn, below which there is none. Of
pure noise 8 % of 20 trials, 2 % of 30 and 1 % of 40 reach it; of a slope with noise of
its own spread 78 %, 89 % and 93 % (200 draws each)."""

SURE = 0.6
"""How much of the surface's own spread may be unknown at a place that is shown."""


def surface(
    parameters: Sequence[Parameter],
    records: Sequence[TrialRecord],
    metric: str,
    importances: Sequence[Importance],
    seed: int,
) -> Surface | str:
    """The surface, or why there is none: a sentence.

    Args:
        parameters: What varies.
        records: The trials.
        metric: What is minimized.
        importances: Of the parameters, by groups; the first two numeric ones of the
            first group that has two are taken.
        seed: Of the sample, where the trials are very many.
    """
    pair, epoch = _most_important(parameters, importances)
    if len(pair) < 2 or epoch is None:
        if not any(one.fanova for one in importances):
            return f"it takes importances, which take {FEWEST} trials."
        return "it takes two numeric parameters that vary, in effect together."
    trials = []
    for record in sorted(records, key=lambda record: record.number):
        sound = epoch in record.history and record.status not in WITHOUT_VALUE
        values = in_effect(pair, record) if sound else {}
        if len(values) == len(pair):
            trials.append((record, values))
    used = trials
    if len(used) > MOST:
        used = random.Random(seed).sample(used, MOST)
    return _fitted(pair, used, len(trials), metric, epoch)


def _most_important(
    parameters: Sequence[Parameter], importances: Sequence[Importance]
) -> tuple[Sequence[Parameter], int | None]:
    named = {p.name: p for p in parameters if not isinstance(p, CategoricalParameter)}
    for one in importances:
        numeric = [named[name] for name in one.fanova if name in named]
        if len(numeric) >= 2:
            return numeric[:2], one.epoch
    return [], None


def _fitted(
    pair: Sequence[Parameter],
    trials: Sequence[tuple[TrialRecord, Mapping[str, float]]],
    num_trials: int,
    metric: str,
    epoch: int,
) -> Surface | str:
    import numpy as np

    points = np.array([[place(p, own[p.name]) for p in pair] for _, own in trials])
    errors = [record.history[epoch][metric] for record, _ in trials]
    logarithmic = min(errors) >= 0 and far_apart(errors)
    values = np.array(errors)
    if logarithmic:  # zero, which has no logarithm, below all others
        values = np.log10(np.maximum(values, min(v for v in errors if v > 0) / 2))
    middle, spread = values.mean(), values.std()
    process = _process()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a length at its bound: no dependence seen
        process.fit(points, (values - middle) / spread)
    explained = _explained(process, len(values))
    names = " and ".join(f"`{p.name}`" for p in pair)
    if explained < LEAST_EXPLAINED:
        return (
            f"over {names} it does not tell the {metric} of a trial that it has not "
            f"seen: each left out in turn, it explains {max(explained, 0):.0%} of the "
            f"variance at epoch {epoch}, and {LEAST_EXPLAINED:.0%} are asked for."
        )
    return Surface(
        parameters=pair,
        metric=metric,
        epoch=epoch,
        heights=[[middle + spread * v for v in row] for row in _heights(process)],
        logarithmic=logarithmic,
        explained=explained,
        numbers=[record.number for record, _ in trials],
        points=[(float(x), float(y)) for x, y in points],
        errors=errors,
        num_trials=num_trials,
    )


def _process() -> "GaussianProcessRegressor":
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengths: Any = [0.5, 0.5]  # its hint knows but one
    # A length below a tenth of a scale is a bump at each trial.
    shape = Matern(lengths, length_scale_bounds=(0.1, 10.0), nu=2.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * shape + WhiteKernel(0.1, (1e-3, 1e1))
    return GaussianProcessRegressor(kernel)


def _explained(process: "GaussianProcessRegressor", count: int) -> float:
    """The share of the variance, 1, that the others explain of each trial, left out.

    Of a Gaussian process this has a closed form (Rasmussen and Williams, "Gaussian
    Processes for Machine Learning", 2006, equation 5.12).
    """
    import numpy as np
    from scipy.linalg import cho_solve

    inverse = cho_solve((process.L_, True), np.eye(count))
    wrong = np.ravel(process.alpha_) / np.diag(inverse)
    return float(1 - np.mean(wrong**2))


def _heights(process: Any) -> list[list[float]]:  # noqa: ANN401 - scikit-learn's
    """The mean over a grid, row by row upward; no number where it is not known."""
    import numpy as np

    side = (np.arange(CELLS) + 0.5) / CELLS
    grid = np.array([[x, y] for y in side for x in side])
    mean, deviation = process.predict(grid, return_std=True)
    fitted = process.kernel_.get_params()
    unknown = deviation**2 - fitted["k2__noise_level"]
    mean[unknown > SURE**2 * fitted["k1__k1__constant_value"]] = np.nan
    return [[float(v) for v in row] for row in mean.reshape(CELLS, CELLS)]
