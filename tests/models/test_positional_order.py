"""Code written for OpenMMLab passes arguments by position: parts of its names keep its order."""

import inspect

import pytest

from kinema.openmmlab.keywords import needless_keywords
from kinema.registry import MODELS

RESNET = (
    "depth pretrained torchvision_pretrain in_channels num_stages out_indices strides dilations style frozen_stages"
    " conv_cfg norm_cfg act_cfg norm_eval partial_bn with_cp init_cfg"
)
RESNET3D = (
    "depth pretrained stage_blocks pretrained2d in_channels num_stages base_channels out_indices spatial_strides"
    " temporal_strides dilations conv1_kernel conv1_stride_s conv1_stride_t pool1_stride_s pool1_stride_t with_pool1"
    " with_pool2 style frozen_stages inflate inflate_style conv_cfg norm_cfg act_cfg norm_eval with_cp non_local"
    " non_local_cfg zero_init_residual init_cfg"
)
ORDER = {
    "ResNet": RESNET,
    "C2D": RESNET,
    "ResNetTSM": "depth num_segments is_shift non_local non_local_cfg shift_div shift_place temporal_pool pretrained2d",
    "ResNetTIN": "depth is_tin",
    "TANet": "depth num_segments tam_cfg",
    "MobileNetV2": (
        "pretrained widen_factor out_indices frozen_stages conv_cfg norm_cfg act_cfg norm_eval with_cp init_cfg"
    ),
    "MobileNetV2TSM": "num_segments is_shift shift_div pretrained2d",
    "C3D": "pretrained style conv_cfg norm_cfg act_cfg out_dim dropout_ratio init_std",
    "ResNet3d": RESNET3D,
    "ResNet2Plus1d": "depth pretrained stage_blocks pretrained2d in_channels num_stages base_channels",
    "ResNet3dSlowOnly": "conv1_kernel conv1_stride_t pool1_stride_t inflate with_pool2",
    "ResNet3dPathway": (
        "lateral lateral_inv lateral_norm speed_ratio channel_ratio fusion_kernel lateral_infl lateral_activate"
    ),
    "ResNet3dSlowFast": "pretrained resample_rate speed_ratio channel_ratio slow_pathway fast_pathway init_cfg",
    "ResNet3dCSN": (
        "depth pretrained temporal_strides conv1_kernel conv1_stride_t pool1_stride_t norm_cfg inflate_style "
        "bottleneck_mode bn_frozen"
    ),
    "X3D": (
        "gamma_w gamma_b gamma_d pretrained in_channels num_stages spatial_strides frozen_stages se_style se_ratio"
        " use_swish conv_cfg norm_cfg act_cfg norm_eval with_cp zero_init_residual"
    ),
    "TPN": (
        "in_channels out_channels spatial_modulation_cfg temporal_modulation_cfg upsample_cfg downsample_cfg "
        "level_fusion_cfg aux_head_cfg flow_type"
    ),
    "TSNHead": "num_classes in_channels loss_cls spatial_type consensus dropout_ratio init_std",
    "TPNHead": "num_classes in_channels loss_cls spatial_type consensus dropout_ratio init_std",
    "TSMHead": (
        "num_classes in_channels num_segments loss_cls spatial_type consensus dropout_ratio init_std is_shift "
        "temporal_pool"
    ),
    "TRNHead": (
        "num_classes in_channels num_segments loss_cls spatial_type relation_type hidden_dim dropout_ratio init_std"
    ),
    "I3DHead": "num_classes in_channels loss_cls spatial_type dropout_ratio init_std",
    "SlowFastHead": "num_classes in_channels loss_cls spatial_type dropout_ratio init_std",
    "X3DHead": "num_classes in_channels loss_cls spatial_type dropout_ratio init_std fc1_bias",
    "Recognizer2D": "backbone cls_head neck train_cfg test_cfg data_preprocessor",
    "Recognizer3D": "backbone cls_head neck train_cfg test_cfg data_preprocessor",
    "CrossEntropyLoss": "loss_weight class_weight",
    "BCELossWithLogits": "loss_weight class_weight",
    "CBFocalLoss": "loss_weight samples_per_cls beta gamma",
    "ConvModule": (
        "in_channels out_channels kernel_size stride padding dilation groups bias conv_cfg norm_cfg act_cfg inplace "
        "with_spectral_norm padding_mode order efficient_conv_bn_eval"
    ),
    "Conv2plus1d": "in_channels out_channels kernel_size stride padding dilation groups bias norm_cfg",
    "NonLocal1d": "in_channels sub_sample conv_cfg",
    "NonLocal2d": "in_channels sub_sample conv_cfg",
    "NonLocal3d": "in_channels sub_sample conv_cfg",
}


@pytest.mark.parametrize("name", ORDER)
def test_arguments_stand_where_openmmlab_has_them(name: str) -> None:
    expected = ORDER[name].split()
    part = MODELS.get(name)
    parameters = list(inspect.signature(part).parameters.values())
    order = [item.name for item in parameters]
    places = {item.place: keyword for keyword, item in needless_keywords(part).items() if item.place is not None}
    for place in sorted(places):
        order.insert(place, places[place])
    assert order[: len(expected)] == expected
    shown = min(places, default=len(expected))  # behind it the signature shows keywords, and the order is accepted
    assert all(item.kind is item.POSITIONAL_OR_KEYWORD for item in parameters[:shown])
