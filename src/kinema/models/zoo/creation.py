"""From a name of the zoo to a network with its weights, and to the way of a video into it."""

import inspect
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.file_formats import format_of, load_published
from kinema.checkpoints.label_maps import pick_classes, read_label_map
from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.pretrained import log_report
from kinema.checkpoints.reading import read_checkpoint
from kinema.datasets.annotations.known_sets import KNOWN_SETS, class_names_of_set
from kinema.errors import CheckpointError, ConfigError
from kinema.models.heads.base import BaseHead
from kinema.models.recognition import BaseRecognizer
from kinema.models.zoo.cards import Card, InputSpec, ModelConfig, card, model_config
from kinema.registry import MODELS

logger = logging.getLogger("kinema")


def create_model(
    name: str,
    *,
    num_classes: int | None = None,
    pretrained: bool | str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = False,
    label_map: str | os.PathLike[str] | None = None,
    activation_checkpointing: bool = False,
) -> nn.Module:
    """Build a model.

    Args:
        name: see `kinema.list_models`.
        num_classes: number of classes, N; None: as many as on its card.
        pretrained: True loads the published weights, which are downloaded once
            (`zoo.card(name).weights`, or else those of its `encoder`); a file, folder or address loads
            those, and a list of them one after the other, where encoder and classifier are files of
            their own. With another number of classes, or none in the file, the classifier stays as
            initialised, and the log says so.
        label_map: JSON file of the classes that are taken of a classifier for more of them: their
            numbers there, in the order of the model's classes, such as the authors'
            `label_710to400.json` for weights of Kinetics-710; None: all.
        activation_checkpointing: forget activations in training and compute them again in the
            backward pass: less memory, about a third more time.

    Returns:
        The model in training mode. `save_pretrained` of it writes a folder that `kinema.load`
        takes.

    Raises:
        ConfigError: there is no such model, fewer than 1 class, no published weights, no activation
            checkpointing in it, or a `label_map` without weights or for other classes.
        CheckpointError: the weights cannot be had, or do not fit, or are those of a classifier alone.
    """
    config = model_config(name, num_classes)
    entry = card(name)
    if activation_checkpointing:
        _checkpoint_activations(name, config)
    built: BaseRecognizer = MODELS.build(config)
    built.init_weights()
    if label_map is not None and not pretrained:
        raise ConfigError(f"{name}: label_map takes classes of weights: name these by pretrained")
    if pretrained:
        rows = None if label_map is None else read_label_map(label_map, config["cls_head"]["num_classes"])
        _load(built, _sources(entry, pretrained), config, rows)
    contract = ModelContract(model=config, zoo_name=name)
    if entry.input.modality == "RGB":
        contract = contract.with_pipeline(video_pipeline(entry))
    if pretrained is True:
        contract = replace(contract, classes=_published_classes(entry, built))
    built.contract = contract
    return built


def _sources(entry: Card, pretrained: Any) -> list[str]:
    """Files, folders or addresses of the weights that `create_model` is to load."""
    if pretrained is True:
        weights = entry.weights
        return [published_weights(entry), *([weights.head_url] if weights and weights.head_url else [])]
    return [os.fspath(source) for source in ([pretrained] if isinstance(pretrained, str | os.PathLike) else pretrained)]


def _load(model: BaseRecognizer, sources: Sequence[str], config: ModelConfig, rows: list[int] | None) -> None:
    """Load weights: those of a recognizer, or files of other publishers.

    With `rows`, these classes of a classifier. A head that must be built otherwise for a publisher's
    weights is built so, in `config` too.
    """
    has_backbone = False
    for source in sources:
        read = read_checkpoint(source)
        backbone = model.backbone
        kind = format_of(read, getattr(backbone, "file_formats", ()), backbone, model.cls_head)
        has_backbone |= kind is None or bool(kind.backbone(backbone))
        if rows is not None:
            read = pick_classes(read, kind, rows)
        if kind is None:
            log_report(source, load_checkpoint(model, read))
            continue
        if kind.has_head_in(read) and kind.head_settings is not None:
            config["cls_head"] |= kind.head_settings(backbone)
            head: BaseHead = MODELS.build(config["cls_head"])
            head.init_weights()
            model.cls_head = head
        load_published(model, read)
    if not has_backbone:
        raise CheckpointError(
            f"{', '.join(sources)} holds a classifier alone: give the encoder's weights too,"
            " pretrained=[ENCODER, CLASSIFIER]"
        )


def _published_classes(entry: Card, model: BaseRecognizer) -> tuple[str, ...]:
    """Class names of published weights; empty where they are not known, or the classifier is for other classes."""
    if entry.weights is None or entry.weights.own_order:
        return ()
    title = entry.result.dataset if entry.result else ""
    if model.num_classes != entry.num_classes or title not in {known.title for known in KNOWN_SETS}:
        return ()
    names = class_names_of_set(title)
    return tuple(names) if len(names) == entry.num_classes else ()


def published_weights(entry: Card) -> str:
    """The address of a model's published weights: with a classifier, or of its encoder alone.

    The log warns where their licence forbids commercial use.

    Raises:
        ConfigError: there are none.
    """
    weights = entry.weights or entry.encoder
    if weights is None:
        why = "its weights are not published" if entry.result else "nobody published weights of it"
        raise ConfigError(f"{entry.name}: {why}; pretrained may also be a file, folder or address")
    if weights.non_commercial:
        logger.warning(
            "%s: the licence of these weights, %s, forbids commercial use, also of what is trained from them: %s",
            *(entry.name, weights.licence, weights.origin),
        )
    return weights.url


def _checkpoint_activations(name: str, config: ModelConfig) -> None:
    networks = _residual_networks(config["backbone"])
    if not networks:
        raise ConfigError(
            f"{name}: {config['backbone']['type']} has no residual blocks, so no activations can be computed again"
        )
    for network in networks:
        network["with_cp"] = True


def _residual_networks(config: ModelConfig) -> list[ModelConfig]:
    """The networks that can compute the activations of their blocks again: the backbone itself, or its pathways."""
    network: Any = MODELS.get(config["type"])
    if "with_cp" in inspect.signature(network).parameters:
        return [config]
    parts = [value for value in config.values() if isinstance(value, dict) and "type" in value]
    return [inner for part in parts for inner in _residual_networks(part)]


def video_pipeline(
    entry: Card,
    *,
    frame_interval: int | None = None,
    num_clips: int | None = None,
    train: bool = False,
    whole_frame: bool = False,
) -> list[dict[str, Any]]:
    """The way of a video file to the input of a model.

    There is no mirroring: it would swap actions that differ in their direction.

    Args:
        entry: the model's card.
        frame_interval: distance of neighbouring frames of a clip; None: the card's. A model that
            takes one frame from each of equal parts of the video has none.
        num_clips: clips of a video; None: the card's.
        train: draw clips and crops at random.
        whole_frame: make every frame a square, whatever its shape, so that nothing of a wide one is
            cut off; else it keeps its shape, and a square is cut out of its middle, as published
            weights are evaluated.

    Returns:
        Configs of transforms.

    Raises:
        ConfigError: the model does not take frames of a video file.
        ValueError: a `frame_interval` for a model that has none.
    """
    spec = entry.input
    if spec.modality != "RGB":
        raise ConfigError(
            f"{entry.name} takes optical flow, which video files do not hold: write a config with RawframeDataset and "
            "modality='Flow'"
        )
    if spec.takes_segments and frame_interval is not None:
        raise ValueError(
            f"{entry.name} takes one frame from each of {spec.num_frames} equal parts of a video: there is no distance"
            f" of neighbouring frames to set, got {frame_interval=}"
        )
    sampling = _sampling(spec, frame_interval, spec.num_clips if num_clips is None else num_clips, train=train)
    crop = {"type": "RandomCrop", "size": spec.size} if train else {"type": "CenterCrop", "crop_size": spec.size}
    resize: dict[str, Any] = {"type": "Resize", "scale": (-1, spec.short_side)}
    if whole_frame:
        side = spec.short_side if train else spec.size
        resize |= {"scale": (side, side), "keep_ratio": False}
    return [
        {"type": "OpenVideo"},
        sampling,
        {"type": "DecodeVideo"},
        resize,
        *([] if whole_frame and not train else [crop]),
        {"type": "FormatShape", "input_format": spec.format_shape},
        {"type": "PackActionInputs", "meta_keys": ("img_shape", "filename")},
    ]


def _sampling(spec: InputSpec, frame_interval: int | None, num_clips: int, *, train: bool) -> dict[str, Any]:
    """Config of the step that chooses frames."""
    if spec.spread:
        return {"type": "UniformSample", "clip_len": spec.clip_len, "num_clips": num_clips, "test_mode": not train}
    interval = spec.frame_interval if frame_interval is None else frame_interval
    if spec.in_parts and frame_interval is None and not train:
        clips = {"clip_len": spec.clip_len, "frame_interval": interval, "num_clips": num_clips}
        return {"type": "SegmentSampleFrames", **clips, "test_mode": not train}
    # Both let the frames span a short video: without the first the parts are of whole frames, and
    # the last ones of the video are in none of them; without the second a short video would be its
    # first frames and repetitions.
    fitted = {"keep_tail_frames": train} if spec.takes_segments else {"fit_short": True}
    return {
        "type": "SampleFrames",
        "clip_len": spec.clip_len,
        "frame_interval": interval,
        "num_clips": spec.num_clips if spec.format_shape == "NCHW" else num_clips,
        "test_mode": not train,
        **fitted,
    }
