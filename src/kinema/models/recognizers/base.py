"""What recognizers share: the parts, the three modes, prediction in pieces."""

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.saving import save_pretrained
from kinema.errors import CheckpointError, ConfigError
from kinema.models.base import BaseModel, Mode
from kinema.models.heads.base import BaseHead
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

Part = nn.Module | Mapping[str, Any]


class BaseRecognizer(BaseModel):
    """What recognizers share: the parts, the three modes, and prediction in pieces.

    Args:
        backbone: what a recognizer feeds it is said there; gives features, one tensor or a tuple of them; module or config.
        cls_head: features -> scores, see `BaseHead`. Without it the model gives features only.
        neck: called with the features and the data samples (None outside training), returns features and a dict of
            further losses.
        train_cfg: has no keys so far.
        test_cfg: settings of prediction. `fcn_test`: the head classifies as a convolution, as `TPNHead` can;
            `max_testing_views`: how many views (frames, where the backbone sees those) go through the backbone at once, at
            most; the recognizers name what else they have.
        data_preprocessor: see `BaseModel`.

    Attributes:
        contract: what `save_pretrained` writes beside the weights; `kinema.create_model` sets it to what the
            model's card says, a `Runner` to what it trains with, `kinema.load` to what the checkpoint says.

    Raises:
        ConfigError: `train_cfg` or `test_cfg` has an unknown key or a wrong value, or the head does not fit the backbone.
    """

    contract: ModelContract | None = None
    test_keys: ClassVar[tuple[str, ...]] = ("fcn_test", "max_testing_views")

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
        self._check_keys("train_cfg", train_cfg, ())
        self._check_keys("test_cfg", test_cfg, self.test_keys)
        self.backbone = self._build_backbone(backbone)
        self.neck = None if neck is None else build_part(neck)
        self.cls_head = None if cls_head is None else build_part(cls_head)
        if isinstance(self.cls_head, BaseHead):
            source, what = (self.backbone, "backbone") if self.neck is None else (self.neck, "neck")
            self.cls_head.check_source(source, what)
        self.max_testing_views: int | None = (test_cfg or {}).get("max_testing_views")
        if self.max_testing_views is not None and self.max_testing_views < 1:
            raise ConfigError(f"max_testing_views of test_cfg must be at least 1, got {self.max_testing_views}")
        # What the head is told in prediction.
        self.predict_options = {"fcn_test": True} if (test_cfg or {}).get("fcn_test") else {}
        if self.predict_options:
            self._prepare_fcn_test()

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: Mode = "tensor") -> Any:
        """Compute on preprocessed clips.

        Args:
            inputs: float, normalised, in the shape that the recognizer names.
            data_samples: B samples, with `gt_label` for `"loss"`; `"predict"` makes new ones when there are none.
            mode: `"tensor"`: features; `"loss"`: dict of losses and accuracies; `"predict"`: the samples with `pred_score`
                and `pred_label`.

        Raises:
            ValueError: another shape, an unknown mode, or `"loss"` without samples.
            ConfigError: there is no head, or it does not fit the backbone, the clips or the labels.
        """
        if mode == "tensor":
            return self.extract_feat(inputs)
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    @abstractmethod
    def extract_feat(self, inputs: Tensor) -> Any:
        """Features, after the neck if there is one."""

    @abstractmethod
    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        """Losses of the head and of the neck, and the head's accuracies."""

    @abstractmethod
    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        """The samples with `pred_score` and `pred_label`."""

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        classes: Sequence[str] = (),
        pipeline: Sequence[Mapping[str, Any]] | None = None,
        model: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write weights, contract and a model card into `folder`, from which `kinema.load` makes a recognizer.

        Args:
            folder: is made; one that exists is replaced.
            classes: class names by index; empty: those known already, or the indices.
            pipeline: configs of the transforms that prepare a video, see `kinema.transforms.split_pipeline`; None: those that
                a `Runner` trained it with, else those of its checkpoint or of the model's card.
            model: config of the model; None: the one it was created by.

        Returns:
            The folder.

        Raises:
            CheckpointError: the config or the pipeline is not known, so that it could not be loaded again, or there are not
                as many class names as classes.
        """
        contract = self.contract or ModelContract()
        if model is not None:
            contract = replace(contract, model=dict(model))
        if pipeline is not None:
            contract = contract.with_pipeline(pipeline)
        if classes:
            contract = replace(contract, classes=tuple(classes))
        if contract.classes and self.num_classes not in (None, len(contract.classes)):
            raise CheckpointError(
                f"{folder}: not saved: {len(contract.classes)} class names for {self.num_classes} classes"
            )
        for known, missing in (
            (contract.model, "model=CONFIG"),
            (contract.sampling, "pipeline=[...], which opens and decodes a video"),
        ):
            if known is None:
                raise CheckpointError(
                    f"{folder}: not saved, for it could not be loaded again: give {missing}, or make the model by "
                    "kinema.create_model"
                )
        return save_pretrained(self, folder, config=contract, card=True)

    @property
    def num_classes(self) -> int | None:
        """Classes that the head tells apart; None without a head, or where it does not say."""
        return getattr(self.cls_head, "num_classes", None)

    def _build_backbone(self, backbone: Part) -> nn.Module:
        return build_part(backbone)

    def _head(self) -> Any:
        if self.cls_head is None:
            raise ConfigError(
                "the recognizer has no cls_head: it gives features (mode='tensor'), no losses or predictions"
            )
        return self.cls_head

    def _prepare_fcn_test(self) -> None:
        prepare = getattr(self.cls_head, "prepare_fcn_test", None)
        if prepare is None:
            raise ConfigError(
                f"test_cfg says fcn_test=True, but the head ({type(self.cls_head).__name__}) cannot classify as a "
                "convolution: TPNHead can; or leave fcn_test out"
            )
        prepare()

    def _check_keys(self, name: str, cfg: Mapping[str, Any] | None, known: Sequence[str]) -> None:
        for key in cfg or ():
            if key not in known:
                hint = "; set it in cls_head" if key == "average_clips" else ""
                raise ConfigError(
                    f"{name} of {type(self).__name__} has no key {key!r}{hint}; its keys: {', '.join(known) or 'none'}"
                )


def build_part(part: Part) -> nn.Module:
    """The module itself, or the one that a config describes."""
    return part if isinstance(part, nn.Module) else MODELS.build(part)


def labelled(data_samples: Sequence[Any] | None) -> Sequence[Any]:
    """The samples; `ValueError` where there are none to take labels from."""
    if data_samples is None:
        raise ValueError("mode 'loss' needs data_samples with gt_label")
    return data_samples


def samples_for(inputs: Tensor, data_samples: Sequence[Any] | None) -> Sequence[Any]:
    """The samples, or B new ones to write predictions into."""
    return [ActionDataSample() for _ in inputs] if data_samples is None else data_samples


def in_chunks(backbone: Callable[[Tensor], Any], views: Tensor, size: int) -> Any:
    """Features of all views, computed `size` views at a time."""
    if len(views) <= size:
        return backbone(views)
    parts = [backbone(chunk) for chunk in views.split(size)]
    if isinstance(parts[0], Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(level) for level in zip(*parts, strict=True))
