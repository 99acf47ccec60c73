"""`init_recognizer` and `inference_recognizer`: a config and a checkpoint to a model, a model and a video to scores."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kinema.config import Config
from kinema.datasets import pseudo_collate
from kinema.errors import ConfigError
from kinema.inference.inputs import pipeline_of_frames, video_source
from kinema.models import load_checkpoint
from kinema.openmmlab.configs import pipeline_of_tests, without_pretrained
from kinema.registry import MODELS
from kinema.structures import ActionDataSample
from kinema.transforms import Compose
from kinema.transforms.sound import read_sound_features


def init_recognizer(
    config: str | PathLike[str] | Config,
    checkpoint: str | PathLike[str] | None = None,
    device: str | torch.device = "cuda:0",
) -> nn.Module:
    """Build the recognizer of a config and load its weights.

    Args:
        config: a config or the path of one; its `model` is built, without `backbone.pretrained`.
        checkpoint: the weights; None leaves them as initialised.
        device: where the model goes.

    Returns:
        The model in evaluation mode; its attribute `cfg` is the config.

    Raises:
        CheckpointError: the checkpoint cannot be read or does not fit.
    """
    cfg = config if isinstance(config, Config) else Config.fromfile(config)
    model: Any = MODELS.build(without_pretrained(cfg.model))  # the checkpoint brings the weights
    if checkpoint is not None:
        load_checkpoint(model, checkpoint)
    model.cfg = cfg
    model.to(device)
    model.eval()
    return model


def inference_recognizer(
    model: Any,
    video: str | PathLike[str] | np.ndarray | Mapping[str, Any],
    test_pipeline: Compose | Sequence[Any] | None = None,
) -> ActionDataSample:
    """Scores of one video.

    Args:
        model: what `init_recognizer` gave.
        video: path of a video, of a folder of images or of features of sound (`.npy`); frames
            (T, H, W, 3) uint8 RGB; or the sample dict that the pipeline begins with.
        test_pipeline: a `Compose` or a list of transforms; default: the one of the model's config
            (`test_pipeline`, else that of `test_dataloader.dataset`).

    Returns:
        The sample with `pred_score` (N,) and `pred_label`.

    Raises:
        ConfigError: there is no test pipeline.
        TypeError: frames or a folder with a `Compose` in place of configs.
        VideoError: the video cannot be read.
    """
    steps = test_pipeline if test_pipeline is not None else _test_pipeline(model.cfg)
    if isinstance(video, Mapping):
        sample = dict(video)
    elif isinstance(video, str | PathLike) and Path(video).suffix == ".npy":
        sample = {"audio_path": str(video), "total_frames": len(read_sound_features(Path(video)))}
        sample |= {"label": -1, "start_index": 0}
    else:
        source = video_source(video)
        sample = {**source.sample, "label": -1, "start_index": 0, "modality": "RGB"}
        if source.is_open:
            if isinstance(steps, Compose):
                raise TypeError("frames need test_pipeline as a list of configs, got a Compose, which opens a file")
            steps = pipeline_of_frames(steps)
    pipeline = steps if isinstance(steps, Compose) else Compose(steps)
    with torch.no_grad():
        prediction: ActionDataSample = model.test_step(pseudo_collate([pipeline(sample)]))[0]
    return prediction


def _test_pipeline(cfg: Mapping[str, Any]) -> Any:
    pipeline = pipeline_of_tests(cfg)
    if not pipeline:
        raise ConfigError(
            "the config has no test_pipeline and no test_dataloader.dataset.pipeline: give test_pipeline=[...]"
        )
    return pipeline
