"""The page of a pretraining: the course of its loss, and videos with what the network fills in."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinema.checkpoints.loading import load_checkpoint
from kinema.checkpoints.reading import read_checkpoint
from kinema.datasets.unlabelled import UnlabelledVideos
from kinema.errors import CheckpointError, VideoError
from kinema.models.pretraining import MaskedAutoencoder
from kinema.registry import DATASETS, MODELS
from kinema.report.page import Section, write_report
from kinema.report.plots import Plot, Series, line_plot
from kinema.report.strips import strip_jpeg
from kinema.runs.records import MetricsFile
from kinema.runs.settings_file import read_run

_SHOWN = 6  # videos
_FRAME_WIDTH = 96  # pixels
_GREY = 0.5


class Film(NamedTuple):
    """A strip of frames as the page shows it."""

    caption: str
    jpeg: str
    width: int
    height: int


class ShownVideo(NamedTuple):
    """A video of the page, with its strips."""

    name: str
    films: tuple[Film, ...]


def report_pretraining(
    work_dir: str | os.PathLike[str], *, out: str | os.PathLike[str] | None = None, shown: int = _SHOWN
) -> Path:
    """Write the page of a run of `kinema pretrain`.

    Args:
        work_dir: its work folder, of which the last checkpoint is taken.
        out: the page; None: `report.html` in the work folder.
        shown: videos to show: of those held out, or else of all.

    Returns:
        The page.

    Raises:
        CheckpointError: the folder holds no pretraining.
    """
    work_dir = Path(work_dir)
    run = read_run(work_dir) or {}
    config = run.get("config")
    model_config = config.get("model") if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(model_config, Mapping):
        raise CheckpointError(f"{work_dir}: is no work folder of a pretraining")
    model = MODELS.build({**model_config, "pretrained": None}) if _is_pretraining(model_config) else None
    if not isinstance(model, MaskedAutoencoder):
        raise CheckpointError(f"{work_dir}: was trained with labels: `kinema report` describes it")
    load_checkpoint(model, read_checkpoint(work_dir), strict=True)
    dataset = (config.get("val_dataloader") or config["train_dataloader"])["dataset"]
    source = Path(str(run.get("folder", "")), dataset["source"])  # relative to where the run began
    videos = DATASETS.build({**dataset, "source": source, "test_mode": True})
    metrics = work_dir / "metrics.jsonl"
    plots = _plots(MetricsFile(metrics).read() if metrics.is_file() else [])
    hidden = f"{model.mask_ratio:.0%} of each frame, the grey part, is hidden"
    own = ", with the mean and contrast that each of them really has" if model.normalize_target else ""
    sections = [
        Section("loss", "Loss", "plots", {"plots": plots}, "The mean square of what the predictions are off."),
        Section(
            "reconstructions",
            "Reconstructions",
            "reconstructions",
            {"videos": reconstructions(model, videos, shown)},
            f"{hidden}; below, the network's guess stands in its place{own}.",
        ),
    ]
    backbone = model.backbone
    note = (
        f"A {type(backbone).__name__} of {backbone.embed_dims} channels on {backbone.num_frames} frames of"
        f" {backbone.img_size[0]} x {backbone.img_size[1]} pixels, pretrained on videos without labels."
    )
    return write_report(
        Path(out) if out is not None else work_dir / "report.html",
        title=f"Pretraining: {work_dir.resolve().name}",
        note=note,
        sections=sections if plots else sections[1:],
    )


def _is_pretraining(model: Mapping[str, Any]) -> bool:
    return str(model.get("type", "")).rpartition(".")[2] == MaskedAutoencoder.__name__


def reconstructions(model: MaskedAutoencoder, videos: UnlabelledVideos, count: int) -> list[ShownVideo]:
    """Some videos, evenly spread over the set: as they are, what is left of them, and filled in.

    Videos that cannot be read are left out.
    """
    model.eval()
    films = []
    for place in np.linspace(0, len(videos) - 1, min(count, len(videos))).astype(int).tolist():
        try:
            sample = videos[place]
        except VideoError:  # the run named and counted it
            continue
        inputs = model.data_preprocessor({"inputs": [sample["inputs"]]}, False)["inputs"]
        result = model.reconstruct(inputs, seed=place)
        seen = result.clips.masked_fill(result.hidden[:, None], _GREY)
        step = model.backbone.tubelet_size  # the frames of a tubelet hardly differ
        strips = (("video", result.clips), ("what is seen", seen), ("filled in", result.filled))
        films.append(
            ShownVideo(
                str(videos.get_data_info(place)["filename"]),
                tuple(Film(caption, *strip_jpeg(_frames(clips[0], step), _FRAME_WIDTH)) for caption, clips in strips),
            )
        )
    return films


def _frames(clip: Tensor, step: int) -> Sequence[np.ndarray]:
    """(C, T, H, W) of 0 to 1 -> every `step`-th frame, (H, W, C) uint8."""
    pixels = (clip[:, ::step].clamp(0, 1) * 255).round().to(torch.uint8)
    return list(pixels.permute(1, 2, 3, 0).numpy())


def _plots(history: Sequence[Mapping[str, Any]]) -> list[Plot]:
    lines = []
    for number, (name, split, figure) in enumerate(
        (("training", "train", "loss"), ("videos held out", "val", "reconstruction/error")), start=1
    ):
        known = [line for line in history if line.get("split") == split and figure in line]
        if known:
            epochs = [float(line["epoch"]) for line in known]
            lines.append(Series(name, epochs, [float(line[figure]) for line in known], number))
    return [line_plot("Error of the reconstruction", lines, x="epoch")] if lines else []
