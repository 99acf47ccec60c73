"""Names that signatures of custom heads, recognizers and hooks use."""

from typing import Any

from torch import Tensor

from kinema.config import ConfigDict
from kinema.structures import ActionDataSample, InstanceData
from kinema.structures.instances import IndexType as IndexType

ConfigType = ConfigDict | dict[str, Any]
OptConfigType = ConfigType | None
MultiConfig = ConfigType | list[ConfigType]
OptMultiConfig = MultiConfig | None

InstanceList = list[InstanceData]
OptInstanceList = InstanceList | None
LabelList = list[InstanceData]

SampleList = list[ActionDataSample]
OptSampleList = SampleList | None

DATA_BATCH = dict[str, Any] | tuple[Any, ...] | list[Any] | None

ForwardResults = dict[str, Tensor] | list[ActionDataSample] | tuple[Tensor, ...] | Tensor
