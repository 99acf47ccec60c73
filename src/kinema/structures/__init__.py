"""What travels beside a batch: labels, scores and facts about one video, as attributes of one object.

An element keeps two kinds of fields apart: *metainfo* describes where the data came from
(`img_shape`, `num_clips`) and never moves to a device; *data* is what models and metrics read and
write (`gt_label`, `pred_score`).

The names below are imported when they are first used: a `Segment` needs no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinema.structures.action import ActionDataSample
    from kinema.structures.base import BaseDataElement
    from kinema.structures.instances import InstanceData
    from kinema.structures.label import LabelData
    from kinema.structures.segment import Segment

__all__ = ["ActionDataSample", "BaseDataElement", "InstanceData", "LabelData", "Segment"]

_MODULES = {
    "ActionDataSample": "action",
    "BaseDataElement": "base",
    "InstanceData": "instances",
    "LabelData": "label",
    "Segment": "segment",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
