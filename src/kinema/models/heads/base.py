"""What classification heads share: loss with logged accuracy, prediction, averaging of views."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.layers.settings import check_given
from kinema.models.transfers import LabelRange, onto
from kinema.registry import MODELS

AverageClips = Literal["prob", "score"] | None


class BaseHead(BaseModule, ABC):
    """Features -> class scores; a subclass gives `forward`.

    Args:
        num_classes: N.
        in_channels: channels of the features.
        loss_cls: loss, or its config; default: cross entropy.
        multi_class: a clip may have several labels; scores become probabilities by a sigmoid, not a
            softmax.
        label_smooth_eps: share of a label that is spread evenly over all classes.
        topk: the k of the top-k accuracies that `loss` reports of each training batch.
        average_clips: how the scores of a sample's views are averaged: `"prob"` as probabilities,
            `"score"` as they are, None not at all. May be set at any time.
        init_cfg: see `BaseModule`.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        loss_cls: nn.Module | Mapping[str, Any] | None = None,
        multi_class: bool = False,
        label_smooth_eps: float = 0.0,
        topk: int | Sequence[int] = (1, 5),
        average_clips: AverageClips = None,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        # A head that gives features, as FeatureHead, has None.
        check_given(type(self).__name__, num_classes=num_classes, in_channels=in_channels)
        ks = (topk,) if isinstance(topk, int) else tuple(topk)
        if not ks or min(ks) < 1:
            raise ValueError(f"topk must be numbers from 1, got {topk}")
        loss_cls = {"type": "CrossEntropyLoss", "loss_weight": 1.0} if loss_cls is None else loss_cls
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.loss_cls: nn.Module = MODELS.build(loss_cls) if isinstance(loss_cls, Mapping) else loss_cls
        self.multi_class = multi_class
        self.label_smooth_eps = label_smooth_eps
        self.topk = ks
        self.average_clips = average_clips
        self._label_range = LabelRange()

    @property
    def average_clips(self) -> AverageClips:
        """How the scores of a sample's views are averaged."""
        return self._average_clips

    @average_clips.setter
    def average_clips(self, value: AverageClips) -> None:
        if value not in ("prob", "score", None):
            raise ValueError(f"average_clips must be 'prob', 'score' or None, got {value!r}")
        self._average_clips = value

    @abstractmethod
    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Features of B * V views -> (B * V, N) scores before any softmax."""

    def check_source(self, source: nn.Module, what: str = "backbone") -> None:
        """Raise `ConfigError` where the head cannot take what `source` gives.

        Recognizers ask when they are built.

        Here nothing is checked: a head of one's own may do with features what it likes.

        Args:
            source: the backbone or, if there is one, the neck.
            what: which of them it is.
        """

    def check_channels(self, x: Tensor | int, what: str = "backbone") -> None:
        """Raise `ConfigError` unless `x`, or its dimension 1, is the number of channels that the head was made for."""
        channels = x if isinstance(x, int) else x.shape[1]
        if channels != self.in_channels:
            raise ConfigError(
                f"the {what} gives {channels} channels, but {type(self).__name__} was built with "
                f"in_channels={self.in_channels}: set in_channels={channels} in cls_head"
            )

    # ---- training

    def loss(self, feats: Any, data_samples: Sequence[Any], **options: Any) -> dict[str, Tensor]:
        """Loss and accuracies of a training batch.

        Args:
            feats: features of B * V views, those of a sample one after the other.
            data_samples: B samples with `gt_label`: a class number, or N values for soft and
                multiple labels.
            **options: for `forward`, such as the `num_segs` of `Recognizer2D`.

        Returns:
            `loss_cls` (what a loss that returns a dict calls it, if so) and, for class numbers,
            `top1_acc`, ...; without a k of N or more, which would be 1 always.

        Raises:
            ConfigError: a label does not fit `num_classes` (one of an earlier batch, where labels are on a GPU), or the
                scores are not of B samples.
        """
        return self.loss_by_feat(self(feats, **options), data_samples)

    def loss_by_feat(self, cls_scores: Tensor, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """`loss`, from (B * V, N) scores."""
        num_classes = self.classes_of(cls_scores)
        labels = onto(self._labels(data_samples, num_classes), cls_scores.device)
        labels = labels.repeat_interleave(self._num_views(cls_scores, len(labels)), dim=0)
        losses: dict[str, Tensor] = {}
        if labels.dim() == 1:
            ks = [k for k in self.topk if k == 1 or k < num_classes]
            best = cls_scores.detach().topk(max(ks, default=1)).indices  # (B * V, k)
            hits = best == labels[:, None]
            losses = {f"top{k}_acc": hits[:, :k].any(1).float().mean() for k in ks}
        if self.label_smooth_eps:
            spread = F.one_hot(labels, num_classes) if labels.dim() == 1 else labels
            labels = (1 - self.label_smooth_eps) * spread + self.label_smooth_eps / num_classes
        loss = self.loss_cls(cls_scores, labels)
        return {**losses, **(loss if isinstance(loss, Mapping) else {"loss_cls": loss})}

    def classes_of(self, cls_scores: Tensor) -> int:
        """Number of classes that (B, ...) scores are compared with: N."""
        return self.num_classes

    def _labels(self, data_samples: Sequence[Any], num_classes: int) -> Tensor:
        """(B,) class numbers or (B, N) soft or multiple labels."""
        labels = torch.stack([sample.gt_label for sample in data_samples])
        if labels.dim() == 1:
            labels = labels[:, None]
        if labels.is_floating_point() or (labels.shape[1] == num_classes != 1):
            if labels.shape[1] != num_classes:
                raise ConfigError(
                    f"labels have {labels.shape[1]} values, but the head was built with num_classes={num_classes}:"
                    " set num_classes of cls_head, dataset and blending (MixupBlending, ...) to the number of classes"
                )
            return labels.float()
        if labels.shape[1] != 1:
            raise ConfigError(
                f"a sample has {labels.shape[1]} class numbers {labels[0].tolist()}, but this loss needs one: for"
                " several labels a clip set multi_class=True and num_classes in the dataset and in cls_head"
            )

        def describe(label: int) -> str:
            return (
                f"label {label} is out of range: the head has {num_classes=}, so labels go from 0 to {num_classes - 1}."
                " Correct the annotations, or set num_classes in cls_head"
            )

        return self._label_range.check(labels[:, 0], num_classes, describe)

    def train(self, mode: bool = True) -> Self:
        """Before an evaluation the labels of all training batches are checked."""
        if not mode:
            self._label_range.finish()
        return super().train(mode)

    def _num_views(self, cls_scores: Tensor, num_samples: int) -> int:
        """Rows of scores a sample."""
        num_views, rest = divmod(len(cls_scores), num_samples)
        if rest or not num_views:
            raise ConfigError(
                f"{type(self).__name__} gives {len(cls_scores)} rows of scores for {num_samples} samples: set what"
                " says how many frames a clip has, num_segments or temporal_pool, alike in backbone and cls_head"
            )
        return num_views

    # ---- prediction

    def predict(self, feats: Any, data_samples: Sequence[Any], **options: Any) -> list[Any]:
        """Write the prediction of each sample into it.

        Args:
            feats: features of B * V views, those of a sample one after the other.
            data_samples: B samples.
            **options: for `forward`.

        Returns:
            The samples, with `pred_score` (N,) and `pred_label` (1,); where `average_clips` is None
            and V is above 1, with (V, N) and (V,).
        """
        return self.predict_by_feat(self(feats, **options), data_samples)

    def predict_by_feat(self, cls_scores: Tensor, data_samples: Sequence[Any]) -> list[Any]:
        """`predict`, from (B * V, N) scores."""
        samples = list(data_samples)
        num_views = self._num_views(cls_scores, len(samples))
        scores = self.average_clip(cls_scores, num_views)
        if scores.dim() == 3 and num_views == 1:
            scores = scores[:, 0]
        labels = scores.argmax(-1, keepdim=scores.dim() == 2)
        for sample, score, label in zip(samples, scores, labels, strict=True):
            sample.set_pred_score(score)
            sample.set_pred_label(label)
        return samples

    def average_clip(self, cls_scores: Tensor, num_segs: int = 1) -> Tensor:
        """Average the scores of each sample's views.

        Args:
            cls_scores: (B * V, N), the views of a sample one after the other.
            num_segs: V.

        Returns:
            (B, N), or (B, V, N) where `average_clips` is None.

        Raises:
            ValueError: the number of rows is not a multiple of `num_segs`.
        """
        if num_segs < 1 or len(cls_scores) % num_segs:
            raise ValueError(f"{len(cls_scores)} scores cannot be averaged in groups of {num_segs} views")
        scores = cls_scores.unflatten(0, (-1, num_segs))
        if self.average_clips is None:
            return scores
        if self.average_clips == "prob":
            scores = scores.sigmoid() if self.multi_class else scores.softmax(dim=-1)
        return scores.mean(dim=1)
