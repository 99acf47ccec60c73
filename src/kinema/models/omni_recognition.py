"""A recognizer of images and clips.

Source: OmniSource, Duan et al. 2020, arXiv:2003.13042, which trains on both together.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kinema.models.layers.inputs import sizes
from kinema.models.recognition import BaseRecognizer, Folded, Mode, Part
from kinema.registry import MODELS


@MODELS.register_module()
class RecognizerOmni(BaseRecognizer):
    """Recognizer of images and clips; the views of a sample go through it like samples.

    It takes images (B, C, H, W) or clips (B, V, C, T, H, W). A loss may be that of several batches,
    one of images and one of clips: `loss_cls_0`, `loss_cls_1`, ...

    Args:
        backbone: takes images and clips, as `OmniResNet`.
        cls_head: classifies both, as `OmniHead`.
        data_preprocessor: see `BaseModel`.
    """

    def __init__(self, backbone: Part, cls_head: Part | None = None, data_preprocessor: Part | None = None) -> None:
        super().__init__(backbone, cls_head, data_preprocessor=data_preprocessor)

    def forward(self, *batches: Any, mode: Mode = "tensor", **batch: Any) -> Any:
        """As in `BaseRecognizer`, of one batch; for `"loss"`, of several too.

        Args:
            *batches: `inputs` and `data_samples`; or preprocessed batches, dicts with both.
            mode: see there.
            **batch: `inputs` and `data_samples` by name.

        Raises:
            ValueError: several batches in another mode.
        """
        if not any(isinstance(part, Mapping) for part in batches):
            return super().forward(*batches, **batch, mode=mode)  # type: ignore[misc]
        if mode != "loss":
            raise ValueError(f"RecognizerOmni takes several batches for mode='loss' only, got {mode!r}")
        return {
            f"{name}_{number}": value
            for number, part in enumerate(batches)
            for name, value in self.loss(part["inputs"], part["data_samples"]).items()
        }

    def fold(self, inputs: Tensor) -> Folded:
        """Images as they are; (B, V, C, T, H, W) -> (B * V, C, T, H, W)."""
        if inputs.dim() not in (4, 6):
            raise ValueError(
                "RecognizerOmni takes images (batch, channels, height, width) or clips (batch, views, channels, frames,"
                f" height, width), got {sizes(inputs)}"
            )
        return Folded(inputs if inputs.dim() == 4 else inputs.flatten(0, 1))
