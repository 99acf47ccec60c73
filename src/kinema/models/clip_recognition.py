"""A recognizer of clips."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.layers.carried_state import CarriedState
from kinema.models.layers.inputs import sizes
from kinema.models.recognition import BaseRecognizer, Folded
from kinema.registry import MODELS
from kinema.structures import ActionDataSample


@MODELS.register_module()
class Recognizer3D(BaseRecognizer):
    """Recognizer whose backbone sees a whole clip; the views of a sample go through it like samples.

    It takes inputs (B, V, C, T, H, W), and `"tensor"` gives the features of B * V views.

    Args:
        backbone: (B, C, T, H, W) -> features; module or config, also of `transformers.NAME`.
        cls_head: see `BaseRecognizer`, as `neck`, `train_cfg` and `data_preprocessor`.
        neck: see there.
        train_cfg: see there.
        test_cfg: see there.
        data_preprocessor: see there.
    """

    def fold(self, inputs: Tensor) -> Folded:
        """(B, V, C, T, H, W) -> (B * V, C, T, H, W), without a copy where memory allows."""
        if inputs.dim() != 6:
            raise ValueError(
                "Recognizer3D takes inputs of shape (batch, views, channels, frames, height, width), got"
                f" {sizes(inputs)}: set input_format='NCTHW' in FormatShape; for clips without views:"
                " inputs.unsqueeze(1)"
            )
        return Folded(inputs.flatten(0, 1))

    @property
    def carries_state(self) -> bool:
        """Can streams go through it piece by piece, see `predict_piece`?"""
        return self.neck is None and all(features_of(part).carries_state for part in (self.backbone, self.cls_head))

    def predict_piece(
        self, inputs: Tensor, state: CarriedState, data_samples: Sequence[Any] | None = None
    ) -> list[Any]:
        """`predict` for the next frames of streams: the scores are those of all frames so far.

        Args:
            inputs: (B, V, C, T, H, W), T >= 1; a view is a stream of its own.
            state: of the pieces before, which becomes that of the next; a new one at the start.
            data_samples: see `predict`.

        Raises:
            ConfigError: a part of the model looks at frames behind.
            ValueError: the inputs have another shape, or are of other streams than the state.
        """
        if not self.carries_state:
            raise ConfigError(
                "this recognizer carries no state from piece to piece: that takes MoViNet with causal=True, and"
                " MoViNetHead"
            )
        head = self._head()
        scores = head(self.backbone(self.fold(inputs).rows, state), state=state)
        samples = [ActionDataSample() for _ in inputs] if data_samples is None else data_samples
        return head.predict_by_feat(scores, samples)
