"""`mmcv.cnn`, thin over Kinema."""

from kinema.models import ConvModule, build_activation_layer, build_conv_layer, build_norm_layer

__all__ = [
    "ConvModule",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
]
