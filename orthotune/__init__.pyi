"""What type checkers and editors see: `__init__.py` loads all of it late."""

from orthotune.api import ablate, search, train
from orthotune.config.trial import TrialConfig
from orthotune.nn.modulation import attach
from orthotune.nn.orthonormality import OrthonormalityRegularizer
from orthotune.study.loaded import load_study
from orthotune.training.loop import Trial
from orthotune.training.network_file import save_network
from orthotune.tune.trainable import OrthoTrainable

__version__: str

__all__ = [
    "OrthoTrainable",
    "OrthonormalityRegularizer",
    "Trial",
    "TrialConfig",
    "__version__",
    "ablate",
    "attach",
    "load_study",
    "save_network",
    "search",
    "train",
]
