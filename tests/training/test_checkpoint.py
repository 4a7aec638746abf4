import pickle

import pytest
import torch

from orthotune.errors import CheckpointError
from orthotune.training.checkpoint import FORMAT, load_checkpoint, save_checkpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trial.pt"


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "config": {"model.depth": 8, "model.widths": [16, 32, 64], "data.root": "a"},
        "epoch": 3,
        "diverged": False,
        "model": {"w": torch.randn(4, 3, 3, 3, generator=generator)},
        "optimizer": {"state": {0: {"momentum_buffer": None}}, "param_groups": [1e-3]},
        "streams": {"order": generator.get_state()},
    }


def assert_equal(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_equal(ours[key], theirs[key])
    elif isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        assert torch.equal(ours, theirs)
    else:
        assert ours == theirs


def test_a_state_comes_back_as_it_was(path):
    save_checkpoint(path, state())
    loaded = load_checkpoint(path)
    assert loaded.pop("format") == FORMAT
    assert_equal(loaded, state())


def test_a_file_can_be_read_by_torch_without_running_code(path):
    save_checkpoint(path, state())
    loaded = torch.load(path, weights_only=True)
    assert torch.equal(loaded["model"]["w"], state()["model"]["w"])


def test_channels_last_weights_stay_channels_last(path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    save_checkpoint(path, {"w": weight})
    loaded = load_checkpoint(path)["w"]
    assert loaded.stride() == weight.stride()
    assert torch.equal(loaded, weight)


def test_saving_again_replaces_the_file_and_leaves_nothing_else(path):
    save_checkpoint(path, {"epoch": 1})
    save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path)["epoch"] == 2
    assert list(path.parent.iterdir()) == [path]


class Unpicklable:
    def __reduce__(self):
        raise OSError("disk full")


@pytest.mark.parametrize("failing", ["while writing", "before it is on the disk"])
def test_a_failing_write_leaves_the_old_file_whole(path, monkeypatch, failing):
    save_checkpoint(path, {"epoch": 1})
    before = path.read_bytes()
    broken = {"epoch": 2, "big": torch.zeros(10_000)}
    if failing == "while writing":
        broken["then"] = Unpicklable()
    else:

        def fsync(_descriptor):
            raise OSError("disk full")

        monkeypatch.setattr("os.fsync", fsync)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, broken)
    assert path.read_bytes() == before
    assert load_checkpoint(path)["epoch"] == 1
    monkeypatch.undo()
    save_checkpoint(path, {"epoch": 3})  # what was left over is in nobody's way
    assert load_checkpoint(path)["epoch"] == 3


def test_a_first_write_that_fails_leaves_no_checkpoint(path):
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(path, {"then": Unpicklable()})
    assert not path.exists()


class Malicious:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return type(self.victim).touch, (self.victim,)


def test_a_file_that_would_run_code_is_refused_unrun(path, tmp_path):
    victim = tmp_path / "pwned"
    torch.save({"format": FORMAT, "epoch": Malicious(victim)}, path)
    with pytest.raises(
        CheckpointError, match=r"trial\.pt must be a checkpoint of tensors"
    ):
        load_checkpoint(path)
    assert not victim.exists()
    torch.load(path, weights_only=False)
    assert victim.exists()  # the file was no harmless one


def test_a_bare_malicious_pickle_is_refused_unrun(path, tmp_path):
    victim = tmp_path / "pwned"
    path.write_bytes(pickle.dumps(Malicious(victim), protocol=2))
    with pytest.raises(
        CheckpointError, match="must be a checkpoint of tensors and plain"
    ):
        load_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize("left", [0, 1, 3, 10, 100, 1000, 0.5, 0.9, -1])
def test_a_truncated_file_is_refused(path, left):
    save_checkpoint(path, state())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(left * len(whole)) if 0 < left < 1 else left])
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path} must be a ")
    assert message.endswith(". Delete it to train from the start, or use another one.")
    assert "\n" not in message


def test_a_missing_file_is_refused(path):
    with pytest.raises(
        CheckpointError, match=r"trial\.pt must be .* but: .*No such fil"
    ):
        load_checkpoint(path)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"must be a readable .* Is a directory"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"format": FORMAT + 1, "epoch": 1},
        {"format": str(FORMAT)},
        {"epoch": 1},
        {},
        [FORMAT],
        torch.zeros(2),
    ],
)
def test_another_format_is_refused(path, content):
    torch.save(content, path)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert str(caught.value) == (
        f"{path} must be an orthotune checkpoint of format {FORMAT}, but is not. "
        "It was written by something else or by another version."
    )


@pytest.mark.parametrize("content", [b"hello\nworld\n", b"PK\x03\x04", b"\x80\x04."])
def test_a_file_that_is_something_else_is_refused(content, tmp_path):
    path = tmp_path / "trial.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="something else or is damaged"):
        load_checkpoint(path)


def test_a_changed_byte_in_a_tensor_is_noticed(path):
    save_checkpoint(path, {"weight": torch.zeros(4096)})
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(path)
