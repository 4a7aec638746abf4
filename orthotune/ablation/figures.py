"""The figures of an ablation, as SVG: paired differences, and learning curves."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from orthotune.ablation.findings import Findings, Replicate
from orthotune.training.metrics import reportable
from orthotune.tuning.drawing import COLOURS, GREY, colour, draw_svg, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.0
INCH_A_ROW = 0.5


def draw_differences(path: Path, findings: Findings) -> None:
    """Every arm's paired differences to the reference, with mean and interval.

    Args:
        path: The file.
        findings: What is drawn.
    """
    shown = [judged for judged in findings.comparisons if judged.difference]
    reference = findings.ablation.reference.name
    values = {r.seed: r.value for r in findings.arms[reference]}

    def draw(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.axvline(0, color=GREY, linewidth=1)
        smallest = findings.ablation.smallest_effect
        if smallest:
            axes.axvspan(-smallest, smallest, color=GREY, alpha=0.15, linewidth=0)
        for row, judged in enumerate(shown):
            found = judged.difference
            points = [
                item.value - values[item.seed]
                for item in findings.arms[judged.claim.than]
                if item.seed in values
            ]
            axes.plot(points, [row] * len(points), "o", color=GREY, alpha=0.6)
            if found and found.interval:
                ends = [found.interval.low, found.interval.high]
                axes.plot(ends, [row, row], color=COLOURS[0], linewidth=2.5)
            if found:
                axes.plot([found.mean], [row], "D", color=COLOURS[0])
        axes.set_yticks(range(len(shown)), [judged.claim.than for judged in shown])
        axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
        metric = findings.ablation.metric
        axes.set_xlabel(f"{metric} minus that of {reference}, seed by seed (0: alike)")

    draw_svg(path, (WIDTH, 1.6 + INCH_A_ROW * len(shown)), draw)


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
            curves = np.array([_curve(r, metric, num_epochs) for r in replicates])
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
        if any(findings.arms.values()):
            axes.legend(fontsize="small")

    draw_svg(path, (WIDTH, 4.0), draw)


def _curve(replicate: Replicate, metric: str, num_epochs: int) -> list[float]:
    """The metric of every epoch; the worst after a divergence."""
    history = replicate.record.history
    worst = reportable(metric, float("nan"), diverged=True)
    last = replicate.record.epoch
    return [
        history[epoch][metric] if epoch < last or not replicate.diverged else worst
        for epoch in range(1, min(last, num_epochs) + 1)
    ] + [worst] * (num_epochs - last)
