"""Somebody's own network, penalty and optimizer: seeded, saved and continued."""

import pytest
import torch

from orthotune.config.trial import TrialConfig
from orthotune.errors import CheckpointError
from orthotune.training.checkpoint import dump_checkpoint, parse_checkpoint
from orthotune.training.loop import Trial
from tests.plugins import NET
from tests.small import TIMINGS

STATEFUL = '''
class Counting:
    """Half the squared norm, weighted by how often it was asked."""

    def __init__(self, model):
        self.weights, self.asked = list(model.parameters()), 0

    def add_gradients(self, coeff):
        self.asked += 1
        for weight in self.weights:
            weight.grad = weight.grad + coeff * self.asked * weight.detach()
        return sum(weight.detach().square().sum() for weight in self.weights)

    def state_dict(self):
        return {"asked": self.asked}

    def load_state_dict(self, state):
        self.asked = state["asked"]


@orthotune.regularizer("counting")
def counting(model):
    return Counting(model)


@dataclass
class Adagrad:
    eps: float = 1e-10


@orthotune.optimizer("adagrad")
def adagrad(settings: Adagrad, parameters, lr):
    import torch

    return torch.optim.Adagrad(parameters, lr=lr, eps=settings.eps)
'''
FIELDS = {
    "model.family": "my_net",
    "model.my_net.dropout": 0.5,
    "data.name": "synthetic",
    "data.batch_size": 8,
    "data.num_train": 32,
    "training.num_epochs": 3,
    "init.scheme": "as_built",
    "regularizer.kind": "counting",
    "optimizer.kind": "adagrad",
}


def numbers(trial):
    return {k: v for k, v in trial.run_epoch().items() if k not in TIMINGS}


def make(**fields):
    return Trial(TrialConfig.from_dict(FIELDS | fields))


@pytest.fixture
def own(plugin):
    plugin.load(NET + STATEFUL)
    return plugin


def test_dropout_and_weights_of_its_own_repeat_with_the_seed_alone(own):
    torch.manual_seed(1)
    first = make()
    before = first.model.state_dict()["0.weight"].clone()
    ours = [numbers(first) for _ in range(3)]
    torch.manual_seed(2)
    torch.rand(7)
    state = torch.random.get_rng_state()
    again = make()
    assert torch.equal(again.model.state_dict()["0.weight"], before)
    assert [numbers(again) for _ in range(3)] == ours
    assert torch.equal(torch.random.get_rng_state(), state)
    other = make(seed=1)
    assert not torch.equal(other.model.state_dict()["0.weight"], before)


def test_a_restored_trial_goes_on_to_the_bit_with_every_state(own):
    whole = make()
    expected = [numbers(whole) for _ in range(3)]
    first = make()
    numbers(first)
    state = parse_checkpoint(dump_checkpoint(first.state_dict()), "here")
    assert state["regularizer"] == {"asked": 4}
    second = make()
    second.load_state_dict(state)
    assert [numbers(second) for _ in range(2)] == expected[1:]


def test_a_checkpoint_of_another_source_is_refused(own):
    trial = make()
    state = trial.state_dict()
    own.load(NET + STATEFUL + "\n# changed\n")
    with pytest.raises(CheckpointError, match=r"`model\.family source` is "):
        make().load_state_dict(state)
