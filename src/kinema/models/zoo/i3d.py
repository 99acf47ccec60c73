"""I3D: an image network inflated to 3D."""

from functools import partial

from kinema.models.zoo.cards import ModelConfig, StatedCost, model
from kinema.models.zoo.parts import clips, i3d_head, non_local_blocks, recognizer_3d
from kinema.models.zoo.published import IMAGENET, SGD, kinetics

_I3D = "I3D, Carreira and Zisserman 2017"
_NON_LOCAL = "Non-local Neural Networks, Wang et al. 2018"
_kinetics = partial(kinetics, start=IMAGENET)
_INPUT = clips(32, 2)
_BACKBONE: ModelConfig = {
    "type": "ResNet3d",
    "depth": 50,
    "conv1_kernel": (5, 7, 7),
    "conv1_stride_t": 2,
    "pool1_stride_t": 2,
    "inflate": ((1, 1, 1), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 1, 0)),
    "zero_init_residual": False,
}
# What OpenMMLab publishes with the weights.
_RESULTS = {
    "i3d_r50": _kinetics(
        73.47, 91.27, "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb", "20220812-e213c223"
    ),
    "i3d_r50_heavy": _kinetics(
        76.21, 92.48, "i3d_imagenet-pretrained-r50-heavy_8xb8-32x2x1-100e_kinetics400-rgb", "20220812-ed501b31"
    ),
    "i3d_r50_nl_gaussian": _kinetics(
        73.97, 91.33, "i3d_imagenet-pretrained-r50-nl-gaussian_8xb8-32x2x1-100e_kinetics400-rgb", "20220812-0c5cbf5a"
    ),
    "i3d_r50_nl_embedded_gaussian": _kinetics(
        74.73,
        91.80,
        "i3d_imagenet-pretrained-r50-nl-embedded-gaussian_8xb8-32x2x1-100e_kinetics400-rgb",
        "20220812-afd8f562",
    ),
    "i3d_r50_nl_dot_product": _kinetics(
        74.80, 92.07, "i3d_imagenet-pretrained-r50-nl-dot-product_8xb8-32x2x1-100e_kinetics400-rgb", "20220812-8e1f2148"
    ),
}
_model = partial(model, training=SGD, results=_RESULTS)


def _i3d_non_local(num_classes: int, mode: str) -> ModelConfig:
    backbone = {**_BACKBONE, **non_local_blocks(mode, use_scale=mode == "embedded_gaussian", first=1)}
    return recognizer_3d(backbone, i3d_head(num_classes), _INPUT)


@_model(
    params_millions=28.04, gflops=33.13, stated_cost=StatedCost(43.5, frames=32, size=256), inputs=_INPUT, source=_I3D
)
def i3d_r50(num_classes: int) -> ModelConfig:
    """I3D: an image network inflated to 3D, every second block of which sees three frames."""
    return recognizer_3d(_BACKBONE, i3d_head(num_classes), _INPUT)


@_model(
    params_millions=33.02, gflops=126.78, stated_cost=StatedCost(166.3, frames=32, size=256), inputs=_INPUT, source=_I3D
)
def i3d_r50_heavy(num_classes: int) -> ModelConfig:
    """I3D that keeps all frames up to the second stage, every block of which sees three."""
    backbone = {**_BACKBONE, "conv1_stride_t": 1, "pool1_stride_t": 1, "inflate": (1, 1, 1, 1), "with_pool2": True}
    return recognizer_3d(backbone, i3d_head(num_classes), _INPUT)


@_model(
    params_millions=31.72,
    gflops=41.72,
    stated_cost=StatedCost(56.5, frames=32, size=256),
    inputs=_INPUT,
    source=_NON_LOCAL,
)
def i3d_r50_nl_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by the exponential of their product."""
    return _i3d_non_local(num_classes, "gaussian")


@_model(
    params_millions=35.40,
    gflops=44.34,
    stated_cost=StatedCost(59.3, frames=32, size=256),
    inputs=_INPUT,
    source=_NON_LOCAL,
)
def i3d_r50_nl_embedded_gaussian(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that attend: the comparison of the gaussian kind, of projections."""
    return _i3d_non_local(num_classes, "embedded_gaussian")


@_model(
    params_millions=35.40,
    gflops=42.33,
    stated_cost=StatedCost(59.3, frames=32, size=256),
    inputs=_INPUT,
    source=_NON_LOCAL,
)
def i3d_r50_nl_dot_product(num_classes: int) -> ModelConfig:
    """I3D with non-local blocks that compare positions by their product."""
    return _i3d_non_local(num_classes, "dot_product")
