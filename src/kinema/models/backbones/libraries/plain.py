"""What a config that comes with weights may say of a network of another library."""

import re
from collections.abc import Mapping
from typing import Any

from kinema.errors import CheckpointError

# What a config that comes with weights may say of a network: numbers and names that shape it.
_SHAPING = frozenset(
    {
        *("type", "feature_shape", "num_classes", "in_chans", "drop_rate", "drop_path_rate", "global_pool"),
        *("img_size", "patch_size", "window_size", "output_stride", "dropout", "stochastic_depth_prob"),
        *("attention_dropout", "width_mult", "image_size"),
    }
)
# The same of transformers: what the configs of its video models and image encoders hold.
SHAPING_OF_TRANSFORMERS = frozenset(
    {
        *("type", "pooling", "image_size", "crop_size", "patch_size", "tubelet_size", "num_frames"),
        *("frames_per_clip", "num_channels", "in_chans", "hidden_size", "intermediate_size", "mlp_ratio"),
        *("num_hidden_layers", "num_spatial_layers", "num_temporal_layers", "num_auxiliary_layers"),
        *("num_attention_heads", "num_pooler_layers", "hidden_act", "pooler_act", "pooler_output_size"),
        *("layer_norm_eps", "qkv_bias", "qv_bias", "use_mean_pooling", "attention_type", "drop_path_rate"),
        *("attn_logit_softcapping", "apply_l2norm", "hidden_dropout_prob", "attention_probs_dropout_prob"),
        *("attention_dropout", "initializer_range", "initializer_factor", "projection_dim", "vision_use_head"),
        *("num_labels", "layerscale_value", "use_swiglu_ffn", "pred_hidden_size", "pred_num_attention_heads"),
        *("pred_num_hidden_layers", "pred_num_mask_tokens", "pred_mlp_ratio", "pred_zero_init_mask_tokens"),
        *("decoder_num_attention_heads", "decoder_hidden_size", "decoder_num_hidden_layers"),
        *("decoder_intermediate_size", "norm_pix_loss"),
    }
)
_LARGEST = {"img_size": 1024, "image_size": 1024, "crop_size": 1024, "num_frames": 1024}
_SMALLEST = {"patch_size": 4, "window_size": 2}
_LARGEST_NUMBER = 65_536
_PLAIN_NAME = re.compile(r"(timm|torchvision|transformers)\.[a-z0-9_]{1,80}(\.[a-z0-9_]{1,80})?", re.IGNORECASE)


def shaping_of(kind: str) -> frozenset[str]:
    """Keys that a config that comes with weights may set, for a network's name."""
    return SHAPING_OF_TRANSFORMERS if kind.startswith("transformers.") else _SHAPING


def check_plain(cfg: Mapping[str, Any], where: str) -> None:
    """Look at the config of a network of another library from a foreign file.

    Raises:
        CheckpointError: it does more than to name a network and shape it: it names files, addresses
            or weights, say.
    """
    kind = cfg["type"]
    if not _PLAIN_NAME.fullmatch(kind):
        raise CheckpointError(f"{where}: {kind[:80]!r} is no network that a config that comes with weights may name")
    shaping = shaping_of(kind)
    for key, value in cfg.items():
        parts = value if isinstance(value, list | tuple) else [value]
        is_text = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.]{0,80}", value) is not None
        if key not in shaping or not (is_text or all(isinstance(part, int | float | None) for part in parts)):
            raise CheckpointError(
                f"{where}: it sets {key[:80]!r} of {kind!r}, which a config that comes with weights may not: it may set"
                f" {', '.join(sorted(shaping - {'type'}))}. If you trust the file, give its config yourself, as in"
                " kinema.load(path, config=...)"
            )

        numbers = [part for part in parts if isinstance(part, int | float)]
        least, most = _SMALLEST.get(key, 0), _LARGEST.get(key, _LARGEST_NUMBER)
        if not all(least <= number <= most for number in numbers):
            raise CheckpointError(f"{where}: {key}={value!r:.80} of {kind!r} must be from {least} to {most}")
