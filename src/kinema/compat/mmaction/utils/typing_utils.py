"""`mmaction.utils.typing_utils`, thin over Kinema."""

from kinema.compat.parts.types import (
    ConfigType,
    ForwardResults,
    InstanceList,
    LabelList,
    MultiConfig,
    OptConfigType,
    OptInstanceList,
    OptMultiConfig,
    OptSampleList,
    SampleList,
)

__all__ = [
    "ConfigType",
    "ForwardResults",
    "InstanceList",
    "LabelList",
    "MultiConfig",
    "OptConfigType",
    "OptInstanceList",
    "OptMultiConfig",
    "OptSampleList",
    "SampleList",
]
