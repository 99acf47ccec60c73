from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kinema.compat.parts.inference import inference_recognizer, init_recognizer
from kinema.config import Config
from kinema.errors import CheckpointError, ConfigError, VideoError
from kinema.models import RecognizerAudio, TSNAudioHead
from kinema.transforms import Compose
from kinema.video import VideoReader

PIPELINE = [
    {"type": "DecordInit"},
    {"type": "SampleFrames", "clip_len": 4, "frame_interval": 1, "num_clips": 2, "test_mode": True},
    {"type": "DecordDecode"},
    {"type": "Resize", "scale": (16, 16), "keep_ratio": False},
    {"type": "FormatShape", "input_format": "NCTHW"},
    {"type": "PackActionInputs"},
]
MODEL: dict[str, Any] = {
    "type": "Recognizer3D",
    "backbone": {"in_channels": 3, "out_channels": 4, "kernel_size": 1},
    "cls_head": {"type": "I3DHead", "num_classes": 3, "in_channels": 4, "average_clips": "prob"},
    "data_preprocessor": {"type": "ActionDataPreprocessor", "mean": [128.0], "std": [64.0], "format_shape": "NCTHW"},
}


@pytest.fixture
def config() -> Config:
    model = {**MODEL, "backbone": {**MODEL["backbone"], "type": nn.Conv3d}}
    return Config({"model": model, "test_dataloader": {"dataset": {"pipeline": PIPELINE}}})


@pytest.fixture
def checkpoint(config: Config, tmp_path: Path) -> Path:
    torch.save({"state_dict": init_recognizer(config, device="cpu").state_dict()}, tmp_path / "model.pth")
    return tmp_path / "model.pth"


def test_a_config_and_a_checkpoint_give_the_scores_of_a_video(
    config: Config, checkpoint: Path, make_video: Callable[..., Path]
) -> None:
    model = init_recognizer(config, str(checkpoint), device="cpu")
    again = init_recognizer(config, checkpoint, device="cpu")
    assert not model.training
    path = make_video(num_frames=12)
    sample = inference_recognizer(model, str(path))
    assert sample.pred_score.shape == (3,)
    assert float(sample.pred_score.sum()) == pytest.approx(1)
    assert int(sample.pred_label) == int(sample.pred_score.argmax())
    other = inference_recognizer(again, {"filename": str(path), "label": -1, "start_index": 0}, PIPELINE)
    assert torch.equal(sample.pred_score, other.pred_score)
    with VideoReader(path) as reader:
        frames = reader.get_batch(np.arange(12))
    assert torch.equal(inference_recognizer(model, frames).pred_score, sample.pred_score)
    with pytest.raises(TypeError, match="frames need test_pipeline as a list of configs, got a Compose"):
        inference_recognizer(model, frames, Compose(PIPELINE))


def test_pretrained_weights_are_not_fetched_for_a_model_that_is_loaded(config: Config) -> None:
    class Backbone(nn.Conv3d):
        def __init__(self, pretrained: str | None, **keywords: Any) -> None:
            super().__init__(**keywords)
            self.pretrained = pretrained

    config.model.backbone.type = Backbone
    config.model.backbone.pretrained = "https://host/weights.pth"
    assert init_recognizer(config, device="cpu").backbone.pretrained is None
    assert config.model.backbone.pretrained == "https://host/weights.pth"


def test_what_is_missing_or_broken_is_named(config: Config, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth"):
        init_recognizer(config, tmp_path / "none.pth", device="cpu")
    model = init_recognizer(Config({"model": config.model}), checkpoint, device="cpu")
    with pytest.raises(ConfigError, match=r"no test_pipeline and no test_dataloader\.dataset\.pipeline"):
        inference_recognizer(model, "a.mp4")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        inference_recognizer(model, str(tmp_path / "a.mp4"), PIPELINE)


def test_features_of_sound_are_classified(tmp_path: Path) -> None:
    file = tmp_path / "clip.npy"
    np.save(file, np.random.default_rng(0).normal(size=(128, 80)).astype(np.float32))
    pipeline = [
        {"type": "LoadAudioFeature"},
        {"type": "SampleFrames", "clip_len": 64, "num_clips": 1, "test_mode": True},
        {"type": "AudioFeatureSelector"},
        {"type": "FormatAudioShape", "input_format": "NCTF"},
        {"type": "PackActionInputs"},
    ]
    model = RecognizerAudio(
        {"type": "ResNet", "depth": 18, "in_channels": 1}, TSNAudioHead(3, 512, average_clips="prob")
    ).eval()
    prediction = inference_recognizer(model, str(file), pipeline)
    assert prediction.pred_score.shape == (3,)
    assert prediction.pred_score.sum() == pytest.approx(1)
    file.write_bytes(b"no array")
    with pytest.raises(VideoError, match=r"clip\.npy: the features of sound cannot be read"):
        inference_recognizer(model, file, pipeline)
