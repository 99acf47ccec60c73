from pathlib import Path

import pytest
import torch
from torch import nn
from toy_run import Points, ToyModel, run_config

from kinema.errors import ConfigError, KinemaError
from kinema.models import ResNet
from kinema.recipes import dry_run as module
from kinema.recipes.dry_run import dry_run, epoch_length, memory_of


@pytest.fixture(autouse=True)
def _slow_steps_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that a busy machine makes slow."""
    monkeypatch.setattr(module, "MOST_SECONDS", float("inf"))


@pytest.mark.parametrize(
    ("samples", "batch_size", "world_size", "accumulate", "drop_last", "expected"),
    [
        (24, 6, 1, 1, False, (4, 4)),
        (24, 6, 2, 1, False, (2, 2)),
        (25, 6, 2, 1, False, (3, 3)),  # 13 a process
        (25, 6, 2, 1, True, (2, 2)),
        (24, 3, 2, 3, False, (4, 2)),  # a window of 3 batches, and one of 1
        (1, 8, 4, 2, False, (1, 1)),
    ],
)
def test_the_length_of_an_epoch(samples, batch_size, world_size, accumulate, drop_last, expected) -> None:
    assert epoch_length(samples, batch_size, world_size, accumulate, drop_last=drop_last) == expected


def test_the_memory_of_each_strategy() -> None:
    block = nn.Sequential(nn.Linear(600, 600, bias=False))
    model = nn.Sequential(nn.Sequential(block), nn.Linear(10, 1000, bias=False), nn.BatchNorm1d(1000, affine=False))
    model[1].requires_grad_(False)
    size, frozen, buffers = 4 * 360_000, 4 * 10_000, 2 * 4 * 1000 + 8
    optimizer = torch.optim.Adam(parameter for parameter in model.parameters() if parameter.requires_grad)
    model[0](torch.randn(1, 600)).sum().backward()
    optimizer.step()
    single = memory_of(model, [optimizer], "single", 1, activations=7)
    assert single.parameters == size + frozen + buffers
    assert (single.gradients, single.optimizer, single.units, single.activations) == (size, 2 * size, 0, 7)
    assert single.total == 4 * size + frozen + buffers + 7
    ddp = memory_of(model, [optimizer], "ddp", 4, averages=True)
    assert (ddp.gradients, ddp.optimizer) == (2 * size, 2 * size + size + frozen)
    sharded = memory_of(model, [optimizer], "fsdp2", 4)
    assert (sharded.parameters, sharded.gradients) == ((size + frozen) // 4 + buffers, size // 4)
    assert (sharded.optimizer, sharded.units) == (2 * size // 4, 2 * (size + frozen))


def test_a_dry_run_builds_everything_and_writes_nothing(tmp_path: Path) -> None:
    work_dir = tmp_path / "work"
    run = dry_run(run_config(work_dir, epochs=3), world_size=2)
    assert not work_dir.exists()
    assert (run.model, run.strategy, run.samples, run.batch_size) == ("ToyModel", "ddp", 24, 6)
    assert (run.batches_per_epoch, run.steps_per_epoch, run.steps, run.samples_per_step) == (2, 2, 6, 12)
    assert run.parameters == run.trainable == sum(parameter.numel() for parameter in ToyModel().parameters())
    assert run.measured_samples == 6
    assert run.loss > 0
    assert run.memory.optimizer == 4 * run.parameters  # momentum
    # Each layer keeps its input or its output: 6 samples of 8 float32 of the inner layers at least.
    assert 6 * 8 * 4 * 3 < run.memory.activations < 6 * 8 * 4 * 20


def test_steps_and_iterations_limit_a_run(tmp_path: Path) -> None:
    wrapper = dict(optimizer=dict(type="SGD", lr=0.1), accumulative_counts=3)
    run = dry_run(run_config(tmp_path, optim_wrapper=wrapper, train_cfg=dict(by_epoch=False, max_iters=10)))
    assert (run.steps, run.samples_per_step, run.steps_per_epoch) == (4, 18, 2)


def test_a_long_step_is_computed_from_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dry_run(run_config(tmp_path))
    monkeypatch.setattr(module, "MOST_SECONDS", 0.0)
    part = dry_run(run_config(tmp_path))
    assert (whole.measured_samples, part.measured_samples) == (6, 2)
    assert part.memory.activations == pytest.approx(whole.memory.activations, rel=0.5)
    assert part.memory.total - part.memory.activations == whole.memory.total - whole.memory.activations


def test_a_batch_of_more_clips_than_there_are_is_that_of_all(tmp_path: Path) -> None:
    config = run_config(tmp_path)
    config["train_dataloader"] = {**config["train_dataloader"], "batch_size": 1000}
    run = dry_run(config)
    assert run.measured_samples == run.samples < run.batch_size == 1000


class Started(ToyModel):
    """A model whose part starts from weights over images, and which starts from others itself."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = ResNet(18, pretrained="mmcls://mobilenet_v2")
        self.init_cfg = [dict(type="Pretrained", checkpoint="torchvision://resnet18")]


def test_a_dry_run_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    run = dry_run(run_config(tmp_path, model=dict(type=Started)))
    assert sorted(run.to_download) == ["mmcls://mobilenet_v2", "torchvision://resnet18"]
    run = dry_run(run_config(tmp_path, model=dict(type=Started), load_from="https://someone:secret@x.org/a.pth"))
    assert run.to_download == ("https://x.org/a.pth",)
    assert not (tmp_path / "empty").exists()
    with pytest.raises(KinemaError, match="no network of that name is known"):
        dry_run(run_config(tmp_path, load_from="mmcls://mobilnet"))


def test_what_a_run_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="strategy='single' trains in one process, but there are 2"):
        dry_run(run_config(tmp_path, strategy="single"), world_size=2)
    with pytest.raises(ConfigError, match="a dry run needs train_dataloader, train_cfg and optim_wrapper"):
        dry_run(run_config(tmp_path, optim_wrapper=None))
    with pytest.raises(ConfigError, match="did you mean max_epochs"):
        dry_run(run_config(tmp_path, train_cfg=dict(max_epochs=1, max_epoch=1)))
    with pytest.raises(KinemaError, match="no_such_file"):
        dry_run(run_config(tmp_path, load_from=str(tmp_path / "no_such_file.pth")))
    with pytest.raises(KinemaError, match="AdamWW"):
        dry_run(run_config(tmp_path, optim_wrapper=dict(optimizer=dict(type="AdamWW", lr=1))))
    loader = torch.utils.data.DataLoader(Points(pipeline=[]), batch_size=None)
    with pytest.raises(ConfigError, match="a dry run needs train_dataloader.batch_size"):
        dry_run(run_config(tmp_path, train_dataloader=loader))
