"""Blocks for networks of your own, named in configs as those of MMCV; none of Kinema's networks needs them."""

from kinema.models.layers.bricks.attention import FFN, MultiheadAttention
from kinema.models.layers.bricks.context_block import ContextBlock
from kinema.models.layers.bricks.convolutions import Conv2dAdaptivePadding, ConvAWS2d, ConvWS2d, conv_ws_2d
from kinema.models.layers.bricks.depthwise import DepthwiseSeparableConvModule
from kinema.models.layers.bricks.drop import Dropout, DropPath, build_dropout, drop_path
from kinema.models.layers.bricks.generalized_attention import GeneralizedAttention
from kinema.models.layers.bricks.padding import (
    AdaptivePadding,
    AdaptivePadding3D,
    PixelShufflePack,
    build_padding_layer,
    build_upsample_layer,
)
from kinema.models.layers.bricks.patches import PatchEmbed, PatchEmbed3D, PatchMerging
from kinema.models.layers.bricks.scale import LayerScale, Scale
from kinema.models.layers.bricks.transformer import (
    BaseTransformerLayer,
    TransformerLayerSequence,
    build_attention,
    build_feedforward_network,
    build_positional_encoding,
    build_transformer_layer,
    build_transformer_layer_sequence,
)

__all__ = [
    "FFN",
    "AdaptivePadding",
    "AdaptivePadding3D",
    "BaseTransformerLayer",
    "ContextBlock",
    "Conv2dAdaptivePadding",
    "ConvAWS2d",
    "ConvWS2d",
    "DepthwiseSeparableConvModule",
    "DropPath",
    "Dropout",
    "GeneralizedAttention",
    "LayerScale",
    "MultiheadAttention",
    "PatchEmbed",
    "PatchEmbed3D",
    "PatchMerging",
    "PixelShufflePack",
    "Scale",
    "TransformerLayerSequence",
    "build_attention",
    "build_dropout",
    "build_feedforward_network",
    "build_padding_layer",
    "build_positional_encoding",
    "build_transformer_layer",
    "build_transformer_layer_sequence",
    "build_upsample_layer",
    "conv_ws_2d",
    "drop_path",
]
