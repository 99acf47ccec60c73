"""From a checkpoint to predictions: the checkpoint carries all that is needed."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinema.datasets import pseudo_collate
from kinema.engine.checkpoints import CheckpointStore
from kinema.errors import CheckpointError, ConfigError, VideoError
from kinema.models.checkpoint import CONFIG_FILE, load_checkpoint
from kinema.registry import MODELS
from kinema.transforms import Compose, join_pipeline


@dataclass(frozen=True)
class Prediction:
    """What a recognizer says of one video.

    Attributes:
        path: the video.
        labels: class names, the likeliest first.
        scores: their probabilities (or what the head's `average_clips` gives), in the same order.
    """

    path: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]

    @property
    def label(self) -> str:
        """The likeliest class."""
        return self.labels[0]

    @property
    def score(self) -> float:
        """The score of the likeliest class."""
        return self.scores[0]


class VideoRecognizer:
    """A trained model with its class names and its way from a video to the model's input.

    Args:
        model: the model, with its weights.
        classes: names by class index; empty: the indices are the names.
        pipeline: configs of transforms, from `filename` to packed inputs.
        device: where to compute.
        config: what the checkpoint's `config.json` says.
    """

    def __init__(
        self,
        model: nn.Module,
        classes: Sequence[str],
        pipeline: Sequence[dict[str, Any]],
        *,
        device: str | torch.device = "cpu",
        config: dict[str, Any] | None = None,
    ) -> None:
        self.model: Any = model.to(device).eval()
        self.classes = tuple(classes)
        self.pipeline = [dict(step) for step in pipeline]
        self.config = dict(config or {})
        self._transform = Compose(self.pipeline)

    @torch.no_grad()
    def scores(self, video: str | os.PathLike) -> torch.Tensor:
        """Scores of all classes for one video, (N,) on the CPU.

        Raises:
            TypeError: `video` is no path.
            VideoError: the video cannot be read.
        """
        if not isinstance(video, str | os.PathLike):
            raise TypeError(f"a video must be given by its path, got {type(video).__name__}")
        path = os.fspath(video)
        if "://" not in path and not Path(path).is_file():
            # said here, for a pipeline takes a name without suffix for that of an mp4 file
            raise VideoError(
                f"{path}: is a folder, not a video file" if Path(path).is_dir() else f"{path}: no such file"
            )
        sample = {"filename": path, "label": -1, "start_index": 0, "modality": "RGB"}
        batch = pseudo_collate([self._transform(sample)])
        (data_sample,) = self.model.test_step(batch)
        scores: torch.Tensor = data_sample.pred_score.cpu()
        return scores

    def predict(self, video: str | os.PathLike, top_k: int = 5) -> Prediction:
        """The `top_k` likeliest classes of one video.

        Raises:
            ValueError: `top_k` is below 1.
            VideoError: the video cannot be read.
        """
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {top_k}")
        scores, order = self.scores(video).sort(descending=True, stable=True)
        best = order[:top_k].tolist()
        names = tuple(self.classes[index] if self.classes else str(index) for index in best)
        return Prediction(os.fspath(video), names, tuple(scores[:top_k].tolist()))


def find_checkpoint(path: str | os.PathLike) -> Path:
    """The checkpoint folder that `path` names: itself, or the best (else last) one of a work folder.

    Raises:
        CheckpointError: there is none.
    """
    folder = Path(path)
    if (folder / CONFIG_FILE).is_file():
        return folder
    store = CheckpointStore(folder)
    found = store.find("best") or store.find("last")
    if found is None:
        raise CheckpointError(
            f"{folder}: no checkpoint here: expected a folder with {CONFIG_FILE} and model.safetensors, "
            "or a work folder of `kinema train` with checkpoints/"
        )
    if not (found / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{folder}: its checkpoint {found.name!r} is not there or has no {CONFIG_FILE}: name another folder of checkpoints/"
        )
    return found


def load(path: str | os.PathLike, *, device: str = "auto") -> VideoRecognizer:
    """Load a trained recognizer.

    Args:
        path: a checkpoint folder, or a work folder (its best checkpoint, else its last).
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: there is no checkpoint, or it does not tell what is needed.
        ConfigError: there is no such device.
    """
    chosen = _choose_device(device)
    folder = find_checkpoint(path)
    try:
        config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: is no JSON file that can be read: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{folder / CONFIG_FILE}: expected a JSON object, got a {type(config).__name__}")
    for key, what in (
        ("model", "the model"),
        ("sampling", "how frames are sampled"),
        ("preprocessing", "preprocessing"),
    ):
        if config.get(key) is None:
            raise CheckpointError(
                f"{folder / CONFIG_FILE}: does not tell {what} ({key!r} is missing): it was trained from Python objects, "
                "not from a config; build the model in your code and use kinema.models.checkpoint.load_checkpoint"
            )
    model = MODELS.build(config["model"])
    report = load_checkpoint(model, folder, strict=True)
    assert report.is_complete
    pipeline = join_pipeline(config["sampling"], config["preprocessing"])
    return VideoRecognizer(model, config.get("classes") or (), pipeline, device=chosen, config=config)


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"the device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
