"""Recognizers: data preprocessor + backbone + neck + head as one model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModel, Mode
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

Part = nn.Module | Mapping[str, Any]


@MODELS.register_module()
class Recognizer3D(BaseModel):
    """Recognizer whose backbone sees a whole clip; the views of a sample go through it like samples.

    Args:
        backbone: (B, C, T, H, W) -> features, one tensor or a tuple of them; module or config.
        cls_head: features -> scores, see `BaseHead`. Without it the model gives features only.
        neck: called with the features and the data samples (None outside training), returns features and a dict of
            further losses.
        train_cfg: has no keys so far.
        test_cfg: `max_testing_views`: how many views, at most, go through the backbone at once in prediction.
        data_preprocessor: see `BaseModel`.
    """

    def __init__(
        self,
        backbone: Part,
        cls_head: Part | None = None,
        neck: Part | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Part | None = None,
    ) -> None:
        super().__init__(data_preprocessor)
        _check_keys("train_cfg", train_cfg, ())
        _check_keys("test_cfg", test_cfg, ("max_testing_views",))
        self.backbone = _module(backbone)
        self.neck = None if neck is None else _module(neck)
        self.cls_head = None if cls_head is None else _module(cls_head)
        self.max_testing_views: int | None = (test_cfg or {}).get("max_testing_views")
        if self.max_testing_views is not None and self.max_testing_views < 1:
            raise ConfigError(f"max_testing_views of test_cfg must be at least 1, got {self.max_testing_views}")

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: Mode = "tensor") -> Any:
        """Compute on preprocessed clips.

        Args:
            inputs: (B, V, C, T, H, W) float, normalised.
            data_samples: B samples, with `gt_label` for `"loss"`; `"predict"` makes new ones when there are none.
            mode: `"tensor"`: features of B * V views; `"loss"`: dict of losses and accuracies; `"predict"`: the samples
                with `pred_score` and `pred_label`.

        Raises:
            ValueError: another shape, an unknown mode, or `"loss"` without samples.
            ConfigError: there is no head, or it does not fit the backbone or the labels.
        """
        if mode == "tensor":
            return self.extract_feat(inputs)
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def extract_feat(self, inputs: Tensor) -> Any:
        """(B, V, C, T, H, W) -> features of B * V views, after the neck if there is one."""
        feats = self.backbone(_views(inputs))
        return feats if self.neck is None else self.neck(feats, None)[0]

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        """Losses of the head and of the neck, and the head's accuracies."""
        head = self._head()
        if data_samples is None:
            raise ValueError("mode 'loss' needs data_samples with gt_label")
        feats, losses = self.backbone(_views(inputs)), {}
        if self.neck is not None:
            feats, losses = self.neck(feats, data_samples)
        return {**head.loss(feats, data_samples), **losses}

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        """The samples with `pred_score` and `pred_label`."""
        head = self._head()
        if data_samples is None:
            data_samples = [ActionDataSample() for _ in inputs]
        views = _views(inputs)
        feats = _in_chunks(self.backbone, views, self.max_testing_views or len(views))
        if self.neck is not None:
            feats, _ = self.neck(feats, None)
        return head.predict(feats, data_samples)

    @property
    def num_classes(self) -> int | None:
        """Classes that the head tells apart; None without a head, or where it does not say."""
        return getattr(self.cls_head, "num_classes", None)

    def _head(self) -> Any:
        if self.cls_head is None:
            raise ConfigError(
                "the recognizer has no cls_head: it gives features (mode='tensor'), no losses or predictions"
            )
        return self.cls_head


def _module(part: Part) -> nn.Module:
    return part if isinstance(part, nn.Module) else MODELS.build(part)


def _check_keys(name: str, cfg: Mapping[str, Any] | None, known: Sequence[str]) -> None:
    for key in cfg or ():
        if key not in known:
            hint = "; set it in cls_head" if key == "average_clips" else ""
            raise ConfigError(
                f"{name} of Recognizer3D has no key {key!r}{hint}; its keys: {', '.join(known) or 'none'}"
            )


def _views(inputs: Tensor) -> Tensor:
    """(B, V, C, T, H, W) -> (B * V, C, T, H, W), without a copy where memory allows."""
    if inputs.dim() != 6:
        raise ValueError(
            f"Recognizer3D takes inputs of shape (batch, views, channels, frames, height, width), got {tuple(inputs.shape)}; "
            "for clips without views: inputs.unsqueeze(1)"
        )
    return inputs.flatten(0, 1)


def _in_chunks(backbone: Callable[[Tensor], Any], views: Tensor, size: int) -> Any:
    """Features of all views, computed `size` views at a time."""
    if len(views) <= size:
        return backbone(views)
    parts = [backbone(chunk) for chunk in views.split(size)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(level) for level in zip(*parts, strict=True))
