"""Recognizer of single frames, joined by the head or by layers of the backbone."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.libraries import build_third_party, is_third_party
from kinema.models.recognizers.base import BaseRecognizer, Part, build_part, in_chunks, labelled, samples_for
from kinema.registry import MODELS


@MODELS.register_module()
class Recognizer2D(BaseRecognizer):
    """Recognizer whose backbone sees single frames; the head, or the backbone's layers, join the frames of a clip.

    It takes inputs (B, S, C, H, W): the S frames of all of a sample's views, those of a view one after the other, and
    `"tensor"` gives the features of B * S frames, or what the neck makes of them.

    Args:
        backbone: (B * S, C, H, W) -> (B * S, C', H', W'); module or config, also of other libraries: `timm.NAME`,
            `torchvision.NAME`, whose further keys go to that library. One with an attribute `num_segments` joins so many
            frames, which must divide S.
        cls_head: called with `num_segs` too: frames of a sample among the features.
        neck: gets every level as (B, C, S, H, W); see `BaseRecognizer`, as `train_cfg` and `data_preprocessor`.
        train_cfg: see there.
        test_cfg: see there; `num_segs`: frames of a view that a neck joins in prediction, default those of the backbone.
        data_preprocessor: see there.
    """

    test_keys = ("fcn_test", "num_segs", "max_testing_views")

    def __init__(
        self,
        backbone: Part,
        cls_head: Part | None = None,
        neck: Part | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: Part | None = None,
    ) -> None:
        self._features: Callable[[nn.Module, Tensor], Any] = _call
        super().__init__(backbone, cls_head, neck, train_cfg, test_cfg, data_preprocessor)
        self.num_segs: int | None = (test_cfg or {}).get("num_segs")
        joined = getattr(self.backbone, "num_segments", None)
        if joined and (self.max_testing_views or 0) % joined:
            raise ConfigError(
                f"max_testing_views={self.max_testing_views} of test_cfg cuts clips apart: it must be a multiple of the "
                f"{joined} frames that the backbone joins (num_segments)"
            )

    def extract_feat(self, inputs: Tensor) -> Any:
        """(B, S, C, H, W) -> features of B * S frames, (B * S, C', H', W'), or what the neck makes of them."""
        feats = self._backbone(self._frames(inputs))
        return feats if self.neck is None else self._join(feats, inputs.shape[1], None)[0]

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        head = self._head()
        samples = labelled(data_samples)
        self._check_joined()
        feats, num_segs = self._backbone(self._frames(inputs)), inputs.shape[1]
        losses: dict[str, Tensor] = {}
        if self.neck is not None:
            feats, num_segs, losses = self._join(feats, num_segs, samples)
        return {**head.loss(feats, samples, num_segs=num_segs), **losses}

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        head = self._head()
        frames, num_segs = self._frames(inputs), inputs.shape[1]
        feats = in_chunks(self._backbone, frames, self.max_testing_views or len(frames))
        if self.neck is not None:
            feats, num_segs, _ = self._join(feats, num_segs, None)
        return head.predict(feats, samples_for(inputs, data_samples), num_segs=num_segs, **self.predict_options)

    def _build_backbone(self, backbone: Part) -> nn.Module:
        if isinstance(backbone, Mapping) and is_third_party(backbone):
            module, self._features = build_third_party(backbone)
            return module
        return build_part(backbone)

    def _backbone(self, frames: Tensor) -> Any:
        return self._features(self.backbone, frames)

    def _frames(self, inputs: Tensor) -> Tensor:
        """(B, S, C, H, W) -> (B * S, C, H, W), without a copy where memory allows."""
        if inputs.dim() != 5:
            raise ValueError(
                f"Recognizer2D takes inputs of shape (batch, segments, channels, height, width), got {tuple(inputs.shape)}: set "
                "input_format='NCHW' in FormatShape; for frames of one clip without batch: inputs.unsqueeze(0)"
            )
        channels = getattr(self.backbone, "in_channels", None)
        if channels == inputs.shape[1] != inputs.shape[2]:
            raise ConfigError(
                f"Recognizer2D takes inputs of shape (batch, segments, channels, height, width), got {tuple(inputs.shape)}, whose "
                f"{channels} channels seem to come before the segments: set input_format='NCHW' in FormatShape"
            )
        for name, part in (("backbone", self.backbone), ("cls_head", self.cls_head)):
            joined = getattr(part, "num_segments", None)
            if joined and inputs.shape[1] % joined:
                raise ConfigError(
                    f"a sample has {inputs.shape[1]} frames, but the {name} ({type(part).__name__}) joins "
                    f"num_segments={joined} of them: sample a multiple of {joined} frames, or set num_segments of the {name}"
                )
        return inputs.flatten(0, 1)

    def _check_joined(self) -> None:
        """In training, a row of scores must be of whole clips: it is compared with their label."""
        clip, joined = (getattr(part, "num_segments", None) for part in (self.backbone, self.cls_head))
        if clip and joined and joined % clip:
            raise ConfigError(
                f"the backbone ({type(self.backbone).__name__}) joins num_segments={clip} frames, but the head "
                f"({type(self.cls_head).__name__}) scores {joined} of them: set num_segments={clip} in cls_head"
            )

    def _join(
        self, feats: Any, num_segs: int, data_samples: Sequence[Any] | None
    ) -> tuple[Any, int, dict[str, Tensor]]:
        """Features after the neck, frames of a sample among them, and the neck's losses."""
        assert self.neck is not None
        if isinstance(feats, Tensor):
            raise ConfigError(
                f"a neck joins several levels of features, but the backbone ({type(self.backbone).__name__}) gives one: "
                "set out_indices of the backbone, e.g. out_indices=(2, 3)"
            )
        own = self.num_segs if data_samples is None else None
        num_segs = own or getattr(self.backbone, "num_segments", None) or num_segs
        levels = [level.unflatten(0, (-1, num_segs)).transpose(1, 2).contiguous() for level in feats]
        joined, losses = self.neck(levels, data_samples)  # (views, C', T', H', W')
        return joined, 1, losses


def _call(backbone: nn.Module, frames: Tensor) -> Any:
    return backbone(frames)
