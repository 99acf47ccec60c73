"""`mmaction.utils`, thin over Kinema."""

from kinema.compat.parts.bgr_video import frame_extract
from kinema.compat.parts.loggers import get_root_logger
from kinema.compat.parts.names import get_str_type
from kinema.compat.parts.scopes import register_all_modules
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
    "frame_extract",
    "get_root_logger",
    "get_str_type",
    "register_all_modules",
]
