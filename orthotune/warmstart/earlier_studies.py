"""Takes from earlier studies what a new one can use.

The best of each are tried first, where the space holds them. A trial that is one of the
new study too, by all that its key is made of, is told to the searcher with its result;
which study ran it, and with which code, changes nothing of what a searcher learns.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orthotune.archive.loaded import LoadedStudy, load_study
from orthotune.config.config_file import configured
from orthotune.config.trial import TrialConfig
from orthotune.errors import ConfigError, OrthotuneError, StudyError
from orthotune.record.front import front, spread_front
from orthotune.record.identity import Fingerprints, fingerprints_in, trial_key
from orthotune.record.standings import equal_budget
from orthotune.record.study_definition import Study
from orthotune.record.trial_record import Status, TrialRecord
from orthotune.record.warm_start import Told, Tried, WarmStart, trials_text
from orthotune.space.placing import OutsideError, placed
from orthotune.study.record_opening import copied_log, record_to_read
from orthotune.text import cell

MOST_TRIED = 3
"""Trials of each earlier study that are tried first, its best."""

CONFIG_SUFFIXES = (".yaml", ".yml")


def with_warm_start(study: Study, storage: str, fingerprints: Fingerprints) -> Study:
    """The study with what it takes, or has taken, from earlier ones.

    Args:
        study: The study.
        storage: Where it keeps its files, and where studies are that go by name.
        fingerprints: The data's; one that is missing agrees with none.

    Raises:
        StudyError: If it has not begun, and one of the earlier studies is not there.
    """
    if not study.settings.search.start_from:
        return study
    with record_to_read(study.settings.name, storage) as record:
        with copied_log(record) as log:
            begun = log.header
    if begun is not None:
        return replace(study, warm_start=WarmStart.of(begun))
    return replace(study, warm_start=_taken(study, storage, fingerprints))


def _taken(study: Study, storage: str, fingerprints: Fingerprints) -> WarmStart:
    collected = _Collected(study, fingerprints)
    names = dict.fromkeys(study.settings.search.start_from)
    sources = [_source(study, name, storage) for name in names]
    for rank in range(MOST_TRIED):  # the best of each before the second of any
        for source in sources:
            for candidate in source.best[rank : rank + 1]:
                collected.try_first(source, candidate, rank)
    for source in sources:
        if source.unread:
            collected.leave_out(source, "is of another version", source.unread)
        for candidate in source.trials:
            collected.tell(source, candidate)
    return collected.result()


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    """A configuration of an earlier study.

    Args:
        number: Of its trial; None of a file's.
        config: All of it.
        record: The trial's; None of a file's.
    """

    number: int | None
    config: TrialConfig
    record: TrialRecord | None = None


@dataclass(frozen=True, kw_only=True)
class _Source:
    """An earlier study, or a file with a configuration.

    Args:
        name: As it is shown.
        best: The best, the best first.
        trials: All that can be read.
        unread: Numbers of the trials that are of another version of orthotune.
        data: The fingerprints of its data.
    """

    name: str
    best: Sequence[_Candidate]
    trials: Sequence[_Candidate] = ()
    unread: Sequence[int] = ()
    data: Fingerprints


def _source(study: Study, name: str, storage: str) -> _Source:
    """What `search.start_from` names.

    Raises:
        StudyError: If there is no such thing.
    """
    path = Path(name).expanduser()
    try:
        if path.suffix in CONFIG_SUFFIXES and path.is_file():
            config = configured(os.fspath(path), {})
            best = [_Candidate(number=None, config=config)]
            return _Source(name=name, best=best, data={})
        return _of_study(study, name, load_study(name, storage))
    except OrthotuneError as err:
        raise StudyError(f"{study.path}: `search.start_from`: {err}") from err


def _of_study(study: Study, name: str, earlier: LoadedStudy) -> _Source:
    found: dict[int, _Candidate] = {}
    for record in earlier.records:
        try:
            config = TrialConfig.from_dict(record.trained)
        except ConfigError:
            continue
        found[record.number] = _Candidate(
            number=record.number, config=config, record=record
        )
    unread = [one.number for one in earlier.records if one.number not in found]
    return _Source(
        name=name,
        best=[found[number] for number in _ranked(study, earlier) if number in found],
        trials=list(found.values()),
        unread=unread,
        data=fingerprints_in(earlier.definition),
    )


def _ranked(study: Study, earlier: LoadedStudy) -> list[int]:
    """The trials of an earlier study, by what this one minimizes; or of its front.

    Of a population and of an ablation, where a value says nothing by itself, the best
    alone.
    """
    metrics, asked = study.settings.objectives, earlier.definition
    searched = asked.get("search.scheduler", "pbt") != "pbt"
    if not searched:
        return [] if earlier.best_value is None else [earlier.best_trial]
    own = [record for record in earlier.records if record.validates is None]
    known = [record for record in own if _knows(record, metrics)]
    if not metrics[1:]:
        found = [record.number for record in equal_budget(known, metrics[0])]
        confirmed = earlier.confirmed and earlier.metrics == metrics
        first = [earlier.best_trial] if confirmed else []
        return [*first, *(number for number in found if number not in first)]
    members = front(known, metrics)
    return [record.number for record in spread_front(members, metrics, MOST_TRIED)]


def _knows(record: TrialRecord, metrics: Sequence[str]) -> bool:
    """Whether a trial has reported some metrics."""
    return bool(record.epoch) and record.history[record.epoch].keys() >= set(metrics)


class _Collected:
    """What is taken, as it is found, and why the rest is not."""

    def __init__(self, study: Study, fingerprints: Fingerprints) -> None:
        self._study = study
        self._fingerprints = fingerprints
        self._tried: dict[str, Tried] = {}
        self._told: dict[str, Told] = {}
        self._left_out: dict[tuple[str, str], list[int]] = {}
        self._phrases: dict[str, None] = {}

    def try_first(self, source: _Source, one: _Candidate, rank: int) -> None:
        """Try a configuration, unless its result is that of a trial that is told.

        The best is tried in any case: it is to be among this study's own.
        """
        try:
            values, key = self._placed(one.config)
        except OutsideError as err:
            self._phrases[f"{_name(source, one)}, as one of the best: {err}"] = None
            return
        if rank and self._difference(source, one, values) is None:
            return
        tried = Tried(source=_name(source, one), values=values)
        self._tried.setdefault(key, tried)

    def tell(self, source: _Source, one: _Candidate) -> None:
        """Tell a trial's result, if it is a trial of this study too."""
        try:
            values, key = self._placed(one.config)
            reason = self._difference(source, one, values)
        except OutsideError as err:
            key, values, reason = "", {}, str(err)
        if reason is not None:
            numbers = [] if one.number is None else [one.number]
            self.leave_out(source, reason, numbers)
        elif one.record is not None and key not in self._tried:
            told = self._telling(source, one, one.record, key, values)
            self._told.setdefault(key, told)

    def leave_out(self, source: _Source, reason: str, numbers: Sequence[int]) -> None:
        """Say why trials are not told."""
        self._left_out.setdefault((source.name, reason), []).extend(numbers)

    def _telling(
        self,
        source: _Source,
        one: _Candidate,
        record: TrialRecord,
        key: str,
        values: Mapping[str, Any],
    ) -> Told:
        last = record.history[record.epoch]
        return Told(
            source=_name(source, one),
            key=key,
            fields=self._study.trial_fields(values),
            status=str(record.status),
            epoch=record.epoch,
            metrics={name: last[name] for name in self._metrics},
        )

    def result(self) -> WarmStart:
        """All of it."""
        grouped = [
            f"{trials_text(name, numbers)}: {reason}"
            for (name, reason), numbers in self._left_out.items()
        ]
        return WarmStart(
            tried=tuple(self._tried.values()),
            told=tuple(self._told.values()),
            left_out=(*self._phrases, *grouped),
        )

    @property
    def _metrics(self) -> tuple[str, ...]:
        return self._study.settings.objectives

    def _placed(self, config: TrialConfig) -> tuple[dict[str, Any], str]:
        """The values of a configuration here, and the key of the trial it is here."""
        values = placed(self._study.space, config.to_dict())
        try:
            fields = self._study.trial_fields(values)
            known = {TrialConfig.from_dict(fields).data.name: "", **self._fingerprints}
            return values, trial_key(fields, known)
        except ConfigError as err:
            raise OutsideError(str(err)) from err

    def _difference(
        self, source: _Source, one: _Candidate, values: Mapping[str, Any]
    ) -> str | None:
        """Why a trial is none of this study; None if it is one."""
        record = one.record
        if record is None:
            return "is a configuration without a result"
        if record.status not in TOLD:
            return f"has no result to learn from ({record.status})"
        if record.changed_fields:
            return "was changed in training"
        ours = TrialConfig.from_dict(self._study.trial_fields(values)).canonical()
        theirs = one.config.canonical()
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                was, here = cell(theirs.get(name)), cell(ours.get(name))
                return f"`{name}` was {was} and is {here} here"
        data = one.config.data.name
        if source.data.get(data) != self._fingerprints.get(data):
            known = data in self._fingerprints
            return f"the data {data} " + ("have changed" if known else "are not here")
        if not _knows(record, self._metrics):
            return f"has not reported {' and '.join(self._metrics)}"
        return None


TOLD = (Status.FINISHED, Status.STOPPED, Status.DIVERGED)
"""How trials have ended whose results say something on any machine."""


def _name(source: _Source, one: _Candidate) -> str:
    return source.name if one.number is None else f"{source.name}, trial {one.number}"
