"""InternVideo2 as fixtures describe it."""

import re
from collections.abc import Mapping
from typing import Any

from foundation.videomae import activation
from foundation_fixtures import Built
from torch import Tensor

from kinema.models import InternVideo2, InternVideo2Head
from kinema.models.backbones.tokens.internvideo2 import names_of_head, own_names


def build(fixture: Mapping[str, Any]) -> Built:
    """Build what a fixture of `internvideo2` describes."""
    config = fixture["config"]
    text = " ".join(f"{key}: {value}" for key, value in config.items() if isinstance(value, str))
    text = f"{fixture['name']} {fixture['family']} {fixture['how']} {text}"
    pool = str(config.get("pool", ""))
    scale = config.get("init_values", 1e-5 if config.get("layer_scale", True) else None)
    where = f"{fixture['name']} {fixture['how']} {config.get('pos', '')}"
    has_separate_positions = re.search(r"\bsep(arate)?\b|sep_pos", where) is not None
    backbone = InternVideo2(
        config["embed_dim"],
        config["depth"],
        num_heads=config["num_heads"],
        mlp_ratio=config["mlp_ratio"],
        img_size=config["img_size"],
        patch_size=config["patch_size"],
        num_frames=config["num_frames"],
        tubelet_size=config["tubelet_size"],
        in_channels=fixture["input_shape"][1],
        out_channels=config.get("clip_embed_dim", number(r"to (\d+)", pool, 768)),
        pool_heads=config.get("attn_pool_num_heads", number(r"(\d+) heads", pool, 16)),
        qkv_bias=bool(config.get("qkv_bias", False)),
        qk_norm=config.get("qk_norm", config.get("qk_normalization", True)) not in (False, None, "none", ""),
        init_values=scale,
        act_cfg=activation(config.get("act", "gelu")),
        sep_pos_embed=bool(config.get("sep_pos_embed", has_separate_positions)),
    ).eval()
    has_mlp = bool(config.get("extra_mlp", re.search(r"extra[_ ]mlp|\bap\b|_ap\b|_ap_|attentive prob", text)))
    head = InternVideo2Head(config["num_classes"], backbone.out_channels, extra_mlp=has_mlp).eval()

    def outputs(x: Tensor) -> dict[str, Tensor]:
        tokens = backbone.tokens(x)
        pooled = backbone.clip_projector(tokens)
        return {"tokens": tokens, "pooled": pooled, "features": head.fc_norm(pooled), "logits": head(pooled)}

    return Built(outputs, {**own_names(backbone), **names_of_head(head)})


def number(pattern: str, text: str, default: int) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else default
