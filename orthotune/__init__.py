"""orthotune: search and ablation for very deep plain convolutional networks.

What is listed in `__all__` is loaded when it is first used: `import orthotune` takes no
time. The types of the names are in `__init__.pyi`.

Example:
    >>> import orthotune
    >>> orthotune.TrialConfig.from_dict({"model.depth": 20}).model.depth
    20
"""

# pyright: reportUnsupportedDunderAll=false

import importlib

__version__ = "0.1.0"

_HOMES = {
    "DataPlace": "orthotune.schema.contracts",
    "ImageShape": "orthotune.schema.contracts",
    "OrthoTrainable": "orthotune.tune.trainable",
    "OrthonormalityRegularizer": "orthotune.nn.orthonormality",
    "PenaltyRegularizer": "orthotune.nn.penalty",
    "Regularizer": "orthotune.schema.contracts",
    "Source": "orthotune.data.dataset",
    "Trial": "orthotune.training.loop",
    "TrialConfig": "orthotune.config.trial",
    "ablate": "orthotune.api",
    "attach": "orthotune.nn.modulation",
    "dataset": "orthotune.schema.decorators",
    "initialization": "orthotune.schema.decorators",
    "load_study": "orthotune.archive.loaded",
    "network": "orthotune.schema.decorators",
    "optimizer": "orthotune.schema.decorators",
    "regularizer": "orthotune.schema.decorators",
    "schedule": "orthotune.schema.decorators",
    "save_network": "orthotune.training.network_file",
    "search": "orthotune.api",
    "setting": "orthotune.schema.decorators",
    "train": "orthotune.api",
}
"""Where each name is. As strings: what is below imports this package, and nothing
above itself."""

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


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """The public names, and the usual ones; nothing is loaded for it."""
    return sorted({*globals(), *__all__})
