"""The method as a good engineer would first write it: the reference of the benchmarks.

Images one by one through torchvision's transforms, default memory format, the penalty
by autograd over a loop of layers, modulation by hooks that rescale the error during
backward, weight decay by the optimizer.
"""

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from orthotune.nn.networks import PlainCNN, ResidualCNN

NETWORKS = {"plain": PlainCNN, "residual": ResidualCNN}


class Images(Dataset):
    """Images as torchvision's data sets give them: a PIL image through transforms."""

    def __init__(self, images, targets, mean, std):
        scale = [value / 255 for value in mean], [value / 255 for value in std]
        self._images = images.permute(0, 2, 3, 1).numpy()
        self._targets = targets.tolist()
        self._transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(*scale)]
        )

    def __len__(self):
        return len(self._targets)

    def __getitem__(self, index):
        image = Image.fromarray(self._images[index])
        return self._transform(image), self._targets[index]


def loader(images, targets, mean, std, *, batch, sampler=None):
    """Batches of uint8 images `(N, 3, H, W)`, in a random or the sampler's order."""
    data = Images(images, targets, mean, std)
    shuffle = sampler is None
    return DataLoader(data, batch, shuffle=shuffle, sampler=sampler, drop_last=True)


class TextbookStep:
    """One training step, with or without each of the two ingredients."""

    def __init__(
        self,
        depth,
        in_channels,
        *,
        family="plain",
        coeff=1e-3,
        modulated=True,
        weight_decay=0.0,
        lr=0.01,
        device="cpu",
    ):
        torch.manual_seed(0)
        self.net = NETWORKS[family](depth=depth, in_channels=in_channels).to(device)
        self.coeff = coeff
        self.threshold, self.moment_above = 0.1, None
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay
        )
        if modulated:
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
                identity = torch.eye(matrix.shape[0], device=matrix.device)
                total = total + ((matrix @ matrix.t() - identity) ** 2).sum()
        return total

    def __call__(self, images, targets):
        self.moment_above = None
        self.optimizer.zero_grad()
        task_loss = loss = F.cross_entropy(self.net(images), targets)
        if self.coeff:
            loss = loss + self.coeff / 2 * self.penalty()
        loss.backward()
        self.optimizer.step()
        return task_loss.item()
