"""Which of a trial's searched values are in effect: what others would show is chance.

A searcher gives a trial a penalty weight where the trial has no penalty, unless the
file says `when`. Tables, figures, importances and remarks ask here, so that none of
them shows such a value as if it had an effect.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from orthotune.config.trial import TrialConfig
from orthotune.record.population import settings_at
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import TrialRecord
from orthotune.space.parameters import Parameter


def in_effect(parameters: Sequence[Parameter], record: TrialRecord) -> dict[str, Any]:
    """The values a trial was given that it reads, by name of the parameter.

    Of a joint parameter the whole row, if any field of it is read.

    Args:
        parameters: What varies.
        record: The trial.

    Example:
        >>> from orthotune.space.parameters import FloatParameter
        >>> coeff = FloatParameter(name="regularizer.coeff", low=0, high=1)
        >>> fields = {"regularizer.coeff": 0.5}
        >>> in_effect([coeff], TrialRecord(number=0, fields=fields))
        {'regularizer.coeff': 0.5}
        >>> fields = {"regularizer.coeff": 0.5, "regularizer.kind": "none"}
        >>> in_effect([coeff], TrialRecord(number=0, fields=fields))
        {}
    """
    fields = record.fields
    read = _read(json.dumps(fields))
    return {
        parameter.name: parameter.value_in(fields)
        for parameter in parameters
        if all(name in fields for name in parameter.fields)
        and any(name in read for name in parameter.fields)
    }


@functools.lru_cache(maxsize=4096)  # a millisecond each, and five parts of a report ask
def _read(fields: str) -> frozenset[str]:
    return frozenset(TrialConfig.from_dict(json.loads(fields)).in_effect())


def in_effect_at_end(study: Study, record: TrialRecord) -> Mapping[str, Any]:
    """The same at a trial's end: a member of a population has others by then.

    Args:
        study: The study.
        record: The trial.
    """
    parameters = study.space.parameters
    if study.settings.search.is_population:
        return settings_in_effect(parameters, record, record.epoch)
    return in_effect(parameters, record)


def settings_in_effect(
    parameters: Sequence[Parameter], record: TrialRecord, epoch: int
) -> dict[str, float]:
    """The settings of a member of a population that it read, when `epoch` were done.

    Args:
        parameters: What varies.
        record: The member.
        epoch: Epochs finished.
    """
    config = TrialConfig.from_dict(record.trained)
    read = config.in_effect()
    settings = settings_at(config, parameters, epoch)
    return {name: value for name, value in settings.items() if name in read}
