"""A recognizer of single frames."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.features import features_of
from kinema.models.layers.inputs import sizes
from kinema.models.recognition import BaseRecognizer, Folded
from kinema.registry import MODELS


@MODELS.register_module()
class Recognizer2D(BaseRecognizer):
    """Recognizer whose backbone sees single frames; the head, or the backbone's layers, join the frames of a clip.

    It takes inputs (B, S, C, H, W): the S frames of all of a sample's views, those of a view one
    after the other, and `"tensor"` gives the features of B * S frames, or what the neck makes of
    them.

    Args:
        backbone: (B * S, C, H, W) -> (B * S, C', H', W'); module or config, also of other
            libraries: `timm.NAME`, `torchvision.NAME`, `transformers.NAME`, whose further keys go to
            that library. One with an attribute `num_segments` joins so many frames, which must divide S.
        cls_head: called with `num_segs` too: frames of a sample among the features.
        neck: gets every level as (B, C, S, H, W); see `BaseRecognizer`, as `train_cfg` and
            `data_preprocessor`.
        train_cfg: see there.
        test_cfg: see there; `num_segs`: frames of a view that a neck joins in prediction, default
            those of the backbone.
        data_preprocessor: see there.
    """

    test_keys = ("fcn_test", "num_segs", "max_testing_views")
    takes_clips = False

    def _check_test_views(self) -> None:
        super()._check_test_views()
        joined = features_of(self.backbone).frames_per_row
        if joined and (self.max_testing_views or 0) % joined:
            raise ConfigError(
                f"max_testing_views={self.max_testing_views} of test_cfg cuts clips apart: it must be a multiple of the"
                f" {joined} frames that the backbone joins (num_segments)"
            )

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        self._check_joined()
        return super().loss(inputs, data_samples)

    def _check_joined(self) -> None:
        """In training, a row of scores must be of whole clips: it is compared with their label."""
        clip, joined = (features_of(part).frames_per_row for part in (self.backbone, self.cls_head))
        if clip and joined and joined % clip:
            raise ConfigError(
                f"the backbone ({type(self.backbone).__name__}) joins num_segments={clip} frames, but the head "
                f"({type(self.cls_head).__name__}) scores {joined} of them: set num_segments={clip} in cls_head"
            )

    def fold(self, inputs: Tensor) -> Folded:
        """(B, S, C, H, W) -> (B * S, C, H, W), without a copy where memory allows."""
        if inputs.dim() != 5:
            raise ValueError(
                "Recognizer2D takes inputs of shape (batch, segments, channels, height, width), got"
                f" {sizes(inputs)}: set input_format='NCHW' in FormatShape; for frames of one clip without batch:"
                " inputs.unsqueeze(0)"
            )
        channels = getattr(self.backbone, "in_channels", None)
        if channels == inputs.shape[1] != inputs.shape[2]:
            raise ConfigError(
                "Recognizer2D takes inputs of shape (batch, segments, channels, height, width), got"
                f" {sizes(inputs)}, whose {channels} channels seem to come before the segments: set"
                " input_format='NCHW' in FormatShape"
            )
        self._check_frames(inputs, "backbone", self.backbone)
        return Folded(inputs.flatten(0, 1), num_segs=inputs.shape[1])

    def _check_scored(self, inputs: Tensor) -> None:
        if inputs.dim() == 5:
            self._check_frames(inputs, "cls_head", self.cls_head)

    @staticmethod
    def _check_frames(inputs: Tensor, name: str, part: nn.Module | None) -> None:
        joined = features_of(part).frames_per_row
        if joined and inputs.shape[1] % joined:
            raise ConfigError(
                f"a sample has {inputs.shape[1]} frames, but the {name} ({type(part).__name__}) joins"
                f" num_segments={joined} of them: sample a multiple of {joined} frames, or set num_segments of the"
                f" {name}"
            )
