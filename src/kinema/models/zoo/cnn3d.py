"""The 3D convolutional networks of the zoo, but for those of two pathways and the channel-separated ones: one function a size.

Results and stated costs are those that OpenMMLab publishes.
"""

from kinema.models.zoo.cards import InputSpec, ModelConfig, StatedCost, model, recognizer_3d
from kinema.models.zoo.cnn2d import frames, tsn
from kinema.models.zoo.published import IMAGENET, SGD, clips, i3d_head, kinetics, non_local_blocks, published

_NON_LOCAL = "Non-local Neural Networks, Wang et al. 2018"

# ---- C3D

_C3D_INPUT = InputSpec(16, 1, num_clips=10, size=112, short_side=128, mean=(104, 117, 128), std=(1, 1, 1))


@model(
    params_millions=78.41,
    num_classes=101,
    gflops=38.55,
    stated_cost=StatedCost(38.5, frames=16, size=112),
    source="C3D, Tran et al. 2015",
    inputs=_C3D_INPUT,
    training=SGD,
    result=published(
        "UCF101",
        83.08,
        95.93,
        "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb",
        "20220811-31723200",
        start="Sports-1M weights",
        protocol="10 x 1",
        size=112,
    ),
)
def c3d(num_classes: int) -> ModelConfig:
    """Eight 3D convolutions over clips of 16 small frames."""
    head = {**i3d_head(num_classes, 4096), "spatial_type": None}
    return recognizer_3d({"type": "C3D"}, head, _C3D_INPUT)


# ---- C2D


@model(
    params_millions=24.33,
    gflops=19.29,
    stated_cost=StatedCost(19.0, frames=8, size=224),
    source=_NON_LOCAL,
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(
        73.89,
        91.21,
        "c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb",
        "20221027-3ca304fa",
        start=IMAGENET,
        size=224,
    ),
)
def c2d_r50(num_classes: int) -> ModelConfig:
    """C2D: an image network over 8 frames, which are halved once."""
    return recognizer_3d({"type": "C2D", "depth": 50}, i3d_head(num_classes), clips(8, 8))


@model(
    params_millions=24.33,
    gflops=38.58,
    stated_cost=StatedCost(39.0, frames=16, size=224),
    source=_NON_LOCAL,
    inputs=clips(16, 4),
    training=SGD,
    result=kinetics(
        74.97,
        91.91,
        "c2d_r50-in1k-pre_8xb32-16x4x1-100e_kinetics400-rgb",
        "20221027-5f382a43",
        start=IMAGENET,
        size=224,
    ),
)
def c2d_r50_16x4(num_classes: int) -> ModelConfig:
    """C2D over 16 frames."""
    return recognizer_3d({"type": "C2D", "depth": 50}, i3d_head(num_classes), clips(16, 4))


_C2D_IMAGES = frames(1, clip_len=8, frame_interval=8)


@model(
    params_millions=24.33,
    gflops=32.7,
    stated_cost=StatedCost(33.0, frames=8, size=224),
    source=_NON_LOCAL,
    inputs=_C2D_IMAGES,
    training=SGD,
    result=kinetics(
        73.44,
        91.00,
        "c2d_r50-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb",
        "20221027-e0227b22",
        start=IMAGENET,
        size=224,
    ),
)
def c2d_r50_nopool(num_classes: int) -> ModelConfig:
    """C2D that keeps all 8 frames to the end."""
    return tsn(num_classes, 50, _C2D_IMAGES)


@model(
    params_millions=43.32,
    gflops=62.4,
    stated_cost=StatedCost(63.0, frames=8, size=224),
    source=_NON_LOCAL,
    inputs=_C2D_IMAGES,
    training=SGD,
    result=kinetics(
        74.97,
        91.77,
        "c2d_r101-in1k-pre-nopool_8xb32-8x8x1-100e_kinetics400-rgb",
        "20221027-557bd8bc",
        start=IMAGENET,
        size=224,
    ),
)
def c2d_r101_nopool(num_classes: int) -> ModelConfig:
    """C2D that keeps all 8 frames to the end, deeper."""
    return tsn(num_classes, 101, _C2D_IMAGES)


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
    gflops=33.13,
    stated_cost=StatedCost(43.5, frames=32, size=256),
    source="I3D, Carreira and Zisserman 2017",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(
        73.47,
        91.27,
        "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-e213c223",
        start=IMAGENET,
    ),
)
def i3d_r50(num_classes: int) -> ModelConfig:
    """I3D: an image network inflated to 3D, every second block of which sees three frames."""
    return recognizer_3d(_I3D, i3d_head(num_classes), _I3D_INPUT)


@model(
    params_millions=33.02,
    gflops=126.78,
    stated_cost=StatedCost(166.3, frames=32, size=256),
    source="I3D, Carreira and Zisserman 2017",
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(
        76.21,
        92.48,
        "i3d_imagenet-pretrained-r50-heavy_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-ed501b31",
        start=IMAGENET,
    ),
)
def i3d_r50_heavy(num_classes: int) -> ModelConfig:
    """I3D that keeps all frames up to the second stage, every block of which sees three."""
    backbone = {**_I3D, "conv1_stride_t": 1, "pool1_stride_t": 1, "inflate": (1, 1, 1, 1), "with_pool2": True}
    return recognizer_3d(backbone, i3d_head(num_classes), _I3D_INPUT)


def _i3d_non_local(num_classes: int, mode: str) -> ModelConfig:
    backbone = {**_I3D, **non_local_blocks(mode, use_scale=mode == "embedded_gaussian", first=1)}
    return recognizer_3d(backbone, i3d_head(num_classes), _I3D_INPUT)


@model(
    params_millions=31.72,
    gflops=41.72,
    stated_cost=StatedCost(56.5, frames=32, size=256),
    source=_NON_LOCAL,
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(
        73.97,
        91.33,
        "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-0c5cbf5a",
        start=IMAGENET,
    ),
)
def i3d_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by the exponential of their product."""
    return _i3d_non_local(num_classes, "gaussian")


@model(
    params_millions=35.40,
    gflops=44.34,
    stated_cost=StatedCost(59.3, frames=32, size=256),
    source=_NON_LOCAL,
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(
        74.73,
        91.80,
        "i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-afd8f562",
        start=IMAGENET,
    ),
)
def i3d_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that attend: the comparison of the gaussian kind, of projections."""
    return _i3d_non_local(num_classes, "embedded_gaussian")


@model(
    params_millions=35.40,
    gflops=42.33,
    stated_cost=StatedCost(59.3, frames=32, size=256),
    source=_NON_LOCAL,
    inputs=_I3D_INPUT,
    training=SGD,
    result=kinetics(
        74.80,
        92.07,
        "i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-8e1f2148",
        start=IMAGENET,
    ),
)
def i3d_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by their product."""
    return _i3d_non_local(num_classes, "dot_product")


# ---- R(2+1)D


def _r2plus1d(num_classes: int, inputs: InputSpec) -> ModelConfig:
    backbone = {
        "type": "ResNet2Plus1d",
        "depth": 34,
        "norm_cfg": {"type": "SyncBN", "requires_grad": True, "eps": 1e-3},
        "temporal_strides": (1, 2, 2, 2),
        "zero_init_residual": False,
    }
    return recognizer_3d(backbone, i3d_head(num_classes, 512), inputs)


@model(
    params_millions=63.76,
    gflops=40.56,
    stated_cost=StatedCost(53.1, frames=8, size=256),
    source="R(2+1)D, Tran et al. 2018",
    inputs=clips(8, 8),
    training=SGD,
    result=kinetics(69.76, 88.41, "r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb", "20220812-47cfe041"),
)
def r2plus1d_r34(num_classes: int) -> ModelConfig:
    """R(2+1)D: convolutions of space and of time in turns, over 8 frames."""
    return _r2plus1d(num_classes, clips(8, 8))


@model(
    params_millions=63.76,
    gflops=162.24,
    stated_cost=StatedCost(213.0, frames=32, size=256),
    source="R(2+1)D, Tran et al. 2018",
    inputs=clips(32, 2),
    training=SGD,
    result=kinetics(75.46, 92.28, "r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb", "20220812-4270588c"),
)
def r2plus1d_r34_32x2(num_classes: int) -> ModelConfig:
    """R(2+1)D over 32 frames."""
    return _r2plus1d(num_classes, clips(32, 2))
