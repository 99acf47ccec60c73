"""Recognizer of clips."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kinema.models.recognizers.base import BaseRecognizer, in_chunks, labelled, samples_for
from kinema.registry import MODELS


@MODELS.register_module()
class Recognizer3D(BaseRecognizer):
    """Recognizer whose backbone sees a whole clip; the views of a sample go through it like samples.

    It takes inputs (B, V, C, T, H, W), and `"tensor"` gives the features of B * V views.

    Args:
        backbone: (B, C, T, H, W) -> features; module or config.
        cls_head: see `BaseRecognizer`, as `neck`, `train_cfg` and `data_preprocessor`.
        neck: see there.
        train_cfg: see there.
        test_cfg: see there.
        data_preprocessor: see there.
    """

    def extract_feat(self, inputs: Tensor) -> Any:
        """(B, V, C, T, H, W) -> features of B * V views, after the neck if there is one."""
        feats = self.backbone(_views(inputs))
        return feats if self.neck is None else self.neck(feats, None)[0]

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        head = self._head()
        samples = labelled(data_samples)
        feats, losses = self.backbone(_views(inputs)), {}
        if self.neck is not None:
            feats, losses = self.neck(feats, samples)
        return {**head.loss(feats, samples), **losses}

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        head = self._head()
        views = _views(inputs)
        feats = in_chunks(self.backbone, views, self.max_testing_views or len(views))
        if self.neck is not None:
            feats, _ = self.neck(feats, None)
        return head.predict(feats, samples_for(inputs, data_samples), **self.predict_options)


def _views(inputs: Tensor) -> Tensor:
    """(B, V, C, T, H, W) -> (B * V, C, T, H, W), without a copy where memory allows."""
    if inputs.dim() != 6:
        raise ValueError(
            f"Recognizer3D takes inputs of shape (batch, views, channels, frames, height, width), got {tuple(inputs.shape)}: set "
            "input_format='NCTHW' in FormatShape; for clips without views: inputs.unsqueeze(1)"
        )
    return inputs.flatten(0, 1)
