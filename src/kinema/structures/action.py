"""Labels and predictions of one video."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from kinema.structures.base import BaseDataElement
from kinema.structures.instances import InstanceData
from kinema.structures.label import LabelData

LabelLike = int | Sequence[int] | np.ndarray | Tensor
ScoreLike = Sequence[float] | np.ndarray | Tensor | Mapping[str, Any]


def _instances_field(name: str, doc: str) -> property:
    """A field that must be `InstanceData`."""

    def read(self: BaseDataElement) -> InstanceData:
        instances: InstanceData = getattr(self, f"_{name}")
        return instances

    def write(self: BaseDataElement, value: InstanceData) -> None:
        self.set_field(value, f"_{name}", dtype=InstanceData)

    return property(read, write, doc=doc)


class ActionDataSample(BaseDataElement):
    """Labels and predictions of one video.

    The fields that recognition uses: `gt_label` (1,) int64 (multi-label: (N,) float), `pred_score`
    (N,) float, `pred_label` (1,) int64. Detection and localization use `gt_instances`,
    `pred_instances`, `proposals`, `features`.
    """

    def set_gt_label(self, value: LabelLike) -> Self:
        """Set the true label: an int, classes as a sequence or array, or a tensor (kept as it is)."""
        self.gt_label = label_tensor(value)
        return self

    def set_pred_label(self, value: LabelLike) -> Self:
        """Set the predicted label: an int, classes as a sequence or array, or a tensor (kept as it is)."""
        self.pred_label = label_tensor(value)
        return self

    def set_pred_score(self, value: ScoreLike) -> Self:
        """Set the scores, (N,); a dict of several scores (one a modality) is allowed.

        The first ones write their N into the metainfo as `num_classes`.

        Raises:
            ValueError: the sample is of another number of classes.
        """
        scores = score_tensor(value)
        if isinstance(scores, Tensor) and scores.ndim:
            known, number = self.get("num_classes"), scores.shape[-1]
            if known is None:
                self.set_field(number, "num_classes", field_type="metainfo")
            elif known != number:
                raise ValueError(f"the sample is of {known} classes (`num_classes`), got {number} scores")
        self.pred_score = scores
        return self

    @property
    def pred_scores(self) -> Any:
        """The scores as `LabelData(item=pred_score)`, the form that older heads write and read."""
        if "_pred_scores" in self.__dict__:
            return self._pred_scores
        return LabelData(item=self.pred_score)

    @pred_scores.setter
    def pred_scores(self, value: Any) -> None:
        if isinstance(value, LabelData) and value.keys() == ["item"]:
            self.set_pred_score(value.item)
        else:  # a field of the user's own that has the name
            self.set_field(value, "_pred_scores")

    def __contains__(self, name: str) -> bool:
        return super().__contains__("pred_score" if name == "pred_scores" else name) or super().__contains__(name)

    gt_instances = _instances_field("gt_instances", "True boxes, segments and their labels.")
    pred_instances = _instances_field("pred_instances", "Predicted boxes, segments and their scores.")
    proposals = _instances_field("proposals", "Boxes that a detector proposed.")
    features = _instances_field("features", "Features that were computed beforehand.")


def label_tensor(value: Any) -> Tensor:
    """Int -> (1,) int64; sequence or array -> int64 tensor; tensor -> itself, of one dimension at least."""
    if isinstance(value, Tensor):
        return value if value.dim() else value[None]
    if isinstance(value, int | np.integer):
        return torch.tensor([int(value)])
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.atleast_1d(value).astype(np.int64))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return torch.tensor(list(value)).to(torch.long)
    raise TypeError(
        f"a label must be an int, a sequence of ints, an array or a tensor, got {type(value).__name__}: {value!r}"
    )


def score_tensor(value: Any) -> Any:
    """Sequence or array -> tensor; tensor -> itself; dict -> dict of these."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Mapping):
        return {name: score_tensor(scores) for name, scores in value.items()}
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return torch.tensor(value, dtype=torch.float32)
    raise TypeError(
        f"scores must be a sequence of floats, an array, a tensor or a dict of these, got {type(value).__name__}"
    )
