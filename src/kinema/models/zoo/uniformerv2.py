"""UniFormer v2: an image encoder of CLIP, with convolutions over time and a class token that reads all frames."""

from typing import Any

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.published import OPENGVLAB, adamw, published

_BELOW = "v1.0/recognition/uniformerv2/"
_CLIP = "CLIP weights"
_710 = "weights of CLIP and Kinetics-710"
_400 = "weights of CLIP, Kinetics-710 and Kinetics-400"
# The published rates are 1e-5 from CLIP and 2e-6 from Kinetics-710, for 256 clips a step and classes
# whose weights were there; a fresh classifier needs a larger one.
_TRAINING = adamw(1e-4, max_norm=20, backbone_rate=0.1)
_SIZES: dict[str, dict[str, Any]] = {
    "b16": {"patch_size": 16, "width": 768, "layers": 12, "heads": 12, "return_list": [8, 9, 10, 11]},
    "l14": {"patch_size": 14, "width": 1024, "layers": 24, "heads": 16, "return_list": [20, 21, 22, 23]},
}
_CLASSES = {"Kinetics-400": 400, "Kinetics-600": 600, "Kinetics-700": 700, "Kinetics-710": 710} | {
    "Moments in Time V1": 339
}


def _inputs(frames: int, size: int, num_clips: int) -> InputSpec:
    seen: dict[str, Any] = {"num_clips": num_clips, "size": size, "short_side": size, "spread": True}
    return clips(frames, 1, mean=(114.75,) * 3, std=(57.375,) * 3, **seen)


def _uniformerv2(num_classes: int, size: str, inputs: InputSpec) -> ModelConfig:
    width, heads = _SIZES[size]["width"], _SIZES[size]["heads"]
    backbone = {
        "type": "UniFormerV2",
        "input_resolution": inputs.size,
        **_SIZES[size],
        "t_size": inputs.clip_len,
        "dw_reduction": 1.5,
        "backbone_drop_path_rate": 0.0,
        "temporal_downsample": False,
        "no_lmhra": True,
        "double_lmhra": True,
        "n_layers": 4,
        "n_dim": width,
        "n_head": heads,
        "mlp_factor": 4.0,
        "drop_path_rate": 0.0,
        "mlp_dropout": [0.5, 0.5, 0.5, 0.5],
    }
    head = {"type": "TimeSformerHead", "num_classes": num_classes, "in_channels": width, "dropout_ratio": 0.5}
    return recognizer_3d(backbone, head, inputs)


def _add(
    name: str,
    start: str,
    costs: tuple[float, float],
    dataset: str,
    scores: tuple[float, float | None] | None,
    config: str,
    file: str,
    *,
    converted: bool = True,
    num_clips: int = 4,
) -> None:
    """Put a network of a size, resolution and number of frames into the zoo, with weights for a data set.

    Args:
        name: `uniformerv2_SIZE[_RESOLUTION]_uFRAMES[_DATA]`.
        start: what its training started from.
        costs: millions of parameters and GFLOPs.
        dataset: what it was trained on.
        scores: top-1 and top-5; None: not published.
        config: see `Result`.
        file: see `published`.
        converted: OpenGVLab trained it.
        num_clips: of the published test.
    """
    _, size, *rest = name.split("_")
    pixels = int(rest[0]) if rest[0].isdecimal() else 224
    frames = int(next(part for part in rest if part.startswith("u"))[1:])
    inputs = _inputs(frames, pixels, num_clips)
    by = OPENGVLAB if converted else None
    facts: dict[str, Any] = {"start": start, "protocol": f"{num_clips} x 3", "size": pixels, "converted": by}
    whole: Result = published(dataset, *(scores or (0.0, None)), config, file, **facts)
    encoder: Weights | None = None if scores else whole.weights

    def build(num_classes: int) -> ModelConfig:
        return _uniformerv2(num_classes, size, inputs)

    model(
        name=name,
        description=f"UniFormer v2, {'base' if size == 'b16' else 'large'}, {frames} frames of the whole video.",
        params_millions=costs[0],
        gflops=costs[1],
        source="UniFormerV2, Li et al. 2022",
        inputs=inputs,
        training=_TRAINING,
        num_classes=_CLASSES[dataset],
        results={name: whole} if scores else None,
        encoder=encoder,
    )(build)


_add(
    "uniformerv2_b16_u8_clip",
    _CLIP,
    (114.55, 140.78),
    "Kinetics-400",
    (84.3, 96.4),
    "uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb",
    "20230313-e29fc968",
    converted=False,
)
_add(
    "uniformerv2_b16_u8",
    _710,
    (114.55, 140.78),
    "Kinetics-400",
    (85.8, 97.1),
    "uniformerv2-base-p16-res224_clip-kinetics710-pre_8xb32-u8_kinetics400-rgb",
    "20230313-75be0806",
    converted=False,
)
_add(
    "uniformerv2_b16_u8_k600",
    _710,
    (114.71, 140.78),
    "Kinetics-600",
    (86.4, 97.3),
    "uniformerv2-base-p16-res224_clip-kinetics710-pre_8xb32-u8_kinetics600-rgb",
    "20230313-544f06f0",
    converted=False,
)
_add(
    "uniformerv2_b16_u8_k700",
    _710,
    (114.78, 140.78),
    "Kinetics-700",
    (76.3, 92.9),
    "uniformerv2-base-p16-res224_clip-kinetics710-pre_8xb32-u8_kinetics700-rgb",
    "20230313-69070837",
    converted=False,
)
_add(
    "uniformerv2_b16_u8_k700_clip",
    _CLIP,
    (114.78, 140.78),
    "Kinetics-700",
    (75.9, 92.9),
    "uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics700-rgb",
    "20230313-f02e48ad",
    converted=False,
)
_add(
    "uniformerv2_b16_u8_k710",
    _CLIP,
    (114.79, 140.78),
    "Kinetics-710",
    (78.9, None),
    "uniformerv2-base-p16-res224_clip-pre_u8_kinetics710-rgb",
    f"{_BELOW}uniformerv2-base-p16-res224_clip-pre_u8_kinetics710-rgb_20230612-63cdbad9.pth",
)
_add(
    "uniformerv2_b16_u8_mit",
    _400,
    (114.51, 140.78),
    "Moments in Time V1",
    (42.3, 71.5),
    "uniformerv2-base-p16-res224_clip-kinetics710-kinetics-k400-pre_16xb32-u8_mitv1-rgb",
    "20230313-a6f4a567",
    converted=False,
)
_add(
    "uniformerv2_l14_u8",
    _710,
    (354.10, 648.64),
    "Kinetics-400",
    (88.7, 98.1),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics400-rgb",
    f"{_BELOW}kinetics400/uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics400-rgb_20221219-972ea063.pth",
)
_add(
    "uniformerv2_l14_u16",
    _710,
    (354.10, 1297.23),
    "Kinetics-400",
    (89.0, 98.2),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics400-rgb",
    f"{_BELOW}kinetics400/uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics400-rgb_20221219-6dc86d05.pth",
)
_add(
    "uniformerv2_l14_u32",
    _710,
    (354.10, 2594.42),
    "Kinetics-400",
    (89.3, 98.2),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics400-rgb",
    f"{_BELOW}kinetics400/uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics400-rgb_20221219-56a46f64.pth",
)
_add(
    "uniformerv2_l14_u8_k600",
    _710,
    (354.30, 648.64),
    "Kinetics-600",
    (89.0, 98.3),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics600-rgb",
    f"{_BELOW}kinetics600/uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics600-rgb_20221219-cf88e4c2.pth",
)
_add(
    "uniformerv2_l14_u16_k600",
    _710,
    (354.30, 1297.23),
    "Kinetics-600",
    (89.4, 98.3),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics600-rgb",
    f"{_BELOW}kinetics600/uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics600-rgb_20221219-38ff0e3e.pth",
)
_add(
    "uniformerv2_l14_u32_k600",
    _710,
    (354.30, 2594.42),
    "Kinetics-600",
    (89.2, 98.3),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics600-rgb",
    f"{_BELOW}kinetics600/uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics600-rgb_20221219-d450d071.pth",
)
_add(
    "uniformerv2_l14_u8_k700",
    _710,
    (354.41, 648.64),
    "Kinetics-700",
    (80.8, 95.2),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics700-rgb",
    f"{_BELOW}kinetics700/uniformerv2-large-p14-res224_clip-kinetics710-pre_u8_kinetics700-rgb_20221219-bfb9f401.pth",
)
_add(
    "uniformerv2_l14_u16_k700",
    _710,
    (354.41, 1297.23),
    "Kinetics-700",
    (81.2, 95.6),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics700-rgb",
    f"{_BELOW}kinetics700/uniformerv2-large-p14-res224_clip-kinetics710-pre_u16_kinetics700-rgb_20221219-745209d2.pth",
)
_add(
    "uniformerv2_l14_u32_k700",
    _710,
    (354.41, 2594.42),
    "Kinetics-700",
    (81.4, 95.7),
    "uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics700-rgb",
    f"{_BELOW}kinetics700/uniformerv2-large-p14-res224_clip-kinetics710-pre_u32_kinetics700-rgb_20221219-eebe7056.pth",
)
_add(
    "uniformerv2_l14_336_u32",
    _710,
    (354.43, 6115.20),
    "Kinetics-400",
    (89.5, 98.4),
    "uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics400-rgb",
    f"{_BELOW}kinetics400/uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics400-rgb_20221219-1dd7650f.pth",
    num_clips=2,
)
_add(
    "uniformerv2_l14_336_u32_k600",
    _710,
    (354.63, 6115.20),
    "Kinetics-600",
    (89.8, 98.5),
    "uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics600-rgb",
    f"{_BELOW}kinetics600/uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics600-rgb_20221219-f984f5d2.pth",
    num_clips=2,
)
_add(
    "uniformerv2_l14_336_u32_k700",
    _710,
    (354.73, 6115.20),
    "Kinetics-700",
    (82.1, 96.0),
    "uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics700-rgb",
    f"{_BELOW}kinetics700/uniformerv2-large-p14-res336_clip-kinetics710-pre_u32_kinetics700-rgb_20221219-bfb9f401.pth",
    num_clips=2,
)
_add(
    "uniformerv2_l14_u8_k710",
    _CLIP,
    (354.42, 648.64),
    "Kinetics-710",
    None,
    "uniformerv2-large-p14-res224_clip-pre_u8_kinetics710-rgb",
    f"{_BELOW}kinetics710/uniformerv2-large-p14-res224_clip-pre_u8_kinetics710-rgb_20230612-d002a407.pth",
)
_add(
    "uniformerv2_l14_336_u8_k710",
    _CLIP,
    (354.75, 1528.84),
    "Kinetics-710",
    None,
    "uniformerv2-large-p14-res336_clip-pre_u8_kinetics710-rgb",
    f"{_BELOW}kinetics710/uniformerv2-large-p14-res336_clip-pre_u8_kinetics710-rgb_20230612-d723ddc1.pth",
)
_add(
    "uniformerv2_l14_u8_mit",
    _400,
    (354.04, 648.64),
    "Moments in Time V1",
    (47.0, 76.1),
    "uniformerv2-large-p16-res224_clip-kinetics710-kinetics-k400-pre_u8_mitv1-rgb",
    f"{_BELOW}mitv1/uniformerv2-large-p16-res224_clip-kinetics710-kinetics-k400-pre_u8_mitv1-rgb_20221219-882c0598.pth",
)
_add(
    "uniformerv2_l14_336_u8_mit",
    _400,
    (354.36, 1528.84),
    "Moments in Time V1",
    (47.7, 76.8),
    "uniformerv2-large-p16-res336_clip-kinetics710-kinetics-k400-pre_u8_mitv1-rgb",
    f"{_BELOW}mitv1/uniformerv2-large-p16-res336_clip-kinetics710-kinetics-k400-pre_u8_mitv1-rgb_20221219-9020986e.pth",
)
