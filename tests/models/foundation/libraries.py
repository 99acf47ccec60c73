"""TimeSformer and ViViT of transformers, and the image encoders of CLIP, SigLIP and timm."""

import re
from collections.abc import Mapping
from typing import Any

from foundation_fixtures import Built
from torch import Tensor, nn

from kinema.checkpoints.file_names import own_tensors, renamed
from kinema.models import TimeSformer, TimeSformerHead
from kinema.models.backbones.tokens.frame_transformer import FrameTransformer, clip_vision, siglip_vision
from kinema.models.backbones.tokens.frame_transformer_files import names_of_clip, names_of_siglip, names_of_timm
from kinema.models.backbones.tokens.timesformer_files import names_of_transformers as names_of_timesformer
from kinema.models.backbones.tokens.vivit import ViViT, classifier_of_transformers
from kinema.models.backbones.tokens.vivit import names_of_transformers as names_of_vivit
from kinema.models.layers import build_activation_layer

# transformers' names of activations, and timm's.
EXACT = {"type": "GELU"}
TANH = {"type": "GELU", "approximate": "tanh"}
SILU = {"type": "SiLU"}
ACTIVATIONS: dict[str, dict[str, Any]] = {
    **{"gelu": EXACT, "gelu_python": EXACT, "silu": SILU, "swish": SILU, "relu": {"type": "ReLU"}},
    **{"gelu_fast": TANH, "gelu_new": TANH, "gelu_pytorch_tanh": TANH, "gelu_tanh": TANH},
    "quick_gelu": {"type": "QuickGELU"},
}


def build(fixture: Mapping[str, Any]) -> Built:
    """The network of a fixture of these families."""
    family = str(fixture["family"])
    kind = next(kind for name, kind in KINDS.items() if family.startswith(name))
    return kind(fixture)


def with_activation(network: nn.Module, cfg: dict[str, Any]) -> None:
    """Put another activation in the place of every GELU."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.GELU):
                setattr(parent, name, build_activation_layer(cfg))


def timesformer(fixture: Mapping[str, Any]) -> Built:
    config = {
        **{"image_size": 224, "patch_size": 16, "num_channels": 3, "num_frames": 8, "hidden_size": 768},
        **{"num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu"},
        **{"layer_norm_eps": 1e-6, "qkv_bias": True, "attention_type": "divided_space_time", "num_labels": 2},
        **fixture["config"],
    }
    by_frame = config["attention_type"] == "space_only"
    frames = 1 if by_frame else config["num_frames"]
    rows = side(config["image_size"]) // side(config["patch_size"])
    network = TimeSformer(
        frames,
        side(fixture["input_shape"][-2:]),
        side(config["patch_size"]),
        pos_grid=(frames, rows, rows),
        embed_dims=config["hidden_size"],
        num_heads=config["num_attention_heads"],
        num_transformer_layers=config["num_hidden_layers"],
        in_channels=config["num_channels"],
        attention_type=config["attention_type"],
        norm_cfg={"type": "LN", "eps": config["layer_norm_eps"]},
        layer_norm_cfg={"type": "LN", "eps": config["layer_norm_eps"]},
        feedforward_channels=config["intermediate_size"],
    ).eval()
    with_activation(network, ACTIVATIONS[config["hidden_act"]])
    tensors = names_of_timesformer(network)
    if not config["qkv_bias"]:
        tensors = {name: tensor for name, tensor in tensors.items() if not name.endswith(".qkv.bias")}
    classify, head = classifier(fixture, config, tensors, "timesformer.")

    def compute(x: Tensor) -> dict[str, Tensor]:
        clips = x.flatten(0, 1)[:, None] if by_frame else x
        tokens = network.tokens(clips.transpose(1, 2))
        return {"tokens": tokens, **classify(tokens[:, 0])}

    return Built(compute, head)


def vivit(fixture: Mapping[str, Any]) -> Built:
    config = {
        **{"image_size": 224, "num_frames": 32, "tubelet_size": (2, 16, 16), "num_channels": 3, "hidden_size": 768},
        **{"num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu_fast"},
        **{"layer_norm_eps": 1e-6, "qkv_bias": True, "num_labels": 2, "pooler_act": "tanh", "pooler_output_size": None},
        **fixture["config"],
    }
    width = config["hidden_size"]
    network = ViViT(
        config["image_size"],
        config["num_frames"],
        tubelet_size=config["tubelet_size"],
        in_channels=config["num_channels"],
        embed_dims=width,
        depth=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        feedforward_channels=config["intermediate_size"],
        qkv_bias=config["qkv_bias"],
        act_cfg=ACTIVATIONS[config["hidden_act"]],
        norm_eps=config["layer_norm_eps"],
    ).eval()
    classify, tensors = classifier(fixture, config, names_of_vivit(network), "vivit.")
    pooler = nn.Sequential(
        nn.Linear(width, config["pooler_output_size"] or width),
        {"tanh": nn.Tanh(), "relu": nn.ReLU(), "gelu": nn.GELU()}.get(config["pooler_act"], nn.Identity()),
    )
    if not is_classifier(fixture) and "add_pooling_layer=False" not in str(fixture["how"]):
        tensors |= renamed(own_tensors(pooler), [(r"^0\.", "pooler.dense.")])

    def compute(x: Tensor) -> dict[str, Tensor]:
        tokens = network.tokens(x.transpose(1, 2))
        pooled = pooler(tokens[:, 0])
        return {"tokens": tokens, "pooled": pooled, "pooler_output": pooled, **classify(tokens[:, 0])}

    return Built(compute, tensors)


def is_classifier(fixture: Mapping[str, Any]) -> bool:
    """Does a fixture describe a classifier, not a bare encoder?"""
    return re.search(r"\b(Vivit|Timesformer)Model\b", str(fixture["how"])) is None


def classifier(fixture: Mapping[str, Any], config: Mapping[str, Any], tensors: dict[str, Tensor], prefix: str) -> Any:
    """(B, C) -> the scores of a classifier, if there is one, and all tensors under their names in it."""
    if not is_classifier(fixture):
        return (lambda features: {}), tensors
    head = TimeSformerHead(config["num_labels"], config["hidden_size"]).eval()
    named = {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
    return (lambda features: {"logits": head(features)}), {**named, **classifier_of_transformers(head)}


def side(size: Any) -> int:
    """The sides of squares."""
    if isinstance(size, int):
        return size
    assert len(set(size)) == 1, size
    return int(size[0])


def clip(fixture: Mapping[str, Any]) -> Built:
    config = {
        **{"image_size": 224, "patch_size": 32, "num_channels": 3, "hidden_size": 768, "num_hidden_layers": 12},
        **{"num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
        **{"projection_dim": 512},
        **fixture["config"],
    }
    projects = re.search(r"\bCLIPVisionModel\b", str(fixture["how"])) is None
    network = clip_vision(
        **of_frames(fixture, config),
        projection=config["projection_dim"] if projects else None,
    ).eval()

    def compute(x: Tensor) -> dict[str, Tensor]:
        tokens = network.tokens(x)
        normed = network.norm(tokens)
        return {"tokens": tokens, "pooled": normed[:, 0], "image_embeds": network.pooled(normed)}

    views = names_of_clip(network)
    if projects:
        views = renamed(views, [(r"^(?!visual_projection\.)", "vision_model.")])
    return Built(compute, views)


def siglip(fixture: Mapping[str, Any]) -> Built:
    config = {
        **{"image_size": 224, "patch_size": 16, "num_channels": 3, "hidden_size": 768, "num_hidden_layers": 12},
        **{"num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu_pytorch_tanh"},
        **{"layer_norm_eps": 1e-6, "vision_use_head": True},
        **fixture["config"],
    }
    pools = config["vision_use_head"]
    network = siglip_vision(**of_frames(fixture, config), pooling="attention" if pools else "mean").eval()

    def compute(x: Tensor) -> dict[str, Tensor]:
        tokens = network.norm(network.tokens(x))
        return {"tokens": tokens, **({"pooled": network.pooled(tokens)} if pools else {})}

    return Built(compute, names_of_siglip(network))


def of_frames(fixture: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of `FrameTransformer` that CLIP and SigLIP of transformers share."""
    rows = side(config["image_size"]) // side(config["patch_size"])
    return {
        "img_size": side(fixture["input_shape"][-2:]),
        "pos_grid": (rows, rows),
        "patch_size": side(config["patch_size"]),
        "embed_dims": config["hidden_size"],
        "depth": config["num_hidden_layers"],
        "num_heads": config["num_attention_heads"],
        "in_channels": config["num_channels"],
        "feedforward_channels": config["intermediate_size"],
        "act_cfg": ACTIVATIONS[config["hidden_act"]],
        "norm_eps": config["layer_norm_eps"],
    }


# Channels, depth, heads and, where it is not 4, the ratio of hidden channels of timm's sizes.
SIZES: dict[str, tuple[int, int, int, float]] = {
    "tiny": (192, 12, 3, 4),
    "xsmall": (256, 10, 4, 4),
    "small": (384, 12, 6, 4),
    "medium": (512, 12, 8, 4),
    "betwixt": (640, 12, 10, 4),
    "base": (768, 12, 12, 4),
    "base_plus": (896, 12, 14, 4),
    "large": (1024, 24, 16, 4),
    "huge": (1280, 32, 16, 4),
    "giant": (1408, 40, 16, 48 / 11),
    "gigantic": (1664, 48, 16, 64 / 13),
    "so400m": (1152, 27, 16, 3.7362),
    "giantopt": (1536, 40, 16, 4),
}
# Outputs that timm gives an encoder of CLIP, where the fixture does not say.
CLIP_CLASSES = {"xsmall": 512, "medium": 512, "betwixt": 512, "base_plus": 640, "giant": 1024, "gigantic": 1280}
QUICK_CLIP_CLASSES = {"base": 512, "large": 768, "huge": 1024, "gigantic": 1280}
# Plain encoders that timm gives no classifier.
WITHOUT_CLASSES = ("vit_huge_patch14_224", "vit_large_patch32_224", "vit_small_patch8_224")
# Encoders of SigLIP that timm builds with the approximate GELU.
TANH_SIGLIP = re.compile(r"vit_(base_patch32|large_patch16_siglip(_gap)?_512|so400m_patch16|giantopt)")
ARCHITECTURE = re.compile(
    r"(?:vit|deit)_(?P<size>[a-z0-9]+)_patch(?P<patch>\d+)(?P<plus>_plus)?(?P<registers>_reg\d+)?"
    r"(?:_(?P<kind>clip_quickgelu|clip|siglip_gap|siglip|dinov2))?(?:_(?P<pixels>\d+))?"
)


def classes_of_timm(name: str, kind: str, size: str) -> int:
    """Outputs of an architecture of timm by default."""
    if kind == "clip_quickgelu":
        return QUICK_CLIP_CLASSES[size]
    if kind == "clip":
        few = name in ("vit_base_patch32_clip_256", "vit_huge_patch14_clip_378")
        return {"base": 512, "huge": 1024}[size] if few else CLIP_CLASSES.get(size, 1000)
    return 0 if kind.startswith(("siglip", "dinov2")) or name in WITHOUT_CLASSES else 1000


def timm(fixture: Mapping[str, Any]) -> Built:
    config = dict(fixture["config"])
    name = str(config.pop("arch")).partition(".")[0]
    match = ARCHITECTURE.fullmatch(name)
    if match is None:
        raise ValueError(f"{name} is none of the image transformers of timm that are built here")
    kind = match["kind"] or ""
    size = match["size"] + (match["plus"] or "")
    width, depth, heads, ratio = SIZES[size]
    width, depth = config.get("embed_dim", width), config.get("depth", depth)
    classes = config.get("num_classes", classes_of_timm(name, kind, size))
    pixels = config.get("img_size") or int(match["pixels"] or 518)
    act = (
        "quick_gelu" if "quickgelu" in kind else "gelu_tanh" if "siglip" in kind and TANH_SIGLIP.match(name) else "gelu"
    )
    pooling = {"map": "attention", "avg": "mean", "token": "token"}[
        config.get("global_pool") or {"siglip": "map", "siglip_gap": "avg"}.get(kind, "token")
    ]
    registers = int((match["registers"] or "_reg0").removeprefix("_reg"))
    network = FrameTransformer(
        side(pixels),
        int(match["patch"]),
        embed_dims=width,
        depth=depth,
        num_heads=config.get("num_heads", heads),
        feedforward_channels=int(width * config.get("mlp_ratio", ratio)),
        pooling=pooling,
        class_token=config.get("class_token", not kind.startswith("siglip")),
        num_registers=registers,
        token_positions=not registers,
        pre_norm=kind.startswith("clip"),
        norm_after_pooling=pooling == "mean" and kind != "siglip_gap",
        projection=classes or None,
        projection_bias=True,
        act_cfg=ACTIVATIONS[config.get("act_layer") or act],
        norm_eps=1e-5 if kind.startswith("clip") else 1e-6,
        layer_scale=1e-5 if kind == "dinov2" or (match["plus"] and not kind) else None,
    ).eval()

    def compute(x: Tensor) -> dict[str, Tensor]:
        features = network.norm(network.tokens(x))
        return {"features": features, "output": network.pooled(features)}

    return Built(compute, names_of_timm(network))


KINDS = {"hf/timesformer": timesformer, "hf/vivit": vivit, "hf/clip": clip, "hf/siglip": siglip, "timm": timm}
