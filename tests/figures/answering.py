"""A page whose figures answer, of trials that are known to the last mark."""

import random

from orthotune.figures.drawing import draw_svg
from orthotune.figures.live import LivePage
from orthotune.figures.page import write_page
from orthotune.figures.parallel_coordinates import Line, live_parallel
from orthotune.figures.search_figures import live_budget
from orthotune.figures.slices import Placed, live_slices
from orthotune.record.trial_record import Status
from orthotune.space.parameters import CategoricalParameter, FloatParameter
from tests.made_records import record

HOSTILE = "</script><script>hacked = 1</script><b>bold</b>"
"""What a name would be that breaks out of a page."""

LR = FloatParameter(name="optimizer.lr", low=1e-3, high=1e-1, log=True)
ROOT = CategoricalParameter(name="data.root", choices=(HOSTILE, "data"))
COEFF = FloatParameter(name="regularizer.coeff", low=0.0, high=1.0)
SPACE = [LR, ROOT, COEFF]

TEXT = """# Answers

![Budget](budget.svg)

![Parallel](parallel.svg)

![Slices](slices.svg)

![Still](still.svg)
"""


def trials(count=30):
    """Ten of the full budget, the first the best, then stopped ones, and a diverged."""
    made, rng = [], random.Random(0)
    for number in range(count):
        values = {"optimizer.lr": 10 ** rng.uniform(-3, -1), "data.root": "data"}
        if number % 2:
            values |= {"data.root": HOSTILE, "regularizer.coeff": rng.random()}
        errors, status = [0.8, 0.2 + number / 100], Status.FINISHED
        if number >= 10:
            errors, status = errors[:1], Status.STOPPED
        if number == count - 1:
            status = Status.DIVERGED
        made.append(Placed(record=record(number, errors, status), values=values))
    return made


def live_page(made):
    lines = [
        Line(
            values=one.values,
            metric=one.record.last("val_error"),
            number=one.record.number,
        )
        for one in made
    ]
    records = [one.record for one in made]
    return LivePage(
        figures={
            "budget": live_budget("val_error", records, records[:10]),
            "parallel": live_parallel("val_error", SPACE, lines[:10], lines[10:]),
            "slices": live_slices("val_error", SPACE, made),
        },
        notes={
            str(one.record.number): f"trial {one.record.number}\n"
            f"data.root = {one.values['data.root']}"
            for one in made
        },
    )


def written(folder, made):
    """The page, with still figures that hold nothing."""
    for name in ("budget", "parallel", "slices", "still"):
        draw_svg(folder / f"{name}.svg", (4, 2), lambda figure: figure.subplots())
    write_page(folder / "report.html", TEXT, live_page(made))
    return folder / "report.html"
