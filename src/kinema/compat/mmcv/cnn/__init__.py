"""`mmcv.cnn`, thin over Kinema."""

from kinema.models.layers import (
    ConvModule,
    HSigmoid,
    NonLocal1d,
    NonLocal2d,
    NonLocal3d,
    Swish,
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
)

__all__ = [
    "ConvModule",
    "HSigmoid",
    "NonLocal1d",
    "NonLocal2d",
    "NonLocal3d",
    "Swish",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
]
