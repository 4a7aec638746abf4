"""Chains of any network: modulated after backward, and in it as the paper does.

In-backward scaling lives only here and in test_modulation.py: hooks multiply the errors
themselves, whatever the network is made of.
"""

import re

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn
from torch.nn.utils import parametrizations

from orthotune.nn.chain import chain_of, chains_within
from orthotune.nn.modulation import attach
from orthotune.nn.networks import PlainCNN, ResidualCNN

THRESHOLD, STRENGTH = 0.05, 0.9


class InBackward:
    """Scale the errors of one chain on their way down.

    Args:
        layers: The chain, from input to output.
        restricted: Divide what leaves its first layer by all the factors again.
    """

    def __init__(self, layers, restricted=False):
        self.moment_above = None
        self.product = 1.0
        for layer in layers:
            layer.register_forward_hook(self.on_output)
        if restricted:
            layers[0].register_forward_pre_hook(self.on_input)

    def on_output(self, _module, _inputs, output):
        output.register_hook(self.scaled)

    def scaled(self, error):
        moment = error.square().mean()
        factor = torch.ones_like(moment)
        if self.moment_above is not None:
            ratio = self.moment_above / moment
            if ratio.log().abs() > THRESHOLD:
                factor = ratio ** (STRENGTH / 2)
        self.moment_above = moment * factor**2
        self.product = self.product * factor
        return error * factor

    def on_input(self, _module, inputs):
        private = inputs[0].clone()  # a shortcut has the other
        if private.requires_grad:
            private.register_hook(lambda error: error / self.product)
        return (private, *inputs[1:])


class OwnNames(nn.Module):
    """Convolution, batch norm, ReLU, of a stranger: in a function, out of order."""

    def __init__(self):
        super().__init__()
        self.squash3 = nn.BatchNorm2d(8)
        self.filter3 = nn.Conv2d(6, 8, 3)
        self.filter1 = nn.Conv2d(1, 4, 3, bias=False)
        self.squash1 = nn.BatchNorm2d(4)
        self.filter2 = nn.Conv2d(4, 6, 3)
        self.squash2 = nn.BatchNorm2d(6)
        self.decide = nn.Linear(8, 10)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        x = self.pool(F.relu(self.squash1(self.filter1(x)), inplace=True))
        x = F.relu(self.squash2(self.filter2(x)))
        x = F.dropout(F.relu_(self.squash3(self.filter3(x))), 0.0)
        return self.decide(F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1))


class WithoutNorm(nn.Module):
    """Biases, a learned scale, PReLU, a swish by hand; ReLU in place on a layer."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.PReLU()
        )
        self.scale = nn.Parameter(torch.full((4, 1, 1), 1.5))
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.first, self.second = nn.Linear(3 * 144, 12), nn.Linear(12, 9)
        self.head = nn.Linear(9, 5)

    def forward(self, x):
        x = self.up(self.body(x) * self.scale)
        x = self.first(x.reshape(x.shape[0], -1))
        x = x * torch.sigmoid(x)
        x = self.second(x)
        return self.head(x / x.pow(2).mean(-1, keepdim=True).sqrt())


class Sequence(nn.Module):
    """Tokens: an embedding, 1d convolutions, group norm, a recurrent layer between."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.conv1, self.norm1 = nn.Conv1d(6, 8, 3), nn.GroupNorm(2, 8)
        self.conv2, self.norm2 = nn.Conv1d(8, 8, 3, groups=2), nn.GroupNorm(4, 8)
        self.recurrent = nn.LSTM(8, 5, batch_first=True)
        self.attention = nn.MultiheadAttention(5, 1, batch_first=True)
        self.out = nn.Linear(5, 6)
        self.norm3 = nn.LayerNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, tokens, mask=None):
        x = self.embed(tokens).transpose(1, 2)
        x = torch.tanh(self.norm1(self.conv1(x)))
        x = self.norm2(self.conv2(x)).relu().transpose(1, 2)
        x, _ = self.recurrent(x)
        x, _ = self.attention(x, x, x)
        if mask is not None:
            x = x * mask
        return self.head(self.norm3(self.out(x)).mean(1))


class Branching(nn.Module):
    """Code that branches on sizes and values, so that it can only be watched."""

    def __init__(self):
        super().__init__()
        self.front = nn.BatchNorm2d(1)
        self.a = parametrizations.weight_norm(nn.Conv2d(1, 4, 3))
        self.b = nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        assert x.shape[1] == 1
        x = F.elu(self.a(self.front(x)))
        if x.mean() > -10:
            x = x + 1
        return self.head(self.b(x).mean((2, 3)).view(len(x), -1))


def mlp():
    return nn.Sequential(
        nn.LayerNorm(6),
        *(nn.Linear(6, 12), nn.LayerNorm(12), nn.GELU(), nn.Dropout(0.0)),
        *(parametrizations.weight_norm(nn.Linear(12, 12)), nn.Tanh()),
        *(nn.Linear(12, 12), nn.BatchNorm1d(12), nn.ReLU(inplace=True)),
        nn.Linear(12, 5),
    )


def volumes():
    return nn.Sequential(
        *(nn.Conv3d(1, 4, 2), nn.InstanceNorm3d(4, affine=True), nn.ReLU()),
        *(nn.Conv3d(4, 6, 2), nn.Softplus(), nn.AvgPool3d(2)),
        *(nn.Conv3d(6, 5, 1), nn.AdaptiveAvgPool3d(1), nn.Flatten()),
    )


def vgg_features():
    """The part of torchvision's VGG-16-BN that convolves, with an eighth of filters."""
    vgg = torchvision.models.vgg
    widths = [each if each == "M" else each // 8 for each in vgg.cfgs["D"]]
    return nn.Sequential(vgg.make_layers(widths, batch_norm=True), nn.Flatten())


def images(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


NETWORKS = {
    "VGG-16-BN": (vgg_features, lambda: images(2, 3, 32, 32), 13),
    "own names": (OwnNames, lambda: images(4, 1, 14, 14), 3),
    "MLP": (mlp, lambda: images(8, 6), 3),
    "no normalization": (WithoutNorm, lambda: images(4, 1, 10, 10), 5),
    "1d": (Sequence, lambda: torch.arange(24).view(2, 12) % 7, 3),
    "3d": (volumes, lambda: images(3, 1, 6, 6, 6), 3),
    "branches on values": (Branching, lambda: images(4, 1, 8, 8), 2),
}


def gradients(net, x):
    """Of every parameter; those that get none are left out."""
    net.zero_grad()
    logits = net(x)
    F.cross_entropy(logits, torch.arange(len(x)) % logits.shape[1]).backward()
    return {n: p.grad for n, p in net.named_parameters() if p.grad is not None}


def assert_close(ours, expected):
    assert ours.keys() == expected.keys()
    for name, gradient in ours.items():
        error = (gradient - expected[name]).norm() / (expected[name].norm() + 1e-300)
        # what a batch norm behind them takes out leaves rounding alone
        assert error.item() <= 1e-9 or expected[name].norm() < 1e-12, name


def compare(net, x, layers, restricted=False, **options):
    """Modulate after backward and in it; how many parameters differ from plain ones."""
    plain = gradients(net, x)
    handle = attach(net, **options)
    ours = gradients(net, x)
    handle.scale_gradients(THRESHOLD, STRENGTH)
    handle.remove()
    assert [[net.get_submodule(n) for n in names] for names in handle.chains] == layers
    for chain in layers:
        InBackward(chain, restricted)
    assert_close(ours, gradients(net, x))
    return [name for name in plain if not torch.equal(plain[name], ours[name])]


def parametric(net):
    """The convolutions and linear layers in the order they run, but a linear head."""
    kinds = nn.modules.conv._ConvNd, nn.Linear
    order = {
        OwnNames: lambda: [net.filter1, net.filter2, net.filter3],
        Sequence: lambda: [net.conv1, net.conv2, net.out],
    }
    if type(net) in order:
        return order[type(net)]()
    layers = [module for module in net.modules() if isinstance(module, kinds)]
    return layers[:-1] if isinstance(layers[-1], nn.Linear) else layers


@pytest.mark.parametrize("name", NETWORKS)
def test_modulation_after_backward_is_that_in_backward(name, double):
    torch.manual_seed(0)
    make, example, num_layers = NETWORKS[name]
    net, x = make(), example()
    layers = parametric(net)
    assert len(layers) == num_layers
    options = {"example": x} if name == "branches on values" else {}
    changed = compare(net, x, [layers], **options)
    assert len(changed) >= 2 * (num_layers - 1) - (num_layers == 2)  # not vacuous


@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - {"branches on values"}))
def test_code_and_one_forward_show_the_same_chain(name):
    make, example, _ = NETWORKS[name]
    net = make()
    traced, watched = chain_of(net), chain_of(net, example())
    assert traced.layers == watched.layers
    positions = [{id(p): k for p, k in chain.scaled} for chain in (traced, watched)]
    assert positions[0] == positions[1]


class Block(nn.Module):
    """x + conv-bn-prelu-conv-bn, behind a norm of its own."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.one, self.bn = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.act = nn.PReLU()
        self.two = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.last = nn.BatchNorm2d(width)

    def forward(self, x):
        inner = self.act(self.bn(self.one(self.norm(x))))
        return F.relu(x + self.last(self.two(inner)))


def residual():
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3)),
        *(Block(4), Block(4)),
        *(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 1)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)),
    )


@pytest.mark.parametrize("watched", [False, True])
def test_with_branches_each_chain_is_modulated_within_itself(watched, double):
    torch.manual_seed(0)
    net, x = residual(), images(4, 1, 10, 10)
    layers = [
        [net[0], net[2]],
        [net[3].one, net[3].two],
        [net[4].one, net[4].two],
        [net[5], net[7]],
    ]
    options = {"example": x} if watched else {}
    changed = compare(net, x, layers, True, allow_branches=True, **options)
    inside = ["one.weight", "one.bias", "bn.weight", "bn.bias", "act.weight"]
    # Of the factor 1 that the upper layer of two has, nothing changes: 0, 3.one, ...
    expected = {"0.weight", "0.bias", "5.weight", "5.bias"}
    expected |= {f"{block}.{name}" for block in (3, 4) for name in inside[:2]}
    assert set(changed) == expected


def test_a_chain_of_three_in_a_branch_scales_what_lies_between(double):
    torch.manual_seed(0)

    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.split = nn.Linear(6, 8), nn.LayerNorm(8)
            self.a, self.b, self.c = (nn.Linear(8, 8) for _ in range(3))
            self.norms = nn.ModuleList([nn.LayerNorm(8), nn.LayerNorm(8)])
            self.head = nn.Linear(8, 5)

        def forward(self, x):
            x = self.split(self.stem(x))
            inner = self.b(torch.tanh(self.norms[0](self.a(x))))
            return self.head(x + self.c(torch.tanh(self.norms[1](inner))))

    net = Deep()
    changed = compare(
        net, images(8, 6), [[net.a, net.b, net.c]], True, allow_branches=True
    )
    names = "a.weight a.bias norms.0.weight norms.0.bias b.weight b.bias"
    assert changed == sorted(
        names.split(), key=list(dict(net.named_parameters())).index
    )


def test_a_chain_is_the_same_with_branches_allowed():
    net = PlainCNN(depth=8, in_channels=1)
    (one,) = chains_within(net)
    assert one == chain_of(net)
    assert list(one.layers) == [f"layers.{k}.conv" for k in range(7)]


def test_the_classifier_on_top_has_no_part():
    """As in a trial: `attach(net)` is `attach(net.layers)`, of whatever network."""
    net = PlainCNN(depth=8, in_channels=1)
    whole, part = chain_of(net), chain_of(net.layers)
    assert list(whole.layers.values()) == list(part.layers.values())
    assert [(id(p), k) for p, k in whole.scaled] == [(id(p), k) for p, k in part.scaled]
    with torch.device("meta"):
        vgg = torchvision.models.vgg16_bn()
    names = list(chain_of(vgg).layers)
    assert names[:2] == ["features.0", "features.3"]
    assert names[-3:] == ["features.40", "classifier.0", "classifier.3"]
    assert len(names) == 15
    assert len(chain_of(vgg.features).layers) == 13


def test_all_layers_of_a_list_take_part():
    net = mlp()
    assert list(chain_of(list(net)).layers) == ["1", "5", "7", "10"]
    assert list(chain_of(nn.ModuleList(net)).layers) == ["1", "5", "7", "10"]


def test_a_shortcut_from_the_input_alone_is_none():
    """As in a network that learns the noise of its input: no error passes it."""

    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
            self.last = nn.Conv2d(4, 1, 3, padding=1)

        def forward(self, x):
            return x - self.last(self.body(x))

    assert list(chain_of(Denoiser()).layers) == ["body.0", "last"]


# What is refused


class Built(nn.Module):
    """Modules by name, and a function of them."""

    def __init__(self, forward, **modules):
        super().__init__()
        self.function = forward
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def linears(*names):
    return {name: nn.Linear(4, 4) for name in names}


def test_paths_that_meet_are_refused_with_the_place_and_the_layers():
    meets = r"in `add` of `3` the paths from `2` and `3.two` meet: .* Allow branches"
    with pytest.raises(ValueError, match=meets):
        attach(residual())
    with pytest.raises(ValueError, match=r"in `AddBackward0` the paths from `2` and"):
        attach(residual(), images(2, 1, 10, 10))
    with pytest.raises(
        ValueError, match=r"in `add` of `blocks.0` the paths from `stem"
    ):
        attach(ResidualCNN(8, in_channels=1))


def test_a_list_of_layers_around_which_a_shortcut_leads_is_refused_in_any_case():
    net = ResidualCNN(8, in_channels=1)
    for allowed in (False, True):
        with pytest.raises(ValueError, match=r"layer 1 \(ConvBNReLU\) has one"):
            attach(net.layers, allow_branches=allowed)
    block = residual()[3]
    block.shortcut = nn.Sequential()  # as many call what the trace shows
    net = nn.Sequential(nn.Conv2d(1, 4, 3), block, nn.Conv2d(4, 4, 1))
    assert attach(net, allow_branches=True).chains == (("1.one", "1.two"),)


def test_two_outputs_are_no_chain():
    def forward(n, x):
        x = n.a(x)
        return {"left": n.left(x), "right": n.right(x)}

    net = Built(forward, **linears("a", "left", "right"))
    with pytest.raises(ValueError, match="in the output the paths from `left` and"):
        attach(net)


@pytest.mark.parametrize("watched", [False, True])
def test_a_layer_that_runs_twice_is_refused_by_name(watched):
    net = Built(lambda n, x: n.c(n.b(n.b(n.a(x)))), **linears("a", "b", "c"))
    example = images(2, 4) if watched else None
    with pytest.raises(ValueError, match="but the layer `b` runs more than once"):
        attach(net, example)
    with pytest.raises(ValueError, match="two layers that follow each other"):
        attach(net, example, allow_branches=True)


@pytest.mark.parametrize("watched", [False, True])
def test_a_shared_parameter_is_refused_by_name(watched):
    example = images(2, 4) if watched else None
    tied = Built(lambda n, x: n.c(n.b(n.a(x))), **linears("a", "b", "c"))
    tied.b.weight = tied.a.weight
    shared = "parameter `a.weight` from both `a` and `b`"
    with pytest.raises(ValueError, match=shared):
        attach(tied, example)
    act = Built(lambda n, x: n.c(n.act(n.b(n.act(n.a(x))))), act=nn.PReLU())
    for name, layer in linears("a", "b", "c").items():
        setattr(act, name, layer)
    with pytest.raises(
        ValueError, match=r"parameter `act.weight` from both `b` and `c"
    ):
        attach(act, example)


def test_with_branches_what_is_shared_ends_a_chain(double):
    """The last layer of a chain has factor 1, so a shared weight may be its."""
    torch.manual_seed(0)
    names = ("a", "b", "c", "d", "e", "head")
    net = Built(lambda n, x: x, **linears(*names))
    net.d.weight = net.b.weight
    net.function = lambda n, x: n.head(
        torch.tanh(n.e(n.d(torch.tanh(n.c(torch.tanh(n.b(torch.tanh(n.a(x)))))))))
    )
    layers = [[net.a, net.b], [net.c, net.d]]
    changed = compare(net, images(8, 4), layers, True, allow_branches=True)
    assert changed == ["a.weight", "a.bias", "c.weight", "c.bias"]


def test_a_norm_in_front_of_a_split_is_refused_by_name():
    net = Built(lambda n, x: x, norm=nn.LayerNorm(4), **linears("a", "b"))

    def forward(n, x):
        x = n.norm(x)
        return n.b(x + n.a(x)).relu()

    net.function = forward
    with pytest.raises(ValueError, match=r"`net.norm.weight` from both `net.a` and"):
        attach(Built(lambda n, x: n.net(x).sum(1), net=net))


def test_code_that_cannot_be_traced_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"Branching is not \(TraceError: .* list of"):
        attach(Branching())
    net = Branching()
    handle = attach([net.a, net.b])
    assert handle.chains == (("0", "1"),)


def test_what_holds_no_layers_is_refused():
    with pytest.raises(ValueError, match=r"but Sequential has none\. Use no"):
        attach(nn.Sequential(nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match="but layer 1 is a builtin_function_or_method"):
        attach([nn.Linear(4, 4), torch.relu])
    with pytest.raises(ValueError, match=re.escape("gives none on `example`")):
        attach(nn.Linear(4, 4).requires_grad_(False), images(2, 4))


def test_every_refusal_is_short_however_long_the_names():
    block = residual()
    for _ in range(40):
        block = nn.Sequential(block)
    with pytest.raises(ValueError, match="meet: what arrives there") as caught:
        attach(block)
    assert len(str(caught.value)) <= 400


def test_finding_the_chain_leaves_no_trace():
    torch.manual_seed(0)
    net, x = OwnNames(), images(2, 1, 14, 14)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state, attributes = torch.get_rng_state(), set(vars(net))
    chain_of(net)
    chain_of(net, x)
    assert torch.equal(torch.get_rng_state(), state)
    assert set(vars(net)) == attributes
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name]), name
