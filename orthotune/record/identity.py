"""The identity of a trial and of a study: hashes of all that the results depend on.

A trial is what its result depends on: the fields of its configuration that matter (its
seed and its budget of epochs among them) and the data. A study is its question: the
space, the fixed fields, and how it is searched. How many trials, how long, where and on
what are not part of either.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orthotune.config.plugins import plugins
from orthotune.config.sources import digest_of
from orthotune.config.trial import NO_RESULT, TrialConfig
from orthotune.record.study_definition import Study
from orthotune.schema.fields import later_fields, leaves
from orthotune.space.parameters import definition_of
from orthotune.space.settings import RENAMED, SearchSettings

Fingerprints = Mapping[str, str]
"""The hash of each data set a study names, by name (`data_fingerprint`)."""

Definition = dict[str, Any]
"""The question of a study, as plain values by dotted name."""

_MAY_CHANGE = {
    "num_trials",
    "time_budget_s",
    "max_concurrent",
    "keep_checkpoints",
    "confirm.top",
    "confirm.seeds",
}
"""Search settings that may differ from one session of a study to the next."""

_OF_PBT = {"perturbation_epochs"}
"""Search settings that nothing else reads."""


def trial_key(fields: Mapping[str, Any], fingerprints: Fingerprints) -> str:
    """A hash that two trials share exactly when their results are the same.

    Example:
        >>> data = {"digits": "1797", "synthetic": "5120"}
        >>> here = trial_key({"data.root": "here"}, data)
        >>> here == trial_key({"data.root": "there"}, data)
        True
        >>> here == trial_key({"seed": 1}, data)
        False
        >>> here == trial_key({}, {**data, "digits": "1798"})
        False
    """
    config = TrialConfig.from_dict(fields)
    identity = config.canonical() | {"data": fingerprints[config.data.name]}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[
        :16
    ]


def definition(study: Study, fingerprints: Fingerprints) -> Definition:
    """The question a study asks, as plain values by dotted name.

    Two studies with equal definitions are one study.
    """
    data = {f"data {name}": digest for name, digest in fingerprints.items()}
    asked = _asked(study)
    # As when read again: tuples become lists.
    return json.loads(json.dumps(asked | data | _sources(asked)))


def _sources(asked: Definition) -> dict[str, str]:
    """The hashes of what others have registered, of all that a definition names."""
    named = set(_strings(asked))
    return {
        f"source {one.name}": digest_of(one) for one in plugins() if one.name in named
    }


def _strings(value: object) -> Iterator[str]:
    """Every text in plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)


def _asked(study: Study) -> Definition:
    if study.listed:
        metric, epochs = study.settings.metric, study.settings.search.max_epochs
        return {"metric": metric, "search.max_epochs": epochs, **study.question}
    search = dict(leaves(study.settings.search))
    for name, default in later_fields(SearchSettings):
        if search[name] == default:
            del search[name]
    # A population is compared with itself: it cannot grow.
    pbt = study.settings.search.is_population
    idle = _MAY_CHANGE - {"num_trials"} if pbt else _MAY_CHANGE | _OF_PBT
    space = {
        parameter.name: definition_of(parameter) for parameter in study.space.parameters
    }
    return {
        "metric": study.settings.asked_metric,
        **{f"search.{k}": v for k, v in search.items() if k not in idle},
        **{f"space.{name}": parameter for name, parameter in space.items()},
        **_constraints(study),
        **{f"fixed.{k}": v for k, v in study.space.fixed.items() if k not in NO_RESULT},
    }


def _constraints(study: Study) -> dict[str, list[str]]:
    texts = [constraint.text for constraint in study.space.constraints]
    return {"constraints": texts} if texts else {}


def fingerprints_in(asked: Mapping[str, Any]) -> Fingerprints:
    """The fingerprints of the data in a definition.

    Example:
        >>> fingerprints_in({"metric": "val_error", "data digits": "1797"})
        {'digits': '1797'}
    """
    prefix = "data "
    return {
        name.removeprefix(prefix): digest
        for name, digest in asked.items()
        if name.startswith(prefix)
    }


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """What differs between a definition and an earlier one, a phrase each.

    Not what an older version had in it and may change by now.

    Example:
        >>> differences({"search.seed": 1}, {"search.seed": 0, "metric": "val_loss"})
        ['`metric` was "val_loss" and is absent', '`search.seed` was 0 and is 1']
    """
    return [
        f"`{name}` was {_show(theirs, name)} and is {_show(ours, name)}"
        for name in sorted((ours.keys() | theirs.keys()) - RENAMED.keys())
        if _show(ours, name) != _show(theirs, name)
    ]


def _show(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return "absent"
    value = values[name]
    if not isinstance(value, dict):
        return json.dumps(value)
    shown = {k: v for k, v in value.items() if k != "name" and v not in (None, {})}
    return json.dumps(shown)
