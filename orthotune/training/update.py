"""One optimizer update: gradients of a batch, both ingredients, an optimizer's step.

Everything that changes from update to update or from trial to trial (learning rate,
coefficient, threshold, strength) is data in one small tensor on the device, never a
number in the program. So an update waits for nothing on a GPU (but in float16: whether
its gradients fit), and what is compiled or captured for a shape serves every epoch and
every trial of that shape.
"""

import copy
import os
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from orthotune.config.changes import CHANGEABLE
from orthotune.config.trial import TrialConfig
from orthotune.data.dataset import Split
from orthotune.errors import ConfigError, cut
from orthotune.nn.chain import Chain, chain_of, chains_within
from orthotune.nn.graph import UntraceableError
from orthotune.nn.modulation import ModulationHandle
from orthotune.nn.probes import ErrorProbes, probed_layers
from orthotune.schema.contracts import Parameters, Regularizer
from orthotune.schema.registry import ingredient
from orthotune.training.curves import scheduled_settings

MAX_SHAPES = 256  # compiled in one process
SCALER = "scaler"  # in a checkpoint, beside the optimizer's state
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
NO_PENALTY = "none"


class Update:
    """The updates of one configuration on one model.

    Args:
        config: What to train.
        model: The network, on `device`, in channels-last memory.
        example: A few normalized images, there too, for a network that cannot be
            looked through without running it.

    Attributes:
        config: What is trained.

    Raises:
        ConfigError: If it is to be compiled and there is no compiler; if the network is
            no chain and is to be modulated; if what is registered gives something else
            than it must.

    Example:
        >>> from orthotune.nn.networks import PlainCNN
        >>> config = TrialConfig.from_dict({"model.depth": 8})
        >>> model = PlainCNN(depth=8, in_channels=1)
        >>> batch = Split(images=torch.randn(4, 1, 8, 8), targets=torch.arange(4))
        >>> update = Update(config, model, batch.images)
        >>> loss, moments = update(batch, update.settings(epoch=0, updates=10)[0])
        >>> loss.shape, moments.shape
        (torch.Size([]), torch.Size([7]))
    """

    def __init__(self, config: TrialConfig, model: nn.Module, example: Tensor) -> None:
        self.config = config
        device = example.device
        example = example.to(next(model.parameters()).dtype)
        self._device = device
        # Fused SGD reads float32 on a GPU; a CPU can keep every digit.
        dtype = torch.float64 if device.type == "cpu" else torch.float32
        self._now = torch.zeros(len(CHANGEABLE), dtype=dtype, device=device)
        self._lr, self._coeff, self._threshold, self._strength = self._now.unbind()
        self._modulation = _modulation(config, model, example)
        self._probed = []
        if self._modulation is None:
            # Without modulation the diagnostic needs one probed backward an epoch.
            with self.precision():
                layers = probed_layers(model, lambda: model(example))
            self._probed = list(layers.values())
        self._regularizer = _regularizer(config, model)
        self._parameters = Parameters(model)
        self._optimizer = _optimizer(config, self._parameters, self._lr)
        self._smoothing = config.training.label_smoothing
        # float16 has no room for small errors; where it is off it does nothing.
        scaled = config.training.precision == "fp16"
        self._scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        if scaled:
            # Or fused SGD leaves momenta as memory was, if its first step is skipped.
            self._optimizer._step_supports_amp_scaling = False  # pyright: ignore[reportAttributeAccessIssue]
        self._forward = _compiled(model) if config.training.compile else model

    def settings(self, epoch: int, updates: int) -> Tensor:
        """The settings of every update of an epoch.

        Args:
            epoch: Epochs finished.
            updates: Updates an epoch.

        Returns:
            Tensor of shape `(updates, 4)`, on the CPU: learning rate, coefficient,
            threshold and strength in the middle of each update, their schedules
            included.
        """
        total = self.config.training.num_epochs
        rows = []
        for index in range(updates):
            progress = (epoch + (index + 0.5) / updates) / total
            rows.append(scheduled_settings(self.config, epoch, progress))
        return torch.tensor(rows, dtype=self._now.dtype)

    def __call__(
        self, batch: Split, settings: Tensor, *, probe: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Update the model once.

        Args:
            batch: Normalized images and their classes, on the device.
            settings: A row of `settings`, on the device.
            probe: Whether to measure the backward error where no modulation does.

        Returns:
            The task loss, and the backward-error moments `(L,)` if they were probed.
        """
        self._now.copy_(settings)
        probes = ErrorProbes(self._probed) if probe and self._probed else None
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._accumulate_gradients(batch)
        self._scaler.unscale_(self._optimizer)
        moments = self._combine()
        if probes is not None:
            moments = probes.moments()
            probes.remove()
        if self.config.training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._parameters, self.config.training.clip_norm)
        self._scaler.step(self._optimizer)  # unless gradients have left float16
        self._scaler.update()
        return loss, moments

    def precision(self) -> torch.autocast:
        """The context in which the model runs."""
        half = HALVES.get(self.config.training.precision)
        return torch.autocast(self._device.type, half, enabled=half is not None)

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, and the loss's scale in float16."""
        scaler = {SCALER: self._scaler.state_dict()}
        return self._optimizer.state_dict() | (scaler if self._is_scaled() else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        settings = self._optimizer.defaults.keys()
        groups = self._optimizer.param_groups
        ours = [{name: group[name] for name in settings} for group in groups]
        # A copy: torch's optimizers keep the tensors they are given.
        state = copy.deepcopy(state)
        if self._is_scaled():
            self._scaler.load_state_dict(state.pop(SCALER))
        self._optimizer.load_state_dict(state)
        # The momenta are the file's; how to step is this configuration's.
        for group, own in zip(self._optimizer.param_groups, ours, strict=True):
            group.update(own)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self._device

    @property
    def probes_apart(self) -> bool:
        """Whether a probed update is another program than the others."""
        return bool(self._probed)

    def forget(self) -> None:
        """Drop the gradients and moments of an update that was not finished."""
        self._optimizer.zero_grad(set_to_none=True)
        if self._modulation is not None:
            self._modulation.forget()

    def weights(self) -> Tensor:
        """All parameters in one float64 vector, a copy."""
        return torch.cat([p.detach().double().flatten() for p in self._parameters])

    def snapshot(self) -> dict[str, Any]:
        """A copy of all that an update changes, random generators included."""
        tensors = [t.clone() for t in self._tensors()]
        return {
            "tensors": tensors,
            "penalty": copy.deepcopy(self.penalty_state()),
            "random": torch.cuda.get_rng_state(self._device),
        }

    @torch.no_grad()
    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put a snapshot back, in place: what is captured reads the same memory."""
        for tensor, value in zip(self._tensors(), snapshot["tensors"], strict=True):
            tensor.copy_(value)
        self.load_penalty_state(snapshot["penalty"])
        torch.cuda.set_rng_state(snapshot["random"], self._device)

    def _tensors(self) -> list[Tensor]:
        """Parameters, buffers, and the state of the optimizer."""
        state = self._optimizer.state.values()
        kept = [v for one in state for v in one.values() if isinstance(v, Tensor)]
        weights = [parameter.detach() for parameter in self._parameters]
        return [*weights, *self._parameters.model.buffers(), *kept]

    def penalty_state(self) -> dict[str, Any] | None:
        """The regularizer's state; None if it has none."""
        own = getattr(self._regularizer, "state_dict", None)
        return None if own is None else own()

    def load_penalty_state(self, state: dict[str, Any] | None) -> None:
        """Continue the regularizer from its state, if it has one."""
        own = getattr(self._regularizer, "load_state_dict", None)
        if own is not None and state is not None:
            own(copy.deepcopy(state))

    def _is_scaled(self) -> bool:
        return self._scaler.is_enabled()

    def _accumulate_gradients(self, batch: Split) -> Tensor:
        """Gradients of the batch's mean loss, micro-batch by micro-batch; that loss."""
        total = torch.zeros((), device=self._device)
        parts = self.config.data.num_micro_batches
        for images, targets in zip(
            batch.images.tensor_split(parts),
            batch.targets.tensor_split(parts),
            strict=True,
        ):
            with self.precision():
                logits = self._forward(images)
            _check_logits(logits, len(targets))
            wide = torch.promote_types(logits.dtype, torch.float32)
            loss = F.cross_entropy(
                logits.to(wide), targets, label_smoothing=self._smoothing
            )
            loss = loss * (len(targets) / len(batch))
            self._scaler.scale(loss).backward()
            total += loss.detach()
        return total

    @torch.no_grad()
    def _combine(self) -> Tensor | None:
        """Modulate the gradients, and add the regularizer's; the moments used."""
        moments = None
        if self._modulation is not None:
            moments = self._modulation.scale_gradients(self._threshold, self._strength)
        if self._regularizer is not None:
            self._regularizer.add_gradients(self._coeff)
        return moments


def _check_logits(logits: object, size: int) -> None:
    """Refuse what a network gives in place of logits; a shape costs nothing."""
    if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == size:
        return
    got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    raise ConfigError(
        "model.family",
        f"must name a network that gives logits of shape ({size}, classes) for {size} "
        f"images, but it gives {got}. End it with a flatten and a linear layer.",
    )


def _chains(config: TrialConfig, model: nn.Module, example: Tensor) -> Sequence[Chain]:
    """The chains of a network: by its code, or by running it where that branches."""
    find = chains_within if config.modulation.allow_branches else _whole
    try:
        return find(model)
    except UntraceableError:
        return find(model, example)


def _whole(model: nn.Module, example: Tensor | None = None) -> Sequence[Chain]:
    return [chain_of(model, example)]


def _modulation(
    config: TrialConfig, model: nn.Module, example: Tensor
) -> ModulationHandle | None:
    """Modulation of the chains of a network, if it is switched on.

    Raises:
        ConfigError: If it has none.
    """
    if not config.modulation.enabled:
        return None
    try:
        return ModulationHandle(_chains(config, model, example))
    except ValueError as err:
        problem = str(err).removeprefix("`model` ")
        raise ConfigError(
            "modulation.enabled",
            f"must be false for `model.family` {config.model.family}, which {problem}",
        ) from err


def _regularizer(config: TrialConfig, model: nn.Module) -> Regularizer | None:
    """The penalty that a configuration names.

    Raises:
        ConfigError: If what is registered gives something else.
    """
    kind = config.regularizer.kind
    if kind == NO_PENALTY:
        return None
    made = ingredient("regularizer", kind).of(config.regularizer, model)
    if not callable(getattr(made, "add_gradients", None)):
        raise ConfigError(
            "regularizer.kind",
            "must name a function that returns an object with `add_gradients(coeff)`, "
            f"but {kind} returned {cut(repr(made))}. Return a PenaltyRegularizer.",
        )
    return made


def _optimizer(config: TrialConfig, parameters: Parameters, lr: Tensor) -> Optimizer:
    """The optimizer that a configuration names.

    Raises:
        ConfigError: If what is registered gives something else.
    """
    kind = config.optimizer.kind
    made = ingredient("optimizer", kind).of(config.optimizer, parameters, lr)
    if not isinstance(made, Optimizer):
        raise ConfigError(
            "optimizer.kind",
            "must name a function that returns a torch.optim.Optimizer, but "
            f"{kind} returned {cut(repr(made))}. Return the optimizer.",
        )
    return made


def _compiled(model: nn.Module) -> Callable[[Tensor], Tensor]:
    compiler = os.environ.get("CXX", "g++")  # as torch finds it
    if shutil.which(compiler) is None:
        raise ConfigError(
            "training.compile",
            f"needs a C++ compiler, but {compiler} was not found. Install one, set CXX "
            "to yours, or set it to false.",
        )
    # torch stops at 8 shapes; a study's reused worker may meet more.
    compiled = torch.compile(
        model,  # pyright: ignore[reportCallIssue]
        fullgraph=True,
        dynamic=False,
        recompile_limit=MAX_SHAPES,
    )

    def forward(images: Tensor) -> Tensor:
        # Or it would not see that layers are probed now, or no more: for torch a
        # module's hooks never change. Ours do, in an epoch and from trial to trial.
        with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False):
            return compiled(images)

    return forward
