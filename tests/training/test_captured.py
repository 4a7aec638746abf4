"""Updates replayed as a CUDA graph; here a stand-in records and repeats them."""

import contextlib

import pytest
import torch

from orthotune.config.trial import TrialConfig
from orthotune.data.splits import Split
from orthotune.nn.networks import PlainCNN
from orthotune.training import captured
from orthotune.training.captured import WARM_UP, CapturedUpdate
from orthotune.training.loop import Trial
from orthotune.training.update import Update

UPDATES = 8


class Recorder:
    """Stands for `Update`, and for the graph that it is captured in."""

    def __init__(self, update, *, spoil=0.0, error=None):
        self._update = update
        self._spoil, self._error = spoil, error
        self.capturing, self.replays = False, 0

    def __getattr__(self, name):
        return getattr(self._update, name)

    def __call__(self, batch, settings, *, probe=False):
        if not self.capturing:
            return self._update(batch, settings, probe=probe)
        if self._error is not None:
            raise self._error
        self._read = batch, settings  # as a graph: the memory, not what is in it
        self._results = torch.zeros(()), None
        return self._results

    def replay(self):
        self.replays += 1
        loss, _ = self._update(*self._read)
        self._results[0].copy_(loss)
        with torch.no_grad():
            for parameter in self._parameters:
                parameter += self._spoil

    @contextlib.contextmanager
    def captures(self, _graph, stream):
        self.capturing = True
        try:
            yield
        finally:
            self.capturing = False


def updates(monkeypatch, fields=None, **recorder):
    """Losses and weights of some updates as they are and captured; the recorder."""
    fake = Recorder(None, **recorder)

    class Stream:
        def wait_stream(self, _other):
            pass

    cuda = captured.torch.cuda
    monkeypatch.setattr(cuda, "Stream", lambda _device: Stream())
    monkeypatch.setattr(cuda, "current_stream", lambda _device: Stream())
    monkeypatch.setattr(cuda, "stream", lambda _stream: contextlib.nullcontext())
    monkeypatch.setattr(cuda, "CUDAGraph", lambda: fake)
    monkeypatch.setattr(cuda, "graph", fake.captures)
    monkeypatch.setattr(cuda, "get_rng_state", lambda _device: torch.get_rng_state())

    def put(state, _device):
        torch.set_rng_state(state)

    monkeypatch.setattr(cuda, "set_rng_state", put)
    config = {"model.depth": 8, "modulation.enabled": True, **(fields or {})}
    results = []
    for kind in ("plain", "captured"):
        torch.manual_seed(0)
        model = PlainCNN(depth=8, in_channels=1)
        draws = torch.Generator().manual_seed(1)
        images = torch.randn(UPDATES, 16, 1, 8, 8, generator=draws)
        update = Update(TrialConfig.from_dict(config), model, images[0])
        step = update
        if kind == "captured":
            fake._update = update
            step = CapturedUpdate(fake)
        losses = []
        for index, row in enumerate(update.settings(0, UPDATES)):
            batch = Split(images=images[index], targets=torch.arange(16) % 10)
            loss, _ = step(batch, row, probe=index == UPDATES - 1)
            losses.append(loss.item())
        results.append((losses, update.weights()))
    return *results, fake


@pytest.mark.parametrize(
    "fields",
    [{}, {"modulation.enabled": False}, {"optimizer.kind": "adamw"}],
    ids=["modulated", "probed apart", "adamw"],
)
def test_replayed_updates_are_those_that_run_one_by_one(monkeypatch, fields, capsys):
    plain, replayed, fake = updates(monkeypatch, fields)
    assert plain[0] == replayed[0]
    assert torch.equal(plain[1], replayed[1])
    apart = "modulation.enabled" in fields  # its last update is another program
    assert fake.replays == 1 + UPDATES - WARM_UP - apart  # one of them to compare
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("recorder", "words"),
    [
        ({"spoil": 1e-3}, "of its change off"),
        ({"spoil": float("nan")}, "of its change off"),
        ({"error": RuntimeError("operation not permitted\nwhen")}, "not permitted."),
    ],
    ids=["wrong", "not finite", "refused"],
)
def test_what_cannot_be_replayed_runs_one_by_one(monkeypatch, recorder, words, capsys):
    plain, other, _ = updates(monkeypatch, **recorder)
    assert plain[0] == other[0]
    assert torch.equal(plain[1], other[1])
    said = capsys.readouterr().err
    assert said.startswith("orthotune: training.capture: updates run kernel by kernel")
    assert said.count("\n") == 1
    assert words in said


def test_no_memory_for_a_graph_is_no_memory(monkeypatch):
    with pytest.raises(torch.OutOfMemoryError):
        updates(monkeypatch, error=torch.OutOfMemoryError("CUDA out of memory."))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
def test_a_captured_trial_is_the_same_to_the_bit():
    ends = []
    for capture in ("auto", "never"):
        fields = {"model.depth": 20, "training.num_epochs": 2}
        fields |= {"training.capture": capture}
        trial = Trial(TrialConfig.from_dict(fields), "cuda")
        ends.append([trial.run_epoch()["val_loss"] for _ in range(2)])
    assert ends[0] == ends[1]
