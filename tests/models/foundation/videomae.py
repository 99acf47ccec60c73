"""VideoMAE, VideoMAE V2, Unmasked Teacher and transformers' VideoMAE, as fixtures describe them."""

import re
from collections.abc import Mapping
from typing import Any

from foundation.libraries import ACTIVATIONS
from foundation_fixtures import Built
from torch import Tensor, nn

from kinema.models import TimeSformerHead, VisionTransformer
from kinema.models.backbones.tokens.videomae_files import authors_names, transformers_names
from kinema.models.layers.positions import resize_positions, sinusoid_table

# transformers' own values of what a config leaves out.
TRANSFORMERS = {
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "num_frames": 16,
    "tubelet_size": 2,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "qkv_bias": True,
    "use_mean_pooling": True,
    "num_labels": 2,
}
# Tokens of Unmasked Teacher's table, which it stretches to all other clips.
UMT_GRID = (8, 14, 14)


def build(fixture: Mapping[str, Any]) -> Built:
    """Build what a fixture of `videomae/*`, `umt`, `umt/pos` or `hf/videomae` describes."""
    family = fixture["family"]
    if family == "umt/pos":
        return positions(fixture["config"])
    if family == "hf/videomae":
        return of_transformers(fixture)
    return of_authors(fixture)


def activation(name: str) -> dict[str, Any]:
    """Config of an activation by the name that fixtures give it, which may have a remark behind it."""
    name = name.lower()
    return ACTIVATIONS["gelu_tanh" if "tanh" in name else re.match(r"\w+", name).group()]


def of_authors(fixture: Mapping[str, Any]) -> Built:
    config = fixture["config"]
    is_umt = fixture["family"].startswith("umt")
    text = " ".join(str(value) for value in (fixture["name"], fixture["how"], config.get("pool"), config.get("pos")))
    learned = bool(config.get("use_learnable_pos_emb", "learn" in str(config.get("pos", "")) and not is_umt))
    bias = config.get("qkv_bias", True)
    norm = {"type": "LN", "eps": config.get("norm_eps", 1e-6)}
    has_mean = config.get("use_mean_pooling", "mean" in str(config.get("pool", "mean")))
    size, patch = config["img_size"], config["patch_size"]
    backbone = VisionTransformer(
        img_size=size,
        patch_size=patch,
        in_channels=fixture["input_shape"][1],
        embed_dims=config["embed_dim"],
        depth=config["depth"],
        num_heads=config["num_heads"],
        mlp_ratio=config.get("mlp_ratio", 4.0),
        qkv_bias=bool(bias) and bias != "none",
        qk_scale=config.get("qk_scale"),
        norm_cfg=norm,
        init_values=starting_scale(config),
        use_learnable_pos_emb=learned,
        num_frames=config["num_frames"],
        tubelet_size=config["tubelet_size"],
        use_mean_pooling=bool(has_mean),
        act_cfg=activation(config.get("act", "gelu")),
        cos_attn=bool(config.get("cos_attn", re.search("cos[-_]attn|cosine attention", text) is not None)),
        pos_grid=UMT_GRID if is_umt and not learned else None,
    ).eval()
    tensors = authors_names(backbone)
    # Unmasked Teacher keeps a table of other than the first number of tokens among its weights.
    if not learned and not (is_umt and tensors["pos_embed"].shape[1] != 1568):
        del tensors["pos_embed"]
    head = classifier(config.get("num_classes", 0), backbone.out_channels)
    tensors |= {f"head.{name}": tensor for name, tensor in head.named_parameters()}
    return Built(lambda x: outputs(backbone, head, x), tensors)


def starting_scale(config: Mapping[str, Any]) -> float:
    """Where the scale of the branches starts; the value does not matter, but 0 is none."""
    if config.get("init_values"):
        return float(config["init_values"])
    return 0.1 if config.get("layer_scale") else 0.0


def classifier(num_classes: int, channels: int) -> nn.Module:
    return TimeSformerHead(num_classes, channels).eval().fc_cls if num_classes else nn.Identity()


def outputs(backbone: VisionTransformer, head: nn.Module, x: Tensor) -> dict[str, Tensor]:
    kept = []
    with backbone.norm.register_forward_hook(lambda module, args, result: kept.append(result)):
        features = backbone(x)
    tokens = kept[0]
    return {
        "tokens": tokens,
        "last_hidden_state": tokens,
        "features": features,
        "pooled": features,
        "logits": head(features),
    }


def of_transformers(fixture: Mapping[str, Any]) -> Built:
    config = {**TRANSFORMERS, **fixture["config"]}
    qkv_bias = config.get("qv_bias", config["qkv_bias"])  # its older name
    backbone = VisionTransformer(
        img_size=config["image_size"],
        patch_size=config["patch_size"],
        in_channels=config["num_channels"],
        embed_dims=config["hidden_size"],
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        # Half a channel more, so that rounding down gives the number that was meant.
        mlp_ratio=(config["intermediate_size"] + 0.5) / config["hidden_size"],
        qkv_bias=qkv_bias,
        norm_cfg={"type": "LN", "eps": config["layer_norm_eps"]},
        num_frames=config["num_frames"],
        tubelet_size=config["tubelet_size"],
        use_mean_pooling=config["use_mean_pooling"],
        act_cfg=ACTIVATIONS[config["hidden_act"]],
        pool_norm_cfg={"type": "LN", "eps": 1e-5},
    ).eval()
    views = transformers_names(backbone)
    if "ForVideoClassification" not in fixture["how"]:  # the encoder alone
        return Built(
            lambda x: outputs(backbone, nn.Identity(), x.transpose(1, 2)),
            {name: tensor for name, tensor in views.items() if not name.startswith("fc_norm.")},
        )
    head = classifier(config["num_labels"], backbone.out_channels)
    tensors = {name if name.startswith("fc_norm.") else f"videomae.{name}": tensor for name, tensor in views.items()}
    tensors |= {f"classifier.{name}": tensor for name, tensor in head.named_parameters()}
    return Built(lambda x: outputs(backbone, head, x.transpose(1, 2)), tensors)


def positions(config: Mapping[str, Any]) -> Built:
    """The tables of Unmasked Teacher: stretched to more frames or larger ones, and as it starts."""
    width, frames, before = config["dim"], config["frames_to"], config["frames_from"]
    side = round((config["tokens"] / frames) ** 0.5)
    table = sinusoid_table(before * config["grid"] ** 2, width)
    stretched = resize_positions(table, (before, config["grid"], config["grid"]), (frames, side, side))
    native = sinusoid_table(config["tokens"], width)
    return Built(lambda x: {"stretched": stretched, "plain": table, "native": native})
