"""The method as a good engineer would first write it: the reference of the benchmarks.

Default memory format, the penalty by autograd over a loop of layers, modulation by
hooks that rescale the error during backward, weight decay by the optimizer.
"""

import torch
import torch.nn.functional as F
from torch import nn

from orthotune.nn.networks import PlainCNN


class TextbookStep:
    """One training step of a plain network, with or without the two ingredients."""

    def __init__(self, depth, in_channels, *, method, lr=0.01, coeff=1e-3):
        torch.manual_seed(0)
        self.net = PlainCNN(depth=depth, in_channels=in_channels)
        self.coeff = coeff if method else 0.0
        self.threshold, self.moment_above = 0.1, None
        decay = 0.0 if method else 1e-4
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=lr, momentum=0.9, weight_decay=decay
        )
        if method:
            for layer in self.net.layers:
                layer.conv.register_full_backward_pre_hook(self._modulate)

    def _modulate(self, _module, grad_output):
        moment = grad_output[0].pow(2).mean()
        factor = torch.ones_like(moment)
        if self.moment_above is not None:
            ratio = self.moment_above / moment
            if ratio.log().abs() > self.threshold:
                factor = ratio.sqrt()
        self.moment_above = moment * factor**2
        return (grad_output[0] * factor,)

    def penalty(self):
        total = 0.0
        for module in self.net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                matrix = module.weight.view(module.weight.shape[0], -1)
                identity = torch.eye(matrix.shape[0])
                total = total + ((matrix @ matrix.t() - identity) ** 2).sum()
        return total

    def __call__(self, images, targets):
        self.moment_above = None
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.net(images), targets)
        if self.coeff:
            loss = loss + self.coeff / 2 * self.penalty()
        loss.backward()
        self.optimizer.step()
