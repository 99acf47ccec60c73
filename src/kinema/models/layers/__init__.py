"""Layers that networks share."""

from kinema.models.layers import bricks  # registers its blocks
from kinema.models.layers.by_name import (
    Clamp,
    HSigmoid,
    LayerCfg,
    Swish,
    build_activation_layer,
    build_conv_layer,
    build_norm_layer,
    norm_attribute,
)
from kinema.models.layers.conv2plus1d import Conv2plus1d
from kinema.models.layers.conv_audio import ConvAudio
from kinema.models.layers.conv_module import ConvModule, Size
from kinema.models.layers.cpu_convolution import (
    Conv2d,
    Conv3d,
    PlanarConv3d,
    PreparedConv,
    arrange,
    convolve_and_normalize,
)
from kinema.models.layers.freezing import fix_batch_norms, freeze
from kinema.models.layers.non_local import NonLocal1d, NonLocal2d, NonLocal3d, NonLocalMode
from kinema.models.layers.sub_batch_norm import SubBatchNorm3D
from kinema.models.layers.temporal_adaptive import TAM
from kinema.models.layers.temporal_interlace import TemporalInterlace
from kinema.models.layers.temporal_shift import TemporalShift

__all__ = [
    "TAM",
    "Clamp",
    "Conv2d",
    "Conv2plus1d",
    "Conv3d",
    "ConvAudio",
    "ConvModule",
    "HSigmoid",
    "LayerCfg",
    "NonLocal1d",
    "NonLocal2d",
    "NonLocal3d",
    "NonLocalMode",
    "PlanarConv3d",
    "PreparedConv",
    "Size",
    "SubBatchNorm3D",
    "Swish",
    "TemporalInterlace",
    "TemporalShift",
    "arrange",
    "bricks",
    "build_activation_layer",
    "build_conv_layer",
    "build_norm_layer",
    "convolve_and_normalize",
    "fix_batch_norms",
    "freeze",
    "norm_attribute",
]
