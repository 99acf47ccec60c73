"""InternVideo2: vision transformers with pooling by attention; a network of billions taught the small ones."""

from dataclasses import dataclass

from kinema.models.zoo.cards import InputSpec, ModelConfig, Result, Weights, model
from kinema.models.zoo.parts import clips, recognizer_3d
from kinema.models.zoo.videomae import FINE_TUNED_ON, FINE_TUNING

_SOURCE = "InternVideo2, Wang et al. 2024, arXiv:2403.15377"
_FILES = "https://huggingface.co/OpenGVLab"
_DISTILLED = {
    "Kinetics-400": "k710_ft_k400",
    "Kinetics-600": "k710_ft_k600",
    "Kinetics-700": "k710_ft_k700",
    "Kinetics-710": "k710",
    "Something-Something V2": "ssv2",
}


@dataclass(frozen=True)
class _Size:
    """The numbers that make a network, and its folder among the published files."""

    embed_dims: int
    depth: int
    num_heads: int
    text: str
    folder: str = ""
    mlp_ratio: float = 4.0


_SIZES = {
    "small": _Size(384, 12, 6, "small", "S14"),
    "base": _Size(768, 12, 12, "base", "B14"),
    "large": _Size(1024, 24, 16, "large", "L14"),
    "1b": _Size(1408, 40, 16, "a billion parameters", mlp_ratio=48 / 11),
    "6b": _Size(3200, 48, 25, "six billion parameters"),
}


def _input(frames: int = 8) -> InputSpec:
    return clips(frames, 1, num_clips=4, short_side=224, spread=True)


def _internvideo2(num_classes: int, size: _Size, inputs: InputSpec) -> ModelConfig:
    backbone = {
        "type": "InternVideo2",
        "embed_dims": size.embed_dims,
        "depth": size.depth,
        "num_heads": size.num_heads,
        "mlp_ratio": size.mlp_ratio,
        "num_frames": inputs.clip_len,
    }
    return recognizer_3d(backbone, {"type": "InternVideo2Head", "num_classes": num_classes}, inputs)


def _add(
    size: str,
    costs: tuple[float, float],
    dataset: str = "Kinetics-400",
    top1: float | None = None,
    file: str | None = None,
    *,
    frames: int = 8,
) -> None:
    """Put a network into the zoo, as `internvideo2_SIZE[_FRAMES][FINE_TUNED_ON]`.

    Args:
        size: see `_SIZES`.
        costs: millions of parameters with 400 classes, and GFLOPs.
        dataset: what it was fine-tuned on last.
        top1: see `Result`; None: not published.
        file: path below the publisher's files; None: there is none that is known to hold this network.
        frames: of a clip.
    """
    classes, suffix = FINE_TUNED_ON[dataset]
    name = f"internvideo2_{size}{'' if frames == 8 else f'_f{frames}'}{suffix}"
    inputs = _input(frames)
    terms = "the model's page may ask for more than its licence; the data's own terms apply."
    origin = f"Published by OpenGVLab, the authors. Trained on {dataset}, on Kinetics-710 first; {terms}"
    weights = Weights(f"{_FILES}/{file}", "Apache-2.0", origin, own_order=True) if file else None

    def build(num_classes: int) -> ModelConfig:
        return _internvideo2(num_classes, _SIZES[size], inputs)

    build.__name__ = name
    build.__doc__ = f"InternVideo2, {_SIZES[size].text}, {frames} frames from all of the video, {dataset}."
    model(
        params_millions=round(costs[0] + (classes - 400) * 769e-6, 2),
        gflops=costs[1],
        source=_SOURCE,
        inputs=inputs,
        training=FINE_TUNING,
        num_classes=classes,
        results={} if top1 is None else {name: Result(top1, None, dataset, "4 x 3", 224, weights=weights)},
    )(build)


def _distilled(size: str, costs: tuple[float, float], scores: tuple[float, ...]) -> None:
    """A size that was taught, on each data set."""
    folder = _SIZES[size].folder
    for (dataset, file), top1 in zip(_DISTILLED.items(), scores, strict=True):
        below = f"InternVideo2_distillation_models/resolve/main/stage1/{folder}"
        _add(size, costs, dataset, top1, f"{below}/{folder}_ft_{file}_f8/pytorch_model.bin")


_distilled("small", (23.353, 83.27), (85.4, 86.0, 75.7, 79.6, 71.6))
_distilled("base", (89.748, 254.76), (88.4, 88.9, 80.5, 83.5, 73.5))
_distilled("large", (309.238, 830.67), (90.4, 90.6, 83.5, 86.2, 76.4))
_1B, _1B_16 = (1021.018, 2550.7), (1023.901, 6045.27)
_PAGE = "InternVideo2-Stage1-1B-224p-f8"
_add("1b", _1B, "Kinetics-400", 91.3, f"{_PAGE}-K400/resolve/main/1B_ft_k710_ft_k400_f8.pth")
_add("1b", _1B_16, "Kinetics-400", 91.6, f"{_PAGE}-K400/resolve/main/1B_ft_k710_ft_k400_f16.pth", frames=16)
_add("1b", _1B, "Something-Something V1", 68.5, f"{_PAGE}-SthSth/resolve/main/1B_ft_ssv1_f8.pth")
_add("1b", _1B, "Something-Something V2", 77.1, f"{_PAGE}-SthSth/resolve/main/1B_ft_ssv2_f8.pth")
# On pages of their own, whose files have names that are not published elsewhere.
for _dataset, _top1 in (("600", 91.4), ("700", 85.0), ("710", 87.6)):
    _add("1b", _1B, f"Kinetics-{_dataset}", _top1)
_add("1b", _1B, "Moments in Time V1", 50.8)
_add("6b", (5942.044, 13421.09))
