"""The figures of an ablation, as SVG: paired differences, and learning curves."""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from orthotune.figures.drawing import GREY, colour, draw_svg, style
from orthotune.verdicts.findings import Findings, Judged
from orthotune.verdicts.replicates import Replicate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
LONGEST_OF_TWO = 45
"""Letters of a name of which two still stand side by side in a legend."""

SMALLEST = 1e-12
"""What is drawn in place of zero, which has no logarithm."""

SIGNALS = {
    "backward_error_moment": "backward error (2nd moment)",
    "gram_deviation": "Gram deviation",
}
INCH_A_ROW = 0.5
BETWEEN_SERIES = 0.36
"""Rows between an arm at the shared setting and the same arm re-tuned."""

MARKERS = ("D", "s")


def draw_all(folder: Path, findings: Findings, prefix: str = "") -> dict[Path, str]:
    """Draw what there is to see.

    Args:
        folder: Where the figures go.
        findings: What is drawn.
        prefix: What the names of the files begin with.

    Returns:
        What each figure shows, by its file.
    """
    metric, reference = findings.ablation.metric, findings.ablation.reference.name
    confidence = f"{1 - findings.level:.3g}"
    signal, spectrum = folder / f"{prefix}signal.svg", folder / f"{prefix}spectrum.svg"
    smallest = findings.ablation.smallest_effect
    band = f"; shaded: within {smallest:g}, the smallest effect of interest"
    figures = {
        folder
        / f"{prefix}differences.svg": f"Paired differences to {reference}, left of 0 "
        "better than it and right of 0 worse: every seed, the mean, and its interval "
        f"(confidence {confidence}){band if smallest else ''}",
        folder
        / f"{prefix}curves.svg": f"{metric} by epoch: mean over seeds, and its 95 % "
        "interval",
    }
    draw_differences(folder / f"{prefix}differences.svg", findings)
    draw_curves(folder / f"{prefix}curves.svg", findings)
    retuned = folder / f"{prefix}retuned_curves.svg"
    if findings.again is not None:
        draw_curves(retuned, findings.again)
        figures[retuned] = f"{metric} by epoch, every arm re-tuned"
    if draw_signal(signal, findings):
        draw_spectrum(spectrum, findings)
        seeds = _over_seeds(findings)
        figures[signal] = (
            "Signal propagation: backward error at every convolution's output, "
            f"unmodulated, and Gram deviation of every layer ({seeds})"
        )
        figures[spectrum] = (
            "Singular values of all filter banks together, in ascending order "
            f"({seeds})"
        )
    return figures


def all_series(findings: Findings) -> dict[str, Findings]:
    """The findings at the shared setting, and those of arms tuned anew, by name."""
    again = {} if findings.again is None else {"re-tuned": findings.again}
    return {"shared setting": findings, **again}


def draw_differences(path: Path, findings: Findings) -> None:
    """Every arm's paired differences to the reference, with mean and interval.

    Those of arms that were tuned anew stand below those at the shared setting.

    Args:
        path: The file.
        findings: What is drawn.
    """
    shown = [judged for judged in findings.comparisons if judged.difference]
    series = all_series(findings)
    rows = {judged.claim.than: row for row, judged in enumerate(shown)}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=1)
        smallest = findings.ablation.smallest_effect
        if smallest:
            axes.axvspan(-smallest, smallest, color=GREY, alpha=0.15, linewidth=0)
        for index, (name, one) in enumerate(series.items()):
            below = (index - (len(series) - 1) / 2) * BETWEEN_SERIES
            for judged in one.comparisons:
                if judged.claim.than in rows:
                    row = rows[judged.claim.than] + below
                    _draw_difference(axes, row, one, judged, index)
            axes.plot([], [], MARKERS[index], color=colour(index), label=name)
        axes.set_yticks(range(len(shown)), list(rows))
        axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
        axes.set_xlabel(
            f"difference in {findings.ablation.metric} to the reference\n"
            "(left of 0: better than it, right of 0: worse)"
        )
        if len(series) > 1:
            _explain(figure, axes)

    inches = INCH_A_ROW * len(shown) * len(series)
    draw_svg(path, (WIDTH, 1.6 + inches), draw)


def _draw_difference(
    axes: "Axes", row: float, findings: Findings, judged: Judged, index: int
) -> None:
    """The differences of one arm: every seed, the mean, its interval."""
    found = judged.difference
    values = {r.seed: r.value for r in findings.arms[judged.claim.better]}
    points = [
        item.value - values[item.seed]
        for item in findings.arms[judged.claim.than]
        if item.seed in values
    ]
    axes.plot(points, [row] * len(points), "o", color=GREY, alpha=0.6)
    if found and found.interval:
        ends = [found.interval.low, found.interval.high]
        axes.plot(ends, [row, row], color=colour(index), linewidth=2.5)
    if found:
        axes.plot([found.mean], [row], MARKERS[index], color=colour(index))


def draw_curves(path: Path, findings: Findings) -> None:
    """The metric of every arm against epochs: mean over seeds, and its 95 % interval.

    Args:
        path: The file.
        findings: What is drawn.
    """
    from matplotlib.ticker import MaxNLocator

    metric, num_epochs = findings.ablation.metric, findings.ablation.num_epochs

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        for index, (name, replicates) in enumerate(findings.arms.items()):
            if not replicates:
                continue
            curves = np.array([r.curve(metric, num_epochs) for r in replicates])
            epochs, mean = np.arange(1, num_epochs + 1), curves.mean(axis=0)
            axes.plot(epochs, mean, style(index), color=colour(index), label=name)
            if len(curves) > 1:
                half = stats.t.ppf(0.975, len(curves) - 1) * stats.sem(curves, axis=0)
                low, high = mean - half, mean + half
                band = {"color": colour(index), "alpha": 0.15, "lw": 0}
                axes.fill_between(epochs, low, high, **band)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric)
        _explain(figure, axes)

    draw_svg(path, (WIDTH, 3.8 + _legend_inches(findings.arms)), draw)


def draw_signal(path: Path, findings: Findings) -> bool:
    """Backward error and Gram deviation by layer, before, amid and after training.

    Geometric means over the seeds of each arm.

    Args:
        path: The file.
        findings: What is drawn.

    Returns:
        Whether any cell was looked at; there is no file otherwise.
    """
    means = {name: _mean_profiles(own) for name, own in findings.arms.items()}
    epochs = sorted({epoch for own in means.values() for epoch in own})
    if not epochs:
        return False

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(len(SIGNALS), len(epochs), sharey="row", squeeze=False)
        for row, (signal, label) in zip(panels, SIGNALS.items(), strict=True):
            for axes, epoch in zip(row, epochs, strict=True):
                for index, (name, own) in enumerate(means.items()):
                    values = own.get(epoch, {}).get(signal, ())
                    layers = range(1, len(values) + 1)
                    how = {"color": colour(index), "linewidth": 1.2, "label": name}
                    axes.plot(layers, values, style(index), **how)
                axes.set_yscale("log")
            row[0].set_ylabel(label)
        _title_and_explain(figure, panels, epochs, "layer")

    draw_svg(path, (WIDTH, 5.5 + _legend_inches(means)), draw)
    return True


def draw_spectrum(path: Path, findings: Findings) -> None:
    """The singular values of all filter banks of each arm, in ascending order.

    Args:
        path: The file.
        findings: What is drawn; some cell was looked at.
    """
    means = {name: _mean_profiles(own) for name, own in findings.arms.items()}
    epochs = sorted({epoch for own in means.values() for epoch in own})

    def draw(figure: "Figure") -> None:
        panels = figure.subplots(1, len(epochs), sharey="row", squeeze=False)
        for axes, epoch in zip(panels[0], epochs, strict=True):
            axes.axhline(1, color=GREY, linewidth=0.8)
            for index, (name, own) in enumerate(means.items()):
                values = own.get(epoch, {}).get("singular_value", ())
                shares = np.linspace(0, 100, len(values))
                how = {"color": colour(index), "linewidth": 1.2, "label": name}
                axes.plot(shares, values, style(index), **how)
        panels[0][0].set_yscale("log")  # shared by the row
        panels[0][0].set_ylabel("singular value")
        _title_and_explain(figure, panels, epochs, "per cent of the filters")

    draw_svg(path, (WIDTH, 3.2 + _legend_inches(means)), draw)


def _mean_profiles(
    replicates: Sequence[Replicate],
) -> dict[int, dict[str, "np.ndarray"]]:
    """The geometric mean of the replicates' profiles, by epoch."""
    seen = [replicate.record.profiles for replicate in replicates]
    means: dict[int, dict[str, np.ndarray]] = {}
    for epoch in sorted({epoch for profiles in seen for epoch in profiles}):
        own = [profiles[epoch] for profiles in seen if epoch in profiles]
        means[epoch] = {
            name: stats.gmean(np.maximum([one[name] for one in own], SMALLEST), axis=0)
            for name in own[0]
        }
    return means


def _over_seeds(findings: Findings) -> str:
    """What a mean profile is of: once a network has diverged it has none."""
    lost = {
        name: f"{name} {sum(one.diverged for one in own)} of {len(own)}"
        for name, own in findings.arms.items()
        if any(one.diverged for one in own)
    }
    until = f", each until it diverged, as did {', '.join(lost.values())}"
    return f"geometric means over seeds{until if lost else ''}"


def _title_and_explain(
    figure: "Figure", panels: np.ndarray, epochs: Sequence[int], x: str
) -> None:
    for axes, epoch in zip(panels[0], epochs, strict=True):
        axes.set_title(f"after epoch {epoch}" if epoch else "before training")
    for axes in panels[-1]:
        axes.set_xlabel(x)
    _explain(figure, panels[0][0])


def _explain(figure: "Figure", axes: "Axes") -> None:
    """A legend below everything: arms have long names."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        how = {"loc": "outside lower left", "ncols": _legend_columns(names)}
        figure.legend(handles, names, **how, fontsize="small")


def _legend_columns(names: Collection[str]) -> int:
    return 2 if max(map(len, names)) <= LONGEST_OF_TWO else 1


def _legend_inches(arms: Mapping[str, object]) -> float:
    return 0.22 * math.ceil(len(arms) / _legend_columns(arms))
