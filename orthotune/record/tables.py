"""The trials of a study as pandas tables."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError
from orthotune.record.trial_record import TrialRecord

if TYPE_CHECKING:
    import pandas as pd

LAST = ("error", "started", "ended")
"""The last columns of a table of trials."""


def trial_table(records: Sequence[TrialRecord], space: Iterable[str]) -> "pd.DataFrame":
    """A row a trial, as `LoadedStudy.trials`.

    Args:
        records: The trials.
        space: Fields that have a column in any case.

    Example:
        >>> record = TrialRecord(
        ...     number=0, fields={"optimizer.lr": 0.1}, history={1: {"val_error": 0.5}}
        ... )
        >>> print(trial_table([record], ["optimizer.lr"]).iloc[0, :6].to_dict())
        {'trial': 0, 'status': 'waiting', 'epochs': 1, 'optimizer.lr': 0.1, 'seed': 0, \
'val_error': 0.5}
    """
    import pandas as pd

    configs = [_in_effect(record) for record in records]
    grouped = any(record.group is not None for record in records)
    confirming = any(record.validates is not None for record in records)
    groups = ["group", "label"] if grouped else ["confirms"] if confirming else []
    fields = [*_varying(configs, space), "seed"]
    ends = [r.history[r.epoch] if r.epoch else {} for r in records]
    metrics = dict.fromkeys(name for end in ends for name in end)
    columns = ["trial", "status", "epochs", *groups, *fields, *metrics, *LAST]
    rows = [
        {
            "trial": record.number,
            "status": str(record.status),
            "epochs": record.epoch,
            "group": record.group,
            "label": record.label,
            "confirms": record.validates,
            **{name: config.get(name) for name in fields},
            **end,
            "error": record.error,
            "started": record.started_ms or None,
            "ended": record.ended_ms,
        }
        for record, config, end in zip(records, configs, ends, strict=True)
    ]
    table = pd.DataFrame(rows, columns=columns)
    for name in ("started", "ended"):
        table[name] = pd.to_datetime(table[name], unit="ms", utc=True)
    return table


def history_table(records: Sequence[TrialRecord]) -> "pd.DataFrame":
    """A row an epoch of a trial: `trial`, `epoch`, and its metrics.

    Args:
        records: The trials.

    Example:
        >>> record = TrialRecord(number=3, fields={}, history={1: {"val_error": 0.5}})
        >>> history_table([record]).to_dict("records")
        [{'trial': 3, 'epoch': 1, 'val_error': 0.5}]
    """
    import pandas as pd

    rows = [
        {"trial": record.number, "epoch": epoch, **record.history[epoch]}
        for record in records
        for epoch in record.history
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["trial", "epoch"])


def _in_effect(record: TrialRecord) -> dict[str, Any]:
    """The fields of a trial that anything reads; of an older version, as recorded."""
    try:
        fields = TrialConfig.from_dict(record.trained).in_effect()
    except ConfigError:
        fields = record.trained
    # A tuple can be grouped by.
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def _varying(
    configs: Sequence[Mapping[str, Any]], space: Iterable[str]
) -> Iterable[str]:
    """The fields of the space, and any others that have two values, but the seed."""
    names = dict.fromkeys(name for config in configs for name in config)
    differing = [
        name
        for name in names
        if len({json.dumps(one[name]) for one in configs if name in one}) > 1
    ]
    return [name for name in dict.fromkeys([*space, *differing]) if name != "seed"]
