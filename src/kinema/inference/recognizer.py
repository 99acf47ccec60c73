"""From a checkpoint to predictions: the checkpoint carries all that is needed."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kinema.config import Config
from kinema.datasets import pseudo_collate
from kinema.engine.checkpoints import CheckpointStore
from kinema.errors import CheckpointError, ConfigError, VideoError
from kinema.inference.contract import foreign_contract, read_contract
from kinema.models.checkpoint import apply_checkpoint, load_checkpoint, read_checkpoint
from kinema.models.downloads import is_address
from kinema.models.saving import CONFIG_FILE, save_pretrained
from kinema.registry import MODELS
from kinema.transforms import Compose, split_pipeline


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

    def save_pretrained(self, folder: str | os.PathLike) -> Path:
        """Write weights, contract and a model card into `folder`, from which `kinema.load` takes them.

        Args:
            folder: is made; one that exists is replaced.

        Returns:
            The folder.

        Raises:
            CheckpointError: the recognizer was made without a model config, or its pipeline opens no video.
        """
        parts = split_pipeline(self.pipeline)
        if not self.config.get("model") or parts is None:
            lacks = "a pipeline that opens and decodes a video" if parts is None else "the config of its model"
            raise CheckpointError(f"{folder}: not saved: the recognizer lacks {lacks}, so it could not be loaded again")
        sampling, preprocessing = parts
        contract = {**self.config, "classes": self.classes, "sampling": sampling, "preprocessing": preprocessing}
        return save_pretrained(self.model, folder, config=contract, card=True)


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
            f"{folder}: no checkpoint here: expected a folder with {CONFIG_FILE} and model.safetensors, a work folder of "
            "`kinema train` with checkpoints/, or a .pth file of MMAction2"
        )
    if not (found / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{folder}: its checkpoint {found.name!r} is not there or has no {CONFIG_FILE}: name another folder of checkpoints/"
        )
    return found


def load(
    path: str | os.PathLike, *, config: str | os.PathLike | Mapping[str, Any] | None = None, device: str = "auto"
) -> VideoRecognizer:
    """Load a trained recognizer.

    Args:
        path: a checkpoint folder; a work folder (its best checkpoint, else its last); or a file of MMAction2, or the address
            of one.
        config: for a file of MMAction2 the config that it was trained with, if the file does not tell it: a path, or dicts.
        device: "auto", "cpu", "cuda", ...

    Raises:
        CheckpointError: there is no checkpoint, or it does not tell what is needed.
        ConfigError: there is no such device, or the config is wrong.
    """
    chosen = _choose_device(device)
    if is_address(os.fspath(path)) or Path(path).expanduser().is_file():
        return _load_foreign(os.fspath(path), config, chosen)
    if config is not None:
        raise CheckpointError(
            f"{path}: is no file of MMAction2, and a checkpoint folder brings its own config: leave it out"
        )
    folder = find_checkpoint(path)
    contract = read_contract(folder)
    model = MODELS.build(contract.model)
    load_checkpoint(model, folder, strict=True)
    return VideoRecognizer(model, contract.classes, contract.pipeline, device=chosen, config=contract.content)


def _load_foreign(
    path: str, config: str | os.PathLike | Mapping[str, Any] | None, device: torch.device
) -> VideoRecognizer:
    given = config if config is None or isinstance(config, Mapping) else Config.fromfile(config)
    read = read_checkpoint(path)
    contract = foreign_contract(read, given, path)
    model = MODELS.build(contract.model)
    apply_checkpoint(model, read, path, strict=True)
    return VideoRecognizer(model, contract.classes, contract.pipeline, device=device, config=contract.content)


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"the device {device!r} cannot be used here: {str(error).splitlines()[0]}") from error
