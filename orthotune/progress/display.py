"""Progress of a study: a live table on a terminal, a line now and then elsewhere."""

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orthotune.console import note
from orthotune.progress.line import ProgressText
from orthotune.progress.time_left import TimeLeft
from orthotune.record.journal import Journal
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.report.in_effect import in_effect_at_end
from orthotune.text import cell

if TYPE_CHECKING:  # only who watches a terminal waits for it
    from rich.console import Group
    from rich.live import Live

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 60.0
"""Seconds between two lines where nobody watches: few at first, as long as it takes
later."""
REFRESH_S = 0.5
MOST_RUNNING = 8
MOST_BEST = 5
MOST_ARMS = 12
"""Rows of the table."""


class ProgressDisplay:
    """Shows the progress of a study while trials run; an observer of its journal.

    Trials may report a hundred times a second: observing only counts, and a thread
    shows.

    Args:
        study: The study.
        journal: Its trials, also those of earlier sessions.
        slots: Gives how many trials run at once.
    """

    def __init__(
        self, study: Study, journal: Journal, slots: Callable[[], float]
    ) -> None:
        self._study = study
        self._journal = journal
        self._time_left = TimeLeft(study, journal, slots)
        self._text = ProgressText(study, journal, self._time_left, slots)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def on_start(self, record: TrialRecord) -> None:
        """Nothing: what runs is read from the records."""

    def on_epoch(self, record: TrialRecord, epoch: int) -> None:
        """Count an epoch."""
        self._time_left.on_epoch(record, epoch)

    def on_end(self, record: TrialRecord) -> None:
        """Count the end of a trial."""
        self._time_left.on_end(record)
        self._text.add(record)

    def start(self) -> None:
        """Show from now on."""
        self._thread.start()

    def close(self) -> None:
        """Show for the last time."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        live = _live()
        if live is None:
            self._write_lines()
            return
        with live:
            while not self._over.wait(REFRESH_S):
                live.update(self.table(), refresh=True)
            live.update(self.table(), refresh=True)

    def _write_lines(self) -> None:
        start, shown = time.monotonic(), ""
        pause_s = FIRST_PAUSE_S
        while not self._over.wait(pause_s):
            line = self._text.line()
            if line != shown:
                note(line)
            shown = line
            taken_s = time.monotonic() - start
            pause_s = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, taken_s / 20))
        if self._text.line() != shown:
            note(self._text.line())

    def table(self) -> "Group":
        """What runs, and what is lowest, or each arm of a list."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        left = self._time_left.left()
        title = f"{self._study.settings.name}: {self._text.ended()}, "
        if self._is_population:  # of which some wait for the others
            title += f"{self._text.running()}, "
        title += self._text.epochs() + (f", {left.text}" if left else "")
        table = Table(box=None, pad_edge=False)
        rows = self._cells() if self._study.listed else self._trials()
        for index, name in enumerate(rows[0]):
            # Long names in two lines: dots alone break them.
            header = name.replace(".", ".\n", 1)
            table.add_column(header, justify="left" if index < 2 else "right")
        for row in rows[1:]:
            table.add_row(*map(Text, row))  # whatever is in brackets
        return Group(Text(title, style="bold"), table)

    @property
    def _is_population(self) -> bool:
        return self._study.settings.search.is_population

    def _running(self) -> Sequence[TrialRecord]:
        return [r for r in self._journal.open if r.status == Status.RUNNING]

    def _trials(self) -> list[list[str]]:
        metric, parameters = self._study.settings.metric, self._study.space.parameters
        names = [parameter.name for parameter in parameters]
        rows = [["trial", "", "epoch", metric, *names]]
        running = self._running()
        usual = "member" if self._is_population else "running"
        for record in running[:MOST_RUNNING]:
            what = usual
            if record.audit is not None:
                what = "audited"
            if record.validates is not None:
                what = f"confirms {record.validates}"
            rows.append(self._trial(record, what, names))
        if len(running) > MOST_RUNNING:
            rows.append(["", f"{len(running) - MOST_RUNNING} more", "", ""])
        for place, record in enumerate(self._text.best[:MOST_BEST], 1):
            rows.append(self._trial(record, f"no. {place}", names))
        return rows

    def _trial(self, record: TrialRecord, what: str, names: Sequence[str]) -> list[str]:
        values = in_effect_at_end(self._study, record)
        return [
            str(record.number),
            what,
            *self._epoch_and_metric(record),
            *(cell(values.get(name)) for name in names),
        ]

    def _cells(self) -> list[list[str]]:
        """What runs, and of each arm how many cells have ended, with their mean."""
        metric = self._study.settings.metric
        rows = [["arm", "cell", "epoch", metric]]
        for record in self._running()[:MOST_RUNNING]:
            group, label = record.group or "", record.label or ""
            rows.append([group, f"{label} runs", *self._epoch_and_metric(record)])
        arms: dict[str, list[TrialRecord]] = defaultdict(list)
        for record in self._journal.records:
            arms[record.group or ""].append(record)
        for name, cells in list(arms.items())[:MOST_ARMS]:
            done = [one for one in cells if one.status.ended and one.history]
            values = [one.last(metric) for one in done]
            mean = f"{sum(values) / len(values):.4f}" if values else "-"
            rows.append([name, f"{len(done)} of {len(cells)} ended", "mean", mean])
        return rows

    def _epoch_and_metric(self, record: TrialRecord) -> list[str]:
        epochs, metric = self._study.settings.search.max_epochs, self._metric
        value = f"{record.last(metric):.4f}" if record.epoch else "-"
        return [f"{record.trained_epochs}/{epochs}", value]

    @property
    def _metric(self) -> str:
        return self._study.settings.metric


def _live() -> "Live | None":
    """A live display on a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if console.is_dumb_terminal:
        return None
    # What is written meanwhile appears above it.
    return Live(console=console, auto_refresh=False, vertical_overflow="crop")
