"""Recognizers: data preprocessor + backbone + neck + head as one model.

`BaseRecognizer` has the three modes. The kinds of recognizers differ in how they fold the views and
frames of a sample into the rows that the backbone sees.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from kinema.checkpoints.contract import ModelContract
from kinema.checkpoints.saving import save_pretrained
from kinema.errors import CheckpointError, ConfigError
from kinema.models.backbones.libraries import build_third_party, is_third_party
from kinema.models.base import BaseModel, Mode
from kinema.models.features import features_of
from kinema.models.heads.base import BaseHead
from kinema.models.library_recognition import built_config
from kinema.models.preprocessors import ActionDataPreprocessor, check_range
from kinema.models.view_chunks import in_chunks
from kinema.registry import MODELS
from kinema.structures import ActionDataSample

logger = logging.getLogger("kinema")

Part = nn.Module | Mapping[str, Any]
Stage = Literal["backbone", "neck", "head"]
_STAGES: tuple[Stage, ...] = get_args(Stage)  # torch 2.6 cannot compile `get_args`


@dataclass(frozen=True)
class Folded:
    """Inputs of a recognizer as its backbone sees them.

    Attributes:
        rows: those of a sample one after the other.
        num_segs: rows of a sample where these are frames, for heads that join them; None: rows are
            views.
    """

    rows: Tensor
    num_segs: int | None = None

    @property
    def options(self) -> Mapping[str, int]:
        """What the head gets beside the features."""
        return {} if self.num_segs is None else {"num_segs": self.num_segs}


class BaseRecognizer(BaseModel):
    """What recognizers share: the parts, the three modes, and prediction in pieces.

    A subclass defines `fold`, or `extract_feat`, `loss` and `predict`.

    Args:
        backbone: what a recognizer feeds it is said there; gives features, one tensor or a tuple of
            them; module or config.
        cls_head: features -> scores, see `BaseHead`. Without it the model gives features only.
        neck: called with the features and the data samples (None outside training), returns
            features and a dict of further losses.
        train_cfg: has no keys so far.
        test_cfg: settings of prediction. `fcn_test`: the head classifies as a convolution, as
            `TPNHead` can; `max_testing_views`: how many views (frames, where the backbone sees
            those) go through the backbone at once, at most; without it as many as memory allows,
            see `in_chunks`; the recognizers name what else they have.
        data_preprocessor: see `BaseModel`; default: `ActionDataPreprocessor()`, which stacks clips.

    Attributes:
        contract: what `save_pretrained` writes beside the weights; `kinema.create_model` sets it to
            what the model's card says, a `Runner` to what it trains with, `kinema.load` to what the
            checkpoint says.
        backbone_config: of a backbone of another library: what builds it again, without its weights.

    Raises:
        ConfigError: `train_cfg` or `test_cfg` has an unknown key or a wrong value, or the head or the
            preprocessor does not fit the backbone.
    """

    contract: ModelContract | None = None
    num_segs: int | None  # frames of a view that a neck joins in prediction
    takes_clips: ClassVar[bool] = True  # the backbone sees (B, C, T, H, W), not (B, C, H, W)
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
        super().__init__(ActionDataPreprocessor() if data_preprocessor is None else data_preprocessor)
        self._check_keys("train_cfg", train_cfg, ())
        self._check_keys("test_cfg", test_cfg, self.test_keys)
        self.train_cfg = train_cfg
        self.test_cfg = test_cfg
        self._features: Callable[[nn.Module, Tensor], Any] = _call
        self.backbone_config: dict[str, Any] | None = None
        self.backbone = self._build_backbone(backbone)
        self.neck = None if neck is None else build_part(neck)
        self.cls_head = None if cls_head is None else build_part(cls_head)
        check_range(self.backbone, self.data_preprocessor)
        if isinstance(self.cls_head, BaseHead):
            source, what = (self.backbone, "backbone") if self.neck is None else (self.neck, "neck")
            self.cls_head.check_source(source, what)
        self.num_segs = (test_cfg or {}).get("num_segs")
        self.max_testing_views: int | None = (test_cfg or {}).get("max_testing_views")
        self._check_test_views()
        # What the head gets in prediction.
        self.predict_options = {"fcn_test": True} if (test_cfg or {}).get("fcn_test") else {}
        if self.predict_options:
            self._prepare_fcn_test()

    def _check_test_views(self) -> None:
        """Refuse a number of views in prediction that the parts cannot take."""
        if self.max_testing_views is not None and self.max_testing_views < 1:
            raise ConfigError(f"max_testing_views of test_cfg must be at least 1, got {self.max_testing_views}")

    def forward(self, inputs: Tensor, data_samples: Sequence[Any] | None = None, mode: Mode = "tensor") -> Any:
        """Compute on preprocessed clips.

        Args:
            inputs: float, normalised, in the shape that the recognizer names.
            data_samples: B samples, with `gt_label` for `"loss"`; `"predict"` makes new ones when
                there are none.
            mode: `"tensor"`: features; `"loss"`: dict of losses and accuracies; `"predict"`: the
                samples with `pred_score` and `pred_label`.

        Raises:
            ValueError: another shape, an unknown mode, or `"loss"` without samples.
            ConfigError: there is no head, or it does not fit the backbone, the clips or the labels.
        """
        if mode == "tensor":
            return features_and_options(self.extract_feat(inputs))[0]
        if mode == "loss":
            return self.loss(inputs, data_samples)
        if mode == "predict":
            return self.predict(inputs, data_samples)
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def fold(self, inputs: Tensor) -> Folded:
        """The inputs as the rows that the backbone sees.

        Raises:
            ValueError: the inputs have another shape than the recognizer takes.
            ConfigError: their frames do not fit the backbone or the head.
            NotImplementedError: the class defines neither this nor `extract_feat`, `loss` and
                `predict`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define fold, or extract_feat, loss and predict")

    def extract_feat(
        self,
        inputs: Tensor,
        stage: Stage = "neck",
        data_samples: Sequence[Any] | None = None,
        test_mode: bool = False,
    ) -> tuple[Any, dict[str, Any]]:
        """Features of all rows, and what the head gets beside them.

        Args:
            inputs: see `forward`.
            stage: "backbone": its features; "neck": those after it, where there is one; "head": the
                scores.
            data_samples: B samples of a training, for a neck with losses of its own.
            test_mode: as in prediction: some views at a time, and the options of prediction.

        Returns:
            The features, and keywords for the head; among them, of a neck, `loss_aux`: its losses,
            which are no keyword of the head.

        Raises:
            ValueError: there is no such stage, or the inputs have another shape.
            ConfigError: there is no head for "head", or parts do not fit one another.
        """
        if stage not in _STAGES:
            raise ValueError(f"stage must be one of {', '.join(_STAGES)}, got {stage!r}")
        folded = self.fold(inputs)
        if stage == "head":
            self._check_scored(inputs)
        if test_mode:
            together = features_of(self.backbone).frames_per_row or 1
            feats = in_chunks(self._backbone, folded.rows, self.max_testing_views, multiple=together)
        else:
            feats = self._backbone(folded.rows)
        options: dict[str, Any] = dict(folded.options)
        if stage != "backbone" and self.neck is not None:
            feats, joined, losses = self._join(feats, folded, data_samples)
            options |= {**joined, "loss_aux": losses}
        if test_mode:
            options |= self.predict_options
        if stage == "head":
            keywords = {key: value for key, value in options.items() if key != "loss_aux"}
            feats = self._head()(feats, **keywords)
        return feats, options

    def loss(self, inputs: Tensor, data_samples: Sequence[Any] | None) -> dict[str, Tensor]:
        """Losses of the head and of the neck, and the head's accuracies."""
        head = self._head()
        if data_samples is None:
            raise ValueError("mode 'loss' needs data_samples with gt_label")
        self._check_scored(inputs)
        feats, options = features_and_options(self.extract_feat(inputs, data_samples=data_samples))
        losses = options.pop("loss_aux", {})
        return {**head.loss(feats, data_samples, **options), **losses}

    def predict(self, inputs: Tensor, data_samples: Sequence[Any] | None = None) -> list[Any]:
        """The samples, or new ones, with `pred_score` and `pred_label`."""
        head = self._head()
        self._check_scored(inputs)
        feats, options = features_and_options(self.extract_feat(inputs, test_mode=True))
        options.pop("loss_aux", None)
        samples = [ActionDataSample() for _ in inputs] if data_samples is None else data_samples
        return head.predict(feats, samples, **options)

    def _check_scored(self, inputs: Tensor) -> None:
        """Refuse inputs of which the head cannot score all rows."""

    @property
    def with_neck(self) -> bool:
        """Is there a neck?"""
        return self.neck is not None

    @property
    def with_cls_head(self) -> bool:
        """Is there a head?"""
        return self.cls_head is not None

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
            pipeline: configs of the transforms that prepare a video, see
                `kinema.transforms.contract.split_pipeline`; None: those that a `Runner` trained it
                with, else those of its checkpoint or of the model's card.
            model: config of the model; None: the one it was created by.

        Returns:
            The folder.

        Raises:
            CheckpointError: the config or the pipeline is not known, so that it could not be loaded
                again, or there are not as many class names as classes.
        """
        contract = self.contract or ModelContract()
        if model is not None:
            contract = replace(contract, model=built_config(model, self))
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
        """Classes of the head; None without a head, or where it does not say."""
        return getattr(self.cls_head, "num_classes", None)

    @property
    def backbone_from(self) -> str:
        """The library of the backbone, such as "timm"; "mmaction2" of Kinema's own, OpenMMLab's word for it."""
        return "mmaction2" if self.backbone_config is None else str(self.backbone_config["type"]).partition(".")[0]

    def _build_backbone(self, backbone: Part) -> nn.Module:
        if not isinstance(backbone, Mapping) or not is_third_party(backbone):
            return build_part(backbone)
        network = build_third_party(backbone)
        if network.takes_clips != self.takes_clips:
            raise ConfigError(
                f"{backbone['type']} takes {'clips' if network.takes_clips else 'single frames'}: it needs"
                f" {'Recognizer3D' if network.takes_clips else 'Recognizer2D'}, not {type(self).__name__}"
            )
        self._features, self.backbone_config = network.features, network.config
        return network.module

    def _backbone(self, rows: Tensor) -> Any:
        return self._features(self.backbone, rows)

    def _join(
        self, feats: Any, folded: Folded, data_samples: Sequence[Any] | None
    ) -> tuple[Any, Mapping[str, int], dict[str, Tensor]]:
        """Features after the neck, which sees clips; options for the head; the neck's losses."""
        assert self.neck is not None
        if folded.num_segs is None:
            feats, losses = self.neck(feats, data_samples)
            return feats, folded.options, losses
        if isinstance(feats, Tensor):
            raise ConfigError(
                f"a neck joins several levels of features, but the backbone ({type(self.backbone).__name__}) gives one:"
                " set out_indices of the backbone, e.g. out_indices=(2, 3)"
            )
        frames = self.num_segs if data_samples is None else None
        frames = frames or features_of(self.backbone).frames_per_row or folded.num_segs
        levels = [level.unflatten(0, (-1, frames)).transpose(1, 2).contiguous() for level in feats]
        feats, losses = self.neck(levels, data_samples)  # (views, C', T', H', W')
        return feats, {"num_segs": 1}, losses

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
            if key == "average_clips":
                logger.warning(
                    "%s of %s: average_clips has no effect here, as in MMAction2 1.x: set it in cls_head",
                    name,
                    type(self).__name__,
                )
            elif key not in known:
                raise ConfigError(
                    f"{name} of {type(self).__name__} has no key {key!r}; its keys: {', '.join(known) or 'none'}"
                )


def build_part(part: Part) -> nn.Module:
    """The module itself, or the one that a config describes."""
    return part if isinstance(part, nn.Module) else MODELS.build(part)


def features_and_options(extracted: Any) -> tuple[Any, dict[str, Any]]:
    """What `extract_feat` gives, also of a recognizer whose own one gives the features alone."""
    if isinstance(extracted, tuple) and len(extracted) == 2 and isinstance(extracted[1], Mapping):
        return extracted[0], dict(extracted[1])
    return extracted, {}


def _call(backbone: nn.Module, frames: Tensor) -> Any:
    return backbone(frames)
