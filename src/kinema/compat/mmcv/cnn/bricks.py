"""`mmcv.cnn.bricks`, thin over Kinema."""

from kinema.models.layers import (
    ConvModule,
    NonLocal3d,
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
)

__all__ = [
    "ConvModule",
    "NonLocal3d",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
]
