"""Draws the README's figure: what each ingredient is worth, from the ledger `retuned`.

Usage: `make results`, or `python ablations/main_figure.py`.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from claims_table import claims

from orthotune.figures.drawing import colour, draw_svg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
LEDGER = ROOT / "ablations" / "results" / "retuned" / "report.md"
FIGURE = ROOT / "docs" / "images" / "ingredients.svg"
INGREDIENTS = {
    "modulation=off": "error modulation\n(against none)",
    "penalty=l2": "orthonormality penalty\n(against L2)",
    "weights=he": "orthonormal weights\n(against He's)",
}
SETTINGS = ("all arms at one learning rate", "every arm tuned anew")


class Effect(NamedTuple):
    """What an ingredient is worth, in percentage points of validation error.

    Args:
        arm: The arm without it.
        tuned: Whether every arm was tuned anew.
        mean: How much higher the error is without it.
        low: Lower end of the interval.
        high: Its upper end.
    """

    arm: str
    tuned: bool
    mean: float
    low: float
    high: float


def effects(report: str) -> list[Effect]:
    """What the claims of the ledger say of the ingredients.

    Args:
        report: The ledger's page.
    """
    found = []
    for claim, _, effect, interval, *_ in claims(report):
        arm = claim.removeprefix("full is better than ").removesuffix(", re-tuned")
        low, high = map(float, re.findall(r"[-+][\d.]+", interval))
        points = (100 * value for value in (float(effect), low, high))
        found.append(Effect(arm, claim.endswith(", re-tuned"), *points))
    return found


def draw(figure: "Figure") -> None:
    """Draw every effect with its interval."""
    axes = figure.subplots()
    found = effects(LEDGER.read_text())
    for tuned, label in enumerate(SETTINGS):
        chosen = [effect for effect in found if effect.tuned == tuned]
        heights = [
            -list(INGREDIENTS).index(effect.arm) - 0.24 * tuned + 0.12
            for effect in chosen
        ]
        axes.errorbar(
            [effect.mean for effect in chosen],
            heights,
            xerr=[
                [effect.mean - effect.low for effect in chosen],
                [effect.high - effect.mean for effect in chosen],
            ],
            fmt="os"[tuned],
            color=colour(tuned),
            capsize=4,
            label=label,
        )
    axes.axvline(0, color="#767676", linewidth=1)
    axes.set_yticks([-row for row in range(len(INGREDIENTS))], INGREDIENTS.values())
    axes.set_ylim(-len(INGREDIENTS) + 0.4, 0.6)
    axes.set_xlabel(
        "validation error without it, minus with it (percentage points)\n"
        "plain-44 on digits (8x8), 10 epochs; mean of 8 seeds, 95 % intervals"
    )
    axes.text(0.01, 0.98, "hurts", transform=axes.transAxes, va="top")
    axes.text(0.99, 0.98, "helps", transform=axes.transAxes, va="top", ha="right")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="lower right", frameon=False)


if __name__ == "__main__":
    draw_svg(FIGURE, (7.2, 3.2), draw)
