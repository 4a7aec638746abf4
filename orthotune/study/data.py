"""The data that a study needs, read before anything is started."""

import dataclasses
from collections.abc import Sequence

from orthotune.config.sections import DataConfig
from orthotune.config.trial import TrialConfig
from orthotune.console import note
from orthotune.record.study_definition import Study
from orthotune.space.parameters import field_extremes


def data_of(study: Study) -> list[DataConfig]:
    """Every data set a search names, with as much of it as any trial wants."""
    config = TrialConfig.from_dict(study.space.example()).data
    varying = {
        name: values
        for parameter in study.space.parameters
        for name, values in field_extremes(parameter).items()
    }
    largest = {
        leaf: max(value for value in varying[f"data.{leaf}"] if value is not None)
        for leaf in ("batch_size", "num_train")
        if f"data.{leaf}" in varying
    }
    names = varying.get("data.name", [config.name])
    return [dataclasses.replace(config, name=name, **largest) for name in names]


def read_data(configs: Sequence[DataConfig]) -> dict[str, str]:
    """The fingerprint of every data set, by name; what is missing is said by reading.

    Raises:
        DataError: If one cannot be read.
    """
    names = dict.fromkeys(config.name for config in configs)
    note(f"reading data ({', '.join(names)}) ...")
    from orthotune.data.datasets import data_fingerprints  # torch, in seconds

    return data_fingerprints(configs)
