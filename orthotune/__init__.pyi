"""What type checkers and editors see: `__init__.py` loads all of it late."""

from orthotune.api import ablate, search, train
from orthotune.archive.loaded import load_study
from orthotune.config.trial import TrialConfig
from orthotune.data.dataset import Source
from orthotune.nn.modulation import attach
from orthotune.nn.orthonormality import OrthonormalityRegularizer
from orthotune.nn.penalty import PenaltyRegularizer
from orthotune.schema.contracts import DataPlace, ImageShape, Regularizer
from orthotune.schema.decorators import (
    dataset,
    initialization,
    network,
    optimizer,
    regularizer,
    schedule,
    setting,
)
from orthotune.training.loop import Trial
from orthotune.training.network_file import save_network
from orthotune.tune.trainable import OrthoTrainable

__version__: str

__all__ = [
    "DataPlace",
    "ImageShape",
    "OrthoTrainable",
    "OrthonormalityRegularizer",
    "PenaltyRegularizer",
    "Regularizer",
    "Source",
    "Trial",
    "TrialConfig",
    "__version__",
    "ablate",
    "attach",
    "dataset",
    "initialization",
    "load_study",
    "network",
    "optimizer",
    "regularizer",
    "save_network",
    "schedule",
    "search",
    "setting",
    "train",
]
