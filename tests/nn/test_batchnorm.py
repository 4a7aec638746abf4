import pytest
import torch
from torch import nn

from orthotune.nn.batchnorm import recalibrate_batch_norm
from orthotune.nn.networks import PlainCNN


def test_after_recalibration_evaluation_equals_training_mode_on_that_batch(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=44, in_channels=1)
    images = torch.randn(512, 1, 8, 8)
    with torch.no_grad():
        in_training = net.train()(images)
        fresh = net.eval()(images)  # running averages after one momentum-0.1 update
        recalibrate_batch_norm(net, images)
        recalibrated = net.eval()(images)
    spread = (in_training - in_training.mean(0)).abs().max()
    # Not with torch's unbiased running variance, n / (n - 1) a layer.
    assert (recalibrated - in_training).abs().max() < 1e-9 * spread
    assert (fresh - in_training).abs().max() > 0.3 * spread


def test_statistics_are_those_of_the_batch_at_every_layer(double):
    torch.manual_seed(0)
    net = PlainCNN(depth=8, in_channels=1)
    inputs = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(
                lambda _m, args, name=name: inputs.update({name: args[0].clone()})
            )
    recalibrate_batch_norm(net, torch.randn(16, 1, 8, 8))
    assert len(inputs) == 7
    for name, seen in inputs.items():
        norm = net.get_submodule(name)
        torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)))
        torch.testing.assert_close(norm.running_var, seen.var((0, 2, 3), correction=0))


@pytest.mark.parametrize("training", [True, False])
def test_mode_momentum_and_parameters_are_left_as_they_were(training):
    net = PlainCNN(depth=8, in_channels=1).train(training)
    net.layers[2].bn.momentum = 0.25
    net.layers[3].eval()  # a frozen layer stays frozen
    modes = [module.training for module in net.modules()]
    before = [parameter.clone() for parameter in net.parameters()]
    recalibrate_batch_norm(net, torch.randn(4, 1, 8, 8))
    assert [module.training for module in net.modules()] == modes
    assert net.layers[2].bn.momentum == 0.25
    assert net.layers[1].bn.momentum == 0.1
    for parameter, old in zip(net.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None


def test_everything_is_put_back_when_the_forward_fails():
    net = PlainCNN(depth=8, in_channels=1).eval()
    with pytest.raises(RuntimeError):
        recalibrate_batch_norm(net, torch.randn(4, 3, 8, 8))
    assert not net.training
    assert net.layers[0].bn.momentum == 0.1


def test_a_network_without_running_statistics_is_left_as_it_is():
    frozen = nn.BatchNorm1d(3, track_running_stats=False)
    for net in (nn.Linear(3, 3), nn.Sequential(frozen), nn.InstanceNorm1d(3)):
        recalibrate_batch_norm(net, torch.randn(4, 3))
        assert net.training


def test_dropout_does_not_reach_the_statistics():
    """Of evaluation, in which nothing is dropped; nor does it take random numbers."""
    net = nn.Sequential(nn.Dropout(0.9), nn.BatchNorm1d(3))
    images, state = torch.randn(64, 3), torch.get_rng_state()
    recalibrate_batch_norm(net, images)
    torch.testing.assert_close(net[1].running_mean, images.mean(0))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in net.modules())
