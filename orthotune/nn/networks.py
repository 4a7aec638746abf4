"""Plain networks of any depth 6n + 2, and their residual counterpart.

Letters: `B` batch, `C` channels, `H`, `W` height and width.

A network of depth 6n + 2 is one 3x3 convolution, three stages of 2n Conv-BN-ReLU at
full, half and quarter resolution (the first convolution of stages 2 and 3 has stride
2), global average pooling and a linear classifier: 6n + 1 convolutions and one linear
layer. The family is that of He et al., "Deep Residual Learning", CVPR 2016, section
4.2; without shortcuts it is the plain network of Xie, Xiong and Pu.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from orthotune.nn.depth import check_depth

NUM_STAGES = 3


class ConvBNReLU(nn.Module):
    """A 3x3 convolution without bias, batch normalization, and a ReLU.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        stride: Of the convolution; 2 halves height and width (rounded up).
        relu: False leaves the ReLU out, as before a shortcut is added.
        shortcut: Whether a shortcut leads around it; only said, for who must know.

    Example:
        >>> import torch
        >>> ConvBNReLU(3, 16)(torch.zeros(2, 3, 8, 8)).shape
        torch.Size([2, 16, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        relu: bool = True,
        shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn = nn.BatchNorm2d(out_channels)
        self.relu = relu
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to `(B, out_channels, H / stride, W / stride)`."""
        out = self.bn(self.conv(x))
        return F.relu(out, inplace=True) if self.relu else out


class PlainCNN(nn.Module):
    """A Conv-BN-ReLU network without shortcuts.

    Args:
        depth: Number of parametric layers, 6n + 2.
        widths: Filters of the three stages.
        in_channels: Channels of the images.
        num_classes: Outputs of the classifier.

    Attributes:
        layers: The chain of `depth - 1` ConvBNReLU in forward order.

    Raises:
        ValueError: If `depth` is not 6n + 2 or `widths` are not three positive ints.

    Example:
        >>> import torch
        >>> net = PlainCNN(depth=20)
        >>> len(net.layers), net(torch.zeros(2, 3, 32, 32)).shape
        (19, torch.Size([2, 10]))
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 32, 64),
        in_channels: int = 3,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        shapes = _stage_shapes(depth, widths)
        stem = ConvBNReLU(in_channels, widths[0])
        self.layers = nn.Sequential(stem, *(ConvBNReLU(*shape) for shape in shapes))
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `(B, C, H, W)` to logits `(B, num_classes)`."""
        return self.classifier(self.layers(x).mean(dim=(2, 3)))


class ResidualCNN(nn.Module):
    """The residual counterpart: an identity shortcut around every two convolutions.

    Where the resolution halves, the shortcut takes every second pixel and pads the new
    channels with zeros, so that it has no parameters (option A of He et al.).

    Args:
        depth: Number of parametric layers, 6n + 2.
        widths: Filters of the three stages; they must not decrease.
        in_channels: Channels of the images.
        num_classes: Outputs of the classifier.

    Attributes:
        layers: The `depth - 1` ConvBNReLU in forward order.

    Raises:
        ValueError: As for `PlainCNN`, or if `widths` decrease.

    Example:
        >>> import torch
        >>> ResidualCNN(depth=20)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        depth: int,
        widths: Sequence[int] = (16, 32, 64),
        in_channels: int = 3,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        shapes = _stage_shapes(depth, widths)
        if list(widths) != sorted(widths):
            raise ValueError(
                "`widths` of a residual network must not decrease, but got "
                f"{list(widths)}: an identity shortcut cannot drop channels. Sort them."
            )
        self.stem = ConvBNReLU(in_channels, widths[0])
        self.blocks = nn.Sequential(
            *(ResidualBlock(*shape) for shape in shapes[::2])  # two layers a block
        )
        self.classifier = nn.Linear(widths[-1], num_classes)

    @property
    def layers(self) -> list[ConvBNReLU]:
        """The Conv-BN-ReLU modules in forward order."""
        return [module for module in self.modules() if isinstance(module, ConvBNReLU)]

    def forward(self, x: Tensor) -> Tensor:
        """Map images `(B, C, H, W)` to logits `(B, num_classes)`."""
        return self.classifier(self.blocks(self.stem(x)).mean(dim=(2, 3)))


class ResidualBlock(nn.Module):
    """Two Conv-BN around which the input is carried unchanged, then a ReLU.

    Args:
        in_channels: Channels in.
        out_channels: Channels out, at least `in_channels`.
        stride: Of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.first = ConvBNReLU(in_channels, out_channels, stride, shortcut=True)
        self.second = ConvBNReLU(out_channels, out_channels, relu=False, shortcut=True)
        self.stride = stride
        self.new_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, C, H, W)` to `(B, out_channels, H / stride, W / stride)`."""
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.new_channels:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, 0, self.new_channels))
        return F.relu(self.second(self.first(x)) + shortcut)


def _stage_shapes(depth: int, widths: Sequence[int]) -> list[tuple[int, int, int]]:
    """`(in_channels, out_channels, stride)` of the 6n layers after the first."""
    check_depth(depth)
    if len(widths) != NUM_STAGES or any(width < 1 for width in widths):
        raise ValueError(
            f"`widths` must be {NUM_STAGES} positive numbers of filters, "
            f"but got {list(widths)}. The default is [16, 32, 64]."
        )
    layers_per_stage = (depth - 2) // NUM_STAGES
    shapes, channels = [], widths[0]
    for stage, width in enumerate(widths):
        for position in range(layers_per_stage):
            stride = 2 if stage > 0 and position == 0 else 1
            shapes.append((channels, width, stride))
            channels = width
    return shapes
