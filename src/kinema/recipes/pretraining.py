"""From videos without labels to the config of a pretraining: what `kinema pretrain DATA` runs."""

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinema.config import Config
from kinema.cores import default_readers
from kinema.datasets.annotations import Split
from kinema.datasets.unlabelled import read_unlabelled
from kinema.errors import ConfigError
from kinema.models import zoo
from kinema.recipes.sampling import ProbedClips, describe_sampling, probe_clips
from kinema.recipes.training import AUGMENTATIONS

logger = logging.getLogger("kinema")

DEFAULT_MODEL = "videomae_vit_tiny"
# Of the authors' trainings, with batches of 2048 clips: 1.5e-4 for 256 of them.
_RATE, _BATCH = 1.2e-3, 2048
_WEIGHT_DECAY, _BETAS = 0.05, (0.9, 0.95)
_WARMUP_SHARE = 0.05  # 40 of 800 epochs
_STEPS = 4000  # of a pretraining by default
_HELD_OUT = 0.1
_FIGURE = "reconstruction/error"  # of the videos held out: the lower, the better
_FEWEST_TO_HOLD_OUT = 20


def pretraining(
    data: str | os.PathLike[str],
    *,
    model: str | None = None,
    pretrained: str | os.PathLike[str] | None = None,
    mask_ratio: float = 0.9,
    decoder_mask_ratio: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    work_dir: str | os.PathLike[str] = "work/pretraining",
    seed: int = 0,
    workers: int | None = None,
) -> Config:
    """The config of masked video modelling on videos without labels.

    Frames are drawn at the card's distance, or less where the videos are short; crops at several
    scales. There is no mirroring, as in training. A tenth of the videos, where there are 20 or more,
    are only validated on. The learning rate is the authors' for their batches, and falls with the root
    of the batch size for smaller ones (Malladi et al. 2022, arXiv:2205.10330).

    Args:
        data: see `kinema.datasets.UnlabelledVideos`.
        model: a name of the zoo with a `VisionTransformer`; default: videomae_vit_tiny.
        pretrained: weights to start from: a file of the authors, or a checkpoint of a pretraining.
        mask_ratio: see `MaskedAutoencoder`.
        decoder_mask_ratio: likewise; 0.5 is VideoMAE V2's.
        epochs: passes over the videos; default: about 4000 steps, at least 20 epochs, at most 800.
        batch_size: clips a step; default 16, fewer for small sets.
        work_dir: folder for all files of the run.
        seed: of all random numbers, and of the videos held out.
        workers: processes that read clips; default one a core, at most 8.

    Returns:
        A config for `Runner.from_cfg`.

    Raises:
        AnnotationError: there are no videos.
        ConfigError: no such model, or one that cannot be pretrained so.
        VideoError: no video can be read.
    """
    card = zoo.card(model or DEFAULT_MODEL)
    config = pretraining_model(card.name, mask_ratio=mask_ratio, decoder_mask_ratio=decoder_mask_ratio)
    if pretrained is not None:
        config["pretrained"] = os.fspath(pretrained)
    annotations, root = read_unlabelled(data)
    probed = probe_clips(Split(annotations, root))
    interval = _interval(card.input, probed)
    count = len(annotations)
    is_validated = count >= _FEWEST_TO_HOLD_OUT
    num_held = round(_HELD_OUT * count) if is_validated else 0
    batch_size = min(16, max(2, (count - num_held) // 4)) if batch_size is None else batch_size
    if epochs is None:
        epochs = int(np.clip(_STEPS * batch_size // max(count - num_held, 1), 20, 800))
    loader = {"batch_size": batch_size, "num_workers": default_readers() if workers is None else workers}
    loader["persistent_workers"] = loader["num_workers"] > 0
    videos: dict[str, Any] = {"type": "UnlabelledVideos", "source": os.fspath(data)}
    if is_validated:
        videos |= {"held_out": _HELD_OUT, "seed": seed}
    sides = ("train", "val") if is_validated else (None, None)
    train_steps, val_steps = (
        zoo.video_pipeline(card, frame_interval=interval, num_clips=1, train=is_training)
        for is_training in (True, False)
    )
    facts = {
        "videos": count,
        "held_out": num_held,
        "model": card.name,
        "sees": describe_sampling(card.input, interval, probed),
        "epochs": epochs,
        "batch_size": batch_size,
    }
    for note in annotations.notes:
        logger.warning("%s: %s", annotations.source, note)
    logger.info("%d videos, %d of them only to validate on; %s sees %s", count, num_held, card.name, facts["sees"])
    validation = {
        "val_dataloader": {
            **loader,
            "dataset": {**videos, "part": sides[1], "pipeline": val_steps, "test_mode": True},
            "sampler": {"type": "DefaultSampler", "shuffle": False},
        },
        "val_evaluator": [{"type": "ReconstructionError"}],
        "val_cfg": {},
    }
    return Config(
        {
            "model": config,
            "train_dataloader": {
                **loader,
                "dataset": {**videos, "part": sides[0], "pipeline": _several_scales(train_steps, card.input)},
                "sampler": {"type": "DefaultSampler", "shuffle": True},
            },
            **(validation if is_validated else {}),
            "train_cfg": {"max_epochs": epochs, "val_interval": max(1, epochs // 20)},
            **_optimization(epochs, batch_size),
            "default_hooks": {
                "checkpoint": {
                    "interval": max(1, epochs // 20),
                    "max_keep_ckpts": 2,
                    "save_best": _FIGURE if is_validated else None,
                }
            },
            "custom_hooks": [{"type": "SummaryNotesHook", "notes": {"pretraining": facts}}],
            "randomness": {"seed": seed},
            "work_dir": os.fspath(work_dir),
        }
    )


def pretraining_model(name: str, *, mask_ratio: float = 0.9, decoder_mask_ratio: float | None = None) -> dict[str, Any]:
    """Config of a `MaskedAutoencoder` whose backbone is that of a model of the zoo.

    Raises:
        ConfigError: there is no such model, or its backbone is no `VisionTransformer`.
    """
    model = zoo.model_config(name)
    backbone = dict(model["backbone"])
    if backbone.get("type") != "VisionTransformer":
        able = [other for other in zoo.names() if _backbone_of(other) == "VisionTransformer"]
        raise ConfigError(
            f"{name}: masked pretraining hides tokens of a VisionTransformer, this is a {backbone.get('type')}: choose"
            f" one of {', '.join(able)}"
        )
    # Dropping paths is for the training with labels.
    backbone |= {"drop_path_rate": 0.0, "use_mean_pooling": False}
    backbone["init_cfg"] = [
        {"type": "Xavier", "layer": "Linear", "distribution": "uniform", "bias": 0.0},
        {"type": "Constant", "layer": "LayerNorm", "val": 1.0, "bias": 0.0},
    ]
    config: dict[str, Any] = {
        "type": "MaskedAutoencoder",
        "backbone": backbone,
        "mask_ratio": mask_ratio,
        "data_preprocessor": model["data_preprocessor"],
    }
    return config if decoder_mask_ratio is None else {**config, "decoder_mask_ratio": decoder_mask_ratio}


def _backbone_of(name: str) -> str:
    backbone = zoo.model_config(name).get("backbone", {})
    return str(backbone.get("type")) if isinstance(backbone, Mapping) else ""


def _interval(spec: zoo.InputSpec, probed: ProbedClips) -> int:
    """Distance of frames: the card's, or what lets a clip fit into a video of middle length."""
    return max(1, min(spec.frame_interval, int(np.median(probed.frames)) // spec.clip_len))


def _several_scales(steps: list[dict[str, Any]], spec: zoo.InputSpec) -> list[dict[str, Any]]:
    """A training pipeline whose squares are cut at several scales."""
    names = [step["type"] for step in steps]
    crops = AUGMENTATIONS["multi-scale"](spec)
    return [*steps[: names.index("DecodeVideo") + 1], *crops, *steps[names.index("FormatShape") :]]


def _optimization(epochs: int, batch_size: int) -> dict[str, Any]:
    warmup = min(max(1, round(_WARMUP_SHARE * epochs)), max(0, epochs - 1))
    optimizer = {
        "type": "AdamW",
        "lr": _RATE * math.sqrt(batch_size / _BATCH),
        "weight_decay": _WEIGHT_DECAY,
        "betas": list(_BETAS),
    }
    schedules: list[dict[str, Any]] = [
        {
            "type": "CosineAnnealingLR",
            "begin": warmup,
            "end": epochs,
            "eta_min_ratio": 0.01,
            "convert_to_iter_based": True,
        }
    ]
    if warmup:
        start = {"type": "LinearLR", "start_factor": 1e-3, "begin": 0, "end": warmup, "convert_to_iter_based": True}
        schedules.insert(0, start)
    paramwise = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "custom_keys": {"mask_token": {"decay_mult": 0.0}}}
    return {
        "optim_wrapper": {"optimizer": optimizer, "paramwise_cfg": paramwise},
        "param_scheduler": schedules,
    }
