"""The 3D convolutional networks of the zoo, but for the channel-separated ones: one function a size.

Figures are those that OpenMMLab states for its weights.
"""

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, model, recognizer_3d
from kinema.models.zoo.published import SGD, clips, i3d_head, kinetics

# ---- C3D

_C3D_INPUT = InputSpec(16, 1, num_clips=10, size=112, short_side=128, mean=(104, 117, 128), std=(1, 1, 1))


@model(
    params_millions=78.41,
    num_classes=101,
    gflops=38.5,
    gflops_size=112,
    source="C3D, Tran et al. 2015",
    inputs=_C3D_INPUT,
    training=SGD,
    result=Result(83.08, 95.93, "UCF101", "10 x 1", "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb"),
)
def c3d(num_classes: int) -> ModelConfig:
    """Eight 3D convolutions, clips of 16 small frames."""
    head = {**i3d_head(num_classes, 4096), "spatial_type": None}
    return recognizer_3d({"type": "C3D"}, head, _C3D_INPUT)


# ---- C2D


@model(
    params_millions=24.33,
    gflops=19.0,
    gflops_size=224,
    source="Non-local Neural Networks, Wang et al. 2018",
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(73.89, 91.21, "c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb"),
)
def c2d_r50(num_classes: int) -> ModelConfig:
    """An image network over 8 frames."""
    return recognizer_3d({"type": "C2D", "depth": 50}, i3d_head(num_classes), clips(8, 8))


# ---- I3D

_I3D_INPUT = clips(32, 2)
_I3D: ModelConfig = {
    "type": "ResNet3d",
    "depth": 50,
    "conv1_kernel": (5, 7, 7),
    "conv1_stride_t": 2,
    "pool1_stride_t": 2,
    "inflate": ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
    "zero_init_residual": False,
}


@model(
    params_millions=28.04,
    gflops=43.5,
    gflops_size=256,
    source="I3D, Carreira and Zisserman 2017",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(73.47, 91.27, "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb"),
)
def i3d_r50(num_classes: int) -> ModelConfig:
    """A residual network, every second block of which sees three frames."""
    return recognizer_3d(_I3D, i3d_head(num_classes), _I3D_INPUT)


@model(
    params_millions=33.0,
    gflops=166.3,
    gflops_size=256,
    source="I3D, Carreira and Zisserman 2017",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(76.21, 92.48, "i3d_imagenet-pretrained-r50-heavy_8xb8-32x2x1-100e_kinetics400-rgb"),
)
def i3d_r50_heavy(num_classes: int) -> ModelConfig:
    """I3D that keeps all frames up to the second stage, every block of which sees three."""
    backbone = {**_I3D, "conv1_stride_t": 1, "pool1_stride_t": 1, "inflate": (1, 1, 1, 1), "with_pool2": True}
    return recognizer_3d(backbone, i3d_head(num_classes), _I3D_INPUT)


def _i3d_non_local(num_classes: int, mode: str) -> ModelConfig:
    norm = {"type": "BN3d", "requires_grad": True}
    backbone = {
        **_I3D,
        "non_local": ((0, 0, 0), (0, 1, 0, 1), (0, 1, 0, 1, 0, 1), (0, 0, 0)),
        "non_local_cfg": {"sub_sample": True, "use_scale": mode == "embedded_gaussian", "norm_cfg": norm, "mode": mode},
    }
    return recognizer_3d(backbone, i3d_head(num_classes), _I3D_INPUT)


@model(
    params_millions=31.7,
    gflops=56.5,
    gflops_size=256,
    source="Non-local Neural Networks, Wang et al. 2018",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(73.97, 91.33, "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e_kinetics400-rgb"),
)
def i3d_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by the exponential of their product."""
    return _i3d_non_local(num_classes, "gaussian")


@model(
    params_millions=35.4,
    gflops=59.3,
    gflops_size=256,
    source="Non-local Neural Networks, Wang et al. 2018",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(74.73, 91.80, "i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_kinetics400-rgb"),
)
def i3d_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that attend: the comparison of the gaussian kind, of projections."""
    return _i3d_non_local(num_classes, "embedded_gaussian")


@model(
    params_millions=35.4,
    gflops=59.3,
    gflops_size=256,
    source="Non-local Neural Networks, Wang et al. 2018",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(74.80, 92.07, "i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb"),
)
def i3d_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by their product."""
    return _i3d_non_local(num_classes, "dot_product")


# ---- R(2+1)D


@model(
    params_millions=63.76,
    gflops=53.1,
    gflops_size=256,
    source="R(2+1)D, Tran et al. 2018",
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(69.76, 88.41, "r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb"),
)
def r2plus1d_r34(num_classes: int) -> ModelConfig:
    """Convolutions of space and of time in turns."""
    backbone = {
        "type": "ResNet2Plus1d",
        "depth": 34,
        "norm_cfg": {"type": "SyncBN", "requires_grad": True, "eps": 1e-3},
        "temporal_strides": (1, 2, 2, 2),
        "zero_init_residual": False,
    }
    return recognizer_3d(backbone, i3d_head(num_classes, 512), clips(8, 8))


# ---- SlowOnly


@model(
    params_millions=32.45,
    gflops=27.38,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(4, 16),
    training=SGD,
    result=kinetics(72.68, 90.68, "slowonly_r50_8xb16-4x16x1-256e_kinetics400-rgb"),
)
def slowonly_r50(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 4 frames."""
    return recognizer_3d({"type": "ResNet3dSlowOnly", "depth": 50}, i3d_head(num_classes), clips(4, 16))


@model(
    params_millions=32.45,
    gflops=54.75,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(74.82, 91.80, "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb"),
)
def slowonly_r50_8x8(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, 8 frames."""
    return recognizer_3d({"type": "ResNet3dSlowOnly", "depth": 50}, i3d_head(num_classes), clips(8, 8))


@model(
    params_millions=60.36,
    gflops=112.0,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(76.28, 92.70, "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb"),
)
def slowonly_r101(num_classes: int) -> ModelConfig:
    """SlowFast's slow pathway alone, deeper, 8 frames."""
    return recognizer_3d({"type": "ResNet3dSlowOnly", "depth": 101}, i3d_head(num_classes), clips(8, 8))


# ---- SlowFast


def _slowfast(num_classes: int, depth: int, ratio: int) -> ModelConfig:
    """`ratio`: how many times as many frames the fast pathway sees."""
    slow = {
        "type": "resnet3d",
        "depth": depth,
        "lateral": True,
        "fusion_kernel": 5 if ratio == 8 else 7,
        "conv1_kernel": (1, 7, 7),
        "inflate": (0, 0, 1, 1),
    }
    fast = {"type": "resnet3d", "depth": depth, "lateral": False, "base_channels": 8, "conv1_kernel": (5, 7, 7)}
    backbone = {
        "type": "ResNet3dSlowFast",
        "resample_rate": ratio,
        "speed_ratio": ratio,
        "channel_ratio": 8,
        "slow_pathway": slow,
        "fast_pathway": fast,
    }
    head = {**i3d_head(num_classes, 2304), "type": "SlowFastHead"}
    return recognizer_3d(backbone, head, clips(32, 2))


@model(
    params_millions=34.48,
    gflops=36.3,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(75.55, 92.35, "slowfast_r50_8xb8-4x16x1-256e_kinetics400-rgb"),
)
def slowfast_r50(num_classes: int) -> ModelConfig:
    """4 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 8)


@model(
    params_millions=34.6,
    gflops=66.1,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(76.80, 92.99, "slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb"),
)
def slowfast_r50_8x8(num_classes: int) -> ModelConfig:
    """8 slow and 32 fast frames."""
    return _slowfast(num_classes, 50, 4)


@model(
    params_millions=62.9,
    gflops=126.0,
    gflops_size=256,
    source="SlowFast, Feichtenhofer et al. 2019",
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(78.65, 93.88, "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb"),
)
def slowfast_r101(num_classes: int) -> ModelConfig:
    """8 slow and 32 fast frames, deeper."""
    return _slowfast(num_classes, 101, 4)
