"""What is known of a network's layers after its first updates.

For the decision whether to go on with a trial that has not trained for long: each is a
quantity of signal propagation, and costs one forward pass of a few images.
"""

import math

import torch
from torch import Tensor, nn

from orthotune.config.metrics import MAX_DIAGNOSTIC
from orthotune.nn.diagnostics import effective_rank
from orthotune.nn.graph import unchanged
from orthotune.nn.orthonormality import parametric_layers
from orthotune.training.loop import Trial

IMAGES = 128
"""Validation images whose features are looked at."""


def signals(trial: Trial) -> dict[str, float]:
    """The signals of a trial that has run an epoch; training is not touched.

    Args:
        trial: The trial.

    Returns:
        `feature_rank`, the effective rank of what enters the last layer, and
        `loss_over_chance`, the loss on the validation images over that of guessing.
        Both finite.

    Example:
        >>> from orthotune.config.trial import TrialConfig
        >>> fields = {"model.depth": 8, "data.num_train": 64, "data.batch_size": 32}
        >>> trial = Trial(TrialConfig.from_dict(fields))
        >>> _ = trial.run_epoch()
        >>> sorted(signals(trial))
        ['feature_rank', 'loss_over_chance']
    """
    batch = trial.dataset.val.first(IMAGES)
    features = last_features(trial.model, trial.dataset.normalize(batch.images))
    classes = int(trial.dataset.val.targets.max()) + 1
    found = {
        "feature_rank": effective_rank(features).item(),
        "loss_over_chance": trial.metrics["val_loss"] / math.log(max(2, classes)),
    }
    return {
        name: value if math.isfinite(value) else MAX_DIAGNOSTIC
        for name, value in found.items()
    }


@torch.no_grad()
def last_features(model: nn.Module, images: Tensor) -> Tensor:
    """What enters the last layer of a network, in evaluation mode: `(B, F)`.

    Args:
        model: The network; it is left as it was.
        images: The images `(B, C, H, W)`.
    """
    (*_, last) = parametric_layers(model).values()
    seen: list[Tensor] = []
    handle = last.register_forward_pre_hook(
        lambda _layer, inputs: seen.append(inputs[0])
    )
    try:
        with unchanged(model):
            model.eval()
            model(images)
    finally:
        handle.remove()
    return seen[-1].flatten(1).float()
