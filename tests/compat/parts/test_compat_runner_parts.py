"""Small parts of `mmengine.runner`: checkpoint files, lines of the log, and what training code calls."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from kinema.compat.parts import checkpoint_files, checkpoints, training
from kinema.compat.parts.checkpoint_files import CheckpointLoader
from kinema.engine.log_processor import LogProcessor
from kinema.errors import ConfigError
from kinema.runs.message_hub import MessageHub


def test_a_file_is_given_back_as_it_is(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    torch.save(model.state_dict(), tmp_path / "bare.pth")
    torch.save({"model": model.state_dict(), "step": 3}, tmp_path / "keyed.pth")
    assert set(checkpoints.load_checkpoint(nn.Linear(2, 1), tmp_path / "bare.pth")) == {"weight", "bias"}
    keyed = checkpoint_files.read_checkpoint(tmp_path / "keyed.pth")
    assert (set(keyed), keyed["step"]) == ({"model", "step"}, 3)


def test_loaders_are_chosen_by_the_longest_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointLoader, "_schemes", dict(CheckpointLoader._schemes))

    @CheckpointLoader.register_scheme(prefixes=["ftp://", "http://own/"])
    def load(filename: str, map_location: Any) -> dict[str, str]:
        return {"filename": filename}

    assert CheckpointLoader.load_checkpoint("http://own/a.pth") == {"filename": "http://own/a.pth"}
    assert CheckpointLoader._get_checkpoint_loader("http://b.pth").__name__ == "load_from_http"
    assert CheckpointLoader._get_checkpoint_loader("a.pth").__name__ == "load_from_local"
    with pytest.raises(KeyError, match="ftp:// has a loader already, load: pass force=True"):
        CheckpointLoader.register_scheme("ftp://", load)
    CheckpointLoader.register_scheme("ftp://", load, force=True)


def test_weights_are_taken_out_of_wrappers_and_written(tmp_path: Path) -> None:
    model = nn.Sequential(nn.DataParallel(nn.BatchNorm1d(2)), nn.Linear(2, 1))
    state = checkpoint_files.get_state_dict(nn.DataParallel(model))
    assert list(state) == [
        "0.weight",
        "0.bias",
        "0.running_mean",
        "0.running_var",
        "0.num_batches_tracked",
        "1.weight",
        "1.bias",
    ]
    checkpoint_files.save_checkpoint({"state_dict": checkpoint_files.weights_to_cpu(state)}, tmp_path / "new" / "a.pth")
    assert set(torch.load(tmp_path / "new" / "a.pth", weights_only=True)["state_dict"]) == set(state)
    with pytest.raises(TypeError, match="checkpoint must be a dict, got Linear"):
        checkpoint_files.save_checkpoint(nn.Linear(1, 1), tmp_path / "b.pth")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="files are local, got .*petrel"):
        checkpoint_files.save_checkpoint({}, tmp_path / "b.pth", backend_args={"backend": "petrel"})


def test_autocast_and_recomputed_activations_leave_gradients() -> None:
    with training.autocast("cpu"):
        assert nn.Conv2d(1, 1, 1)(torch.rand(1, 1, 1, 1)).dtype == torch.bfloat16
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    batch = torch.rand(3, 2)
    model(batch).sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    training.turn_on_activation_checkpointing(model, ["0", "none"])
    model(batch).sum().backward()
    assert all(torch.equal(one, other.grad) for one, other in zip(before, model.parameters(), strict=True))


def test_an_endless_iterator_and_the_newest_checkpoint(tmp_path: Path) -> None:
    batches = training.InfiniteDataloaderIterator(DataLoader(range(3)))
    assert [int(next(batches)) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert training.calc_dynamic_intervals(3, [(8, 2)]) == ([0, 8], [3, 2])
    assert training.find_latest_checkpoint(tmp_path) is None
    (tmp_path / "last_checkpoint").write_text("epoch_3.pth")
    assert training.find_latest_checkpoint(tmp_path) == "epoch_3.pth"


def test_lines_of_the_log_are_openmmlabs() -> None:
    hub = MessageHub("lines")
    for step in range(4):
        for name, value in (("loss", step), ("time", 0.5), ("data_time", 0.1), ("lr", 0.01)):
            hub.update_scalar(f"train/{name}", float(value))
            hub.update_scalar(f"val/{name}", float(value))
    hub.update_info("eta", 61)
    loop = SimpleNamespace(dataloader=range(20))
    run = SimpleNamespace(message_hub=hub, epoch=1, iter=7, max_epochs=10, max_iters=200, model=None)
    run.train_loop = run._train_loop = run.val_loop = run.test_loop = loop
    entry = dict(data_src="loss", method_name="max", log_name="most", window_size="epoch")
    figures, line = LogProcessor(custom_cfg=[entry]).get_log_after_iter(run, 1, "train")
    assert line.startswith("Epoch(train)  [2][ 2/20]  lr: 1.0000e-02  eta: 0:01:01  time: 0.5000  data_time: 0.1000  ")
    assert line.endswith("loss: 1.5000  most: 3.0000")
    assert (figures["epoch"], figures["iter"], figures["most"]) == (2, 8, 3.0)
    assert LogProcessor(by_epoch=False).get_log_after_iter(run, 1, "train")[1].startswith("Iter(train) [  8/200]  ")
    named, line = LogProcessor(log_with_hierarchy=True).get_log_after_epoch(run, 1, "val")
    assert line.startswith("Epoch(val) [1][20/20]    val/loss: 1.5000  val/lr: 0.0100  val/time: 0.5000")
    assert named["val/data_time"] == pytest.approx(0.1)


def test_a_log_processor_refuses_what_has_no_meaning() -> None:
    entry = dict(data_src="loss", method_name="mean")
    with pytest.raises(ConfigError, match="window_size='epoch' needs by_epoch=True"):
        LogProcessor(by_epoch=False, custom_cfg=[{**entry, "window_size": "epoch"}])
    with pytest.raises(ConfigError, match="two statistics are named 'loss': give one a log_name"):
        LogProcessor(custom_cfg=[entry, entry])
    processor = LogProcessor()
    with pytest.raises(ConfigError, match="window_size must be a number, 'epoch' or 'global', got 'all'"):
        processor._parse_windows_size(None, 1, [{**entry, "window_size": "all"}])
    with pytest.raises(ValueError, match="mode must be 'val' or 'test', got 'train'"):
        processor.get_log_after_epoch(None, 1, "train")
    with pytest.raises(ValueError, match="only training and validation have epochs, got mode='test'"):
        processor._get_epoch(None, "test")
