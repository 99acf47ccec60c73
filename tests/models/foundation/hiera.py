"""Hiera."""

from collections.abc import Mapping
from typing import Any

from foundation_fixtures import Built
from torch import Tensor

from kinema.models.backbones.tokens.hiera import Hiera
from kinema.models.heads.timesformer import TimeSformerHead

# The original's names of activations and of norms.
ACTIVATIONS = {"gelu": {"type": "GELU"}, "gelu_tanh": {"type": "GELU", "approximate": "tanh"}, "relu": {"type": "ReLU"}}


def build(fixture: Mapping[str, Any]) -> Built:
    """The encoder with its classifier; a stage's map is (B, T, H, W, C)."""
    config = fixture["config"]
    frames, *size = config["input_size"]
    names = ("embed_dim", "patch_kernel", "patch_stride", "patch_padding", "num_heads", "stages", "q_stride", "q_pool")
    names += ("mask_unit_size", "mask_unit_attn", "mlp_ratio", "dim_mul", "head_mul", "qkv_bias")
    settings = {("embed_dims" if name == "embed_dim" else name): config[name] for name in names if name in config}
    backbone = Hiera(
        size,
        frames,
        in_channels=fixture["input_shape"][1],
        sep_pos_embed="separate" in config.get("pos", "separate"),
        act_cfg=ACTIVATIONS[config.get("act", "gelu")],
        norm_cfg={"type": "LN", "eps": config.get("norm_eps", 1e-6)},
        **settings,
    ).eval()
    head = TimeSformerHead(config.get("num_classes", 400), backbone.out_channels).eval()

    def compute(x: Tensor) -> dict[str, Tensor]:
        features = backbone(x)
        logits = head(features)
        maps = {f"stage{number}": level for number, level in enumerate(backbone.stage_maps(x), 1)}
        return {
            "features": features,
            "logits": logits,
            "eval_output": logits.softmax(-1),
            "tokens": maps[f"stage{len(maps)}"].flatten(2).transpose(1, 2),
            **{name: level.permute(0, 2, 3, 4, 1) for name, level in maps.items()},
        }

    (kind,) = Hiera.file_formats
    assert kind.head is not None
    return Built(compute, {**kind.backbone(backbone), **kind.head(head)})
