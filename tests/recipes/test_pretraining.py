"""From videos without labels to weights that a training starts from."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from command_line import kinema
from kinema.checkpoints import read_checkpoint
from kinema.datasets.synthetic import make_motion_dataset
from kinema.errors import CheckpointError, ConfigError
from kinema.models.pretraining import MaskedAutoencoder
from kinema.recipes.pretraining import pretraining, pretraining_model
from kinema.recipes.reporting.pretraining import report_pretraining
from kinema.registry import MODELS


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    make_motion_dataset(root, num_train=16, num_val=8, num_frames=12, size=(64, 48))
    return root


# ---- the config


def test_the_config_has_the_numbers_of_the_authors(clips: Path) -> None:
    config = pretraining(clips, epochs=100, batch_size=8, work_dir="work/x")
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.weight_decay, list(optimizer.betas)) == ("AdamW", 0.05, [0.9, 0.95])
    assert optimizer.lr == pytest.approx(1.5e-4 * 2048 / 256 * math.sqrt(8 / 2048))
    assert [(part.type, part.begin, part.end) for part in config.param_scheduler] == [
        ("LinearLR", 0, 5),
        ("CosineAnnealingLR", 5, 100),
    ]
    assert config.model.mask_ratio == 0.9
    assert "decoder_mask_ratio" not in config.model


def test_a_tenth_of_many_videos_is_held_out_and_none_of_few(clips: Path) -> None:
    config = pretraining(clips)
    assert [config[f"{side}_dataloader"].dataset.part for side in ("train", "val")] == ["train", "val"]
    assert config.default_hooks.checkpoint.save_best == "reconstruction/error"
    few = pretraining(clips / "val")
    assert few.train_dataloader.dataset.part is None
    assert "val_dataloader" not in few


def test_frames_of_short_videos_stand_closer_together(clips: Path) -> None:
    steps = pretraining(clips).train_dataloader.dataset.pipeline
    assert steps[1].frame_interval == 1, "12 frames hold 8 of them at a distance of 1"
    assert "MultiScaleCrop" in [step.type for step in steps]


def test_paths_are_dropped_in_the_training_with_labels_only() -> None:
    backbone = pretraining_model("videomae_vit_small")["backbone"]
    assert (backbone["drop_path_rate"], backbone["use_mean_pooling"]) == (0.0, False)


def test_another_network_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"compact3d: .*this is a CompactNet3D: choose one of .*videomae_vit_tiny"):
        pretraining_model("compact3d")


# ---- the command


@pytest.mark.slow
def test_a_folder_of_videos_pretrains_resumes_and_starts_a_training(clips: Path, tmp_path: Path) -> None:
    work = tmp_path / "pretrained"
    options = ("--batch-size", 8, "--workers", 0, "--work-dir", work)
    first = kinema("pretrain", clips, "--epochs", 1, *options, "--json")
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert summary["pretraining"]["held_out"] == 2
    assert summary["best"]["metric"] == "reconstruction/error"
    assert {"loss", "reconstruction/error"} <= {
        key for line in (work / "metrics.jsonl").read_text().splitlines() for key in json.loads(line)
    }
    page = (work / "report.html").read_text()
    assert len(re.findall("data:image/jpeg", page)) == 6, "two videos: whole, what is seen, filled in"
    second = kinema("pretrain", clips, "--epochs", 2, *options, "--resume")
    assert second.returncode == 0, second.stderr
    assert f"kinema train CLIPS --model videomae_vit_tiny --pretrained {work}" in " ".join(second.stdout.split())

    trained = tmp_path / "trained"
    result = kinema(
        *("train", clips, "--model", "videomae_vit_tiny", "--pretrained", work, "--epochs", 1, "--workers", 0),
        *("--work-dir", trained, "--no-trial", "--set", "optim_wrapper.optimizer.lr=0.0"),
    )
    assert result.returncode == 0, result.stderr
    before, after = (read_checkpoint(folder).state for folder in (work, trained))
    shared = [name for name in after if name.startswith("backbone.") and "fc_norm" not in name]
    assert len(shared) > 60
    assert all(torch.equal(after[name], before[name]) for name in shared)

    used_as_a_recognizer = kinema("predict", work, clips / "val")
    assert used_as_a_recognizer.returncode == 1
    assert "pretrained without labels" in used_as_a_recognizer.stderr
    assert "kinema train CLIPS --pretrained" in used_as_a_recognizer.stderr


def test_the_page_is_of_a_pretraining_only(tmp_path: Path, small_run: Path) -> None:
    with pytest.raises(CheckpointError, match="is no work folder of a pretraining"):
        report_pretraining(tmp_path)
    with pytest.raises(CheckpointError, match="was trained with labels: `kinema report` describes it"):
        report_pretraining(small_run)


# ---- what it learns


def sliding_squares(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Squares that slide in four directions over a plain ground: (B, 3, 8, 32, 32) normalised, (B,) directions."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (count,), generator=generator)
    start, side = torch.rand(count, 2, generator=generator) * 32, 6 + torch.rand(count, generator=generator) * 6
    speed = 1.5 + 1.5 * torch.rand(count, 1, generator=generator)
    step = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[labels] * speed
    centre = start[:, None] + step[:, None] * torch.arange(8.0)[:, None]
    distance = (torch.arange(32.0) - centre[..., None] + 16) % 32 - 16
    inside = (distance.abs() < side[:, None, None, None] / 2).float()
    mask = (inside[:, :, 0, :, None] * inside[:, :, 1, None, :])[:, None]
    front, back = torch.rand(2, count, 3, 1, 1, 1, generator=generator) * 0.45
    front = 1 - front
    return (back + (front - back) * mask - 0.5) / 0.25, labels


def accuracy_of_probe(model: MaskedAutoencoder) -> float:
    """Of a linear layer on the frozen features, on clips that it was not trained on."""
    model.eval()
    sets = [sliding_squares(512, seed) for seed in (100, 101)]
    with torch.no_grad():
        features = [model(clips).mean(1) for clips, _ in sets]
    mean, std = features[0].mean(0), features[0].std(0) + 1e-6
    train, test = ((values - mean) / std for values in features)
    torch.manual_seed(0)
    probe = nn.Linear(train.shape[1], 4)
    optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-2, weight_decay=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(probe(train), sets[0][1]).backward()
        optimizer.step()
    return (probe(test).argmax(1) == sets[1][1]).float().mean().item()


@pytest.mark.slow
def test_the_loss_falls_and_the_features_transfer() -> None:
    torch.manual_seed(0)
    backbone = dict(
        type="VisionTransformer", img_size=32, patch_size=8, embed_dims=48, depth=3, num_heads=3, num_frames=8
    )
    decoder = dict(embed_dims=24, depth=2, num_heads=2)
    model = MODELS.build(dict(type="MaskedAutoencoder", backbone=backbone, decoder=decoder, mask_ratio=0.75))
    model.init_weights()
    start = accuracy_of_probe(model)
    clips, _ = sliding_squares(2048, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.95), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=250, pct_start=0.2)
    losses = []
    model.train()
    for _ in range(250):
        loss = model(clips[torch.randint(len(clips), (32,))], mode="loss")["loss_reconstruction"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert accuracy_of_probe(model) > start + 0.15, f"of a random start: {start:.2f}"
