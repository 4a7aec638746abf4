"""Trained networks as files that plain torch reads, without orthotune.

Three forms, by the name's ending, with what the network was trained by beside each as
`NAME.yaml`:

============== ==================================================================
`.pt2`         the whole network as a program: `torch.export.load(...).module()`
`.safetensors` its weights by name, for safetensors
`.pt`          the same as a state dict: `torch.load(..., weights_only=True)`
============== ==================================================================

Every form holds the normalization, `mean` and `std`: images are given as the data set
has them.
"""

import io
import os
import warnings
from pathlib import Path

import torch

from orthotune.config.config_file import config_text
from orthotune.files import atomic_write
from orthotune.training.classifier import Classifier, trained_classifier
from orthotune.training.loop import Trial
from orthotune.training.targets import NETWORK_SUFFIXES, check_target


def save_network(
    network: "Trial | Classifier", path: str | os.PathLike[str]
) -> tuple[Path, Path]:
    """Write a trained network as a file that plain torch reads, without orthotune.

    Args:
        network: A trial, or what `LoadedStudy.network` gives; it stays as it is.
        path: The file, whose name ends in `.pt2` (a program that runs by itself),
            `.safetensors` or `.pt` (the weights by name). What is there is replaced.

    Returns:
        The file, and the configuration beside it, `NAME.yaml`.

    Raises:
        TargetError: If the name ends in anything else, or there is no such folder.

    Example:
        >>> import tempfile
        >>> from orthotune.config.trial import TrialConfig
        >>> trial = Trial(TrialConfig.from_dict({"model.depth": 8}))
        >>> file, config = save_network(trial, f"{tempfile.mkdtemp()}/net.pt")
        >>> weights = torch.load(file, weights_only=True)
        >>> weights["network.classifier.weight"].shape, config.name
        (torch.Size([10, 64]), 'net.pt.yaml')
    """
    target = check_target(path, NETWORK_SUFFIXES)
    if isinstance(network, Trial):
        network = trained_classifier(network.state_dict())
    dump = {".pt2": _program, ".safetensors": _weights, ".pt": _state_dict}
    content = dump[target.suffix](network)
    beside = target.with_name(f"{target.name}.yaml")
    why = f"What the network in {target.name} was trained by."
    for file, bytes_ in (
        (beside, config_text(network.config, [why]).encode()),
        (target, content),
    ):
        with atomic_write(file) as stream:
            stream.write(bytes_)
    return target, beside


def _program(network: Classifier) -> bytes:
    """The network as torch.export has it, for any number of images."""
    images = torch.zeros(2, *network.image_shape)
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of its own parts
        program = torch.export.export(network, (images,), dynamic_shapes=batch)
        torch.export.save(program, buffer)
    return buffer.getvalue()


def _weights(network: Classifier) -> bytes:
    from safetensors.torch import save

    weights = {k: v.contiguous() for k, v in network.state_dict().items()}
    return save(weights, metadata={"format": "pt"})


def _state_dict(network: Classifier) -> bytes:
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    return buffer.getvalue()
