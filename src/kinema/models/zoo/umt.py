"""Unmasked Teacher: vision transformers over patches of single frames, taught by CLIP on masked clips."""

from kinema.models.zoo.cards import ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import clips
from kinema.models.zoo.videomae import FINE_TUNED_ON, FINE_TUNING, TERMS, vision_transformer

_SOURCE = "Unmasked Teacher, Li et al. 2023, arXiv:2303.16058"
_FILES = "https://pjlab-gvm-data.oss-cn-shanghai.aliyuncs.com/umt/single_modality"
# The positions of all clips are stretched from those of 8 frames of 224 pixels.
_GRID = (8, 14, 14)
_SIZES: dict[str, tuple[int, int, int]] = {"base": (768, 12, 12), "large": (1024, 24, 16)}
_FINE_TUNED = {
    "Kinetics-400": "ftk710_ftk400",
    "Kinetics-600": "ftk710_ftk600",
    "Kinetics-700": "ftk710_ftk700",
    "Kinetics-710": "ftk710",
    "Something-Something V2": "ftk710_ftssv2",
    "Moments in Time V1": "ftk710_ftk400_ftmitv1",
}


def _add(
    size: str,
    costs: tuple[float, float],
    dataset: str,
    top1: float | None,
    file: str,
    *,
    frames: int = 8,
    pixels: int = 224,
    num_clips: int = 4,
) -> None:
    """Put a network with its published weights into the zoo, as `umt_vit_SIZE[_PIXELS][_FRAMES][FINE_TUNED_ON]`.

    Args:
        size: see `_SIZES`.
        costs: millions of parameters with 400 classes, and GFLOPs.
        dataset: what it was fine-tuned on last.
        top1: see `Result`; None: not published.
        file: what follows `b16_ptk710_` in the name of the file.
        frames: of a clip.
        pixels: height and width of a frame.
        num_clips: of the published test, over three crops each.
    """
    classes, suffix = FINE_TUNED_ON[dataset]
    name = f"umt_vit_{size}{'' if pixels == 224 else f'_{pixels}'}{'' if frames == 8 else f'_f{frames}'}{suffix}"
    width, depth, heads = _SIZES[size]
    inputs = clips(frames, 1, num_clips=num_clips, size=pixels, short_side=pixels, spread=True)
    weights = Weights(
        f"{_FILES}/{size[0]}16_ptk710_{file}_f{frames}_res{pixels}.pth",
        "MIT",
        f"Published by OpenGVLab, the authors. Trained on {dataset}, on Kinetics-710 first; {TERMS}",
        own_order=True,
    )

    def build(num_classes: int) -> ModelConfig:
        return vision_transformer(num_classes, inputs, width, depth, heads, tubelet_size=1, pos_grid=[*_GRID])

    build.__name__ = name
    build.__doc__ = f"Unmasked Teacher's {size} vision transformer, {frames} frames from all of the video, {dataset}."
    scores = {} if top1 is None else {name: Result(top1, None, dataset, f"{num_clips} x 3", pixels, weights=weights)}
    model(
        params_millions=round(costs[0] + (classes - 400) * (width + 1) * 1e-6, 2),
        gflops=costs[1],
        source=_SOURCE,
        inputs=inputs,
        training=FINE_TUNING,
        num_classes=classes,
        results=scores,
        encoder=None if scores else weights,
    )(build)


for _size, _costs, _scores in (
    ("base", (85.945, 179.42), (87.4, 87.8, 78.5, 81.9, 70.8, 44.6)),
    ("large", (303.484, 595.6), (90.3, 90.4, 83.2, 86.0, 74.7, 48.0)),
):
    for (_dataset, _file), _top1 in zip(_FINE_TUNED.items(), _scores, strict=True):
        # The authors test Something-Something over two clips.
        _add(_size, _costs, _dataset, _top1, _file, num_clips=2 if _dataset.startswith("Some") else 4)
for _count, _top1 in ((400, 90.6), (600, 90.5), (700, 83.6)):
    _add("large", (303.484, 1432.89), f"Kinetics-{_count}", _top1, f"ftk710_ftk{_count}", frames=16)
# At 384 pixels they are published without an accuracy.
for _size, _costs in (("base", (85.945, 785.48)), ("large", (303.484, 2438.87))):
    _add(_size, _costs, "Moments in Time V1", None, "ftk710_ftk400_ftmitv1", pixels=384)
