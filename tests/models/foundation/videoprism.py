"""VideoPrism as Google's flax code and as transformers have it: encoder, classifiers, encoder of videos and texts."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from foundation.libraries import ACTIVATIONS
from foundation_fixtures import Built
from torch import Tensor

from kinema.models.backbones.tokens.videoprism import VideoPrism
from kinema.models.backbones.tokens.videoprism_files import from_flax
from kinema.models.heads.videoprism import VideoPrismHead


def build(fixture: Mapping[str, Any]) -> Built:
    return of_flax(fixture) if fixture["family"] == "videoprism/jax" else of_transformers(fixture)


# ---- transformers


def of_transformers(fixture: Mapping[str, Any]) -> Built:
    config, how = fixture["config"], fixture["how"]
    is_large = "large" in f"{config.get('defaults', '')} {fixture['name']}".lower() and "hidden_size" not in config
    width, layers, heads = (1024, 24, 16) if is_large else (768, 12, 12)
    tubelet = config.get("tubelet_size", [1, 18, 18])
    image, width = config.get("image_size", 288), config.get("hidden_size", width)
    heads = config.get("num_attention_heads", heads)
    hidden = config.get("intermediate_size", 4 * width)
    has_pool = "VideoClassification" in how or "VideoModel" in how or "ClipModel" in how
    encoder = VideoPrism(
        config.get("num_frames", 8 if is_large else 16),
        tuple(image) if isinstance(image, list) else image,
        patch_size=tuple(tubelet[1:]),
        tubelet_size=tubelet[0],
        in_channels=config.get("num_channels", 3),
        embed_dims=width,
        num_spatial_layers=config.get("num_spatial_layers", layers),
        num_temporal_layers=config.get("num_temporal_layers", 4),
        num_auxiliary_layers=config.get("num_auxiliary_layers", 2) if "VideoModel" in how else 0,
        num_heads=heads,
        mlp_channels=hidden,
        qkv_bias=config.get("qkv_bias", True),
        logit_cap=config.get("attn_logit_softcapping", 50.0) or None,
        norm_eps=config.get("layer_norm_eps", 1e-6),
        act_cfg=ACTIVATIONS[config.get("hidden_act", "gelu")],
    ).eval()
    if not has_pool:
        return Built(lambda x: encode(encoder, x.transpose(1, 2), cropped="crop" in how), encoder.state_dict())
    classes = config.get("num_labels", 2)
    shared = {"norm_eps": config.get("layer_norm_eps", 1e-6), "qkv_bias": config.get("qkv_bias", True)}
    head = VideoPrismHead(classes, width, num_heads=heads, inner_channels=hidden, **shared).eval()
    normalises = config.get("apply_l2norm", True)

    def compute(x: Tensor) -> dict[str, Tensor]:
        features = encoder(x.transpose(1, 2))
        pooled = head.pooled(features)[:, None]  # the axis of the query stays
        embedded = F.normalize(pooled, dim=-1) if normalises else pooled
        own = {"tokens": tokens_of(features), "logits": head.classifier(pooled)}
        given = embedded if "VideoModel" in how else pooled
        return {**own, "pooled": given, "pooler_output": given, "video_embeds": given, "embedding": given}

    tensors = {
        name if name.startswith("auxiliary_layers.") else f"vision_model.{name}": tensor
        for name, tensor in encoder.state_dict().items()
    }
    own = {
        name: tensor
        for name, tensor in head.state_dict().items()
        if "VideoClassification" in how or not name.startswith("classifier.")
    }
    return Built(compute, tensors | own)


def encode(encoder: VideoPrism, x: Tensor, *, cropped: bool) -> dict[str, Tensor]:
    """Outputs for (B, C, T, H, W), and for what is cut to its own size from the front and the top left."""
    whole = parts(encoder, x)
    height, width = encoder.img_size
    cut = parts(encoder, x[:, :, : encoder.num_frames, :height, :width]) if cropped else whole
    return {f"{name}_interpolated": tensor for name, tensor in whole.items()} | cut


def parts(encoder: VideoPrism, x: Tensor) -> dict[str, Tensor]:
    frames, rows, columns = encoder.check_size(x)
    spatial = encoder.spatial(x)
    temporal = encoder.temporal(spatial, frames)
    return {"spatial": spatial, "temporal": temporal, "tokens": tokens_of(encoder.joined(temporal, rows, columns))}


def tokens_of(features: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, T H W, C)."""
    return features.flatten(2).transpose(1, 2)


# ---- flax


def of_flax(fixture: Mapping[str, Any]) -> Built:
    config, how = fixture["config"], fixture["how"]
    frames, rows, columns = config["pos_emb_shape"]
    patch, width = config["patch_size"], config["model_dim"]
    is_lvt = "auxiliary" in how.lower() or "num_auxiliary_layers" in config
    encoder = VideoPrism(
        frames,
        (rows * patch, columns * patch),
        patch_size=patch,
        embed_dims=width,
        num_spatial_layers=config["num_spatial_layers"],
        num_temporal_layers=config["num_temporal_layers"],
        num_auxiliary_layers=config.get("num_auxiliary_layers", 2) if is_lvt else 0,
        num_heads=config["num_heads"],
        mlp_channels=config["mlp_dim"],
        logit_cap=config.get("atten_logit_cap", 50.0) or None,
        norm_eps=config.get("norm_eps", 1e-6),
    ).eval()
    head = VideoPrismHead(config.get("num_classes", 1), width, num_heads=config["num_heads"]).eval()
    is_classifier = "num_classes" in config
    arrays = arrays_of_encoder(encoder, "encoder/" if is_classifier else "")
    if is_classifier:
        arrays |= arrays_of_head(head)
    own = encoder.state_dict(keep_vars=True) | (head.state_dict(keep_vars=True) if is_classifier else {})
    for name, view in from_flax(arrays, own).items():
        assert own[name].shape == view.shape, name
        own[name].data = view  # the layers of a stack share its array

    def compute(x: Tensor) -> dict[str, Tensor]:
        x = x.permute(0, 4, 1, 2, 3)
        spatial = encoder.spatial(x)
        frames, rows, columns = encoder.check_size(x)
        features = encoder.joined(encoder.temporal(spatial, frames), rows, columns)
        outputs = {
            "tokens": tokens_of(features),
            "spatial": encoder.layernorm1(spatial).reshape(len(x), -1, width),
        }
        if is_classifier:
            pooled = head.pooled(features)
            outputs |= {"pooled": pooled, "logits": head.classifier(pooled)}
        return outputs

    return Built(compute, arrays)


def arrays_of_encoder(encoder: VideoPrism, prefix: str) -> dict[str, Tensor]:
    """Arrays of its sizes, under the names of flax."""
    width = encoder.embed_dims
    rows, columns = encoder.patch_size
    shapes = {
        **linear("patch_projection", rows * columns * encoder.in_channels, width),
        **norm("spatial_ln", width),
        **norm("temporal_ln", width),
        "spatial_pos_emb/emb_var": encoder.spatial_embeddings.position_embeddings.shape[1:],
        "temporal_pos_emb/emb_var": encoder.temporal_embeddings.position_embeddings.shape[1:],
    }
    for kind in ("spatial", "temporal", "auxiliary"):
        layers = getattr(encoder, f"{kind}_layers")
        if layers:
            hidden = layers[0].mlp.fc1.out_features
            of_layer = {
                **norm("layer_norm", width),
                **norm("ff_layer/layer_norm", width),
                **linear("ff_layer/ffn_layer1", width, hidden),
                **linear("ff_layer/ffn_layer2", hidden, width),
                **attention("self_attention", width, width, layers[0].attention.num_heads),
            }
            stack = f"{kind}_encoder/transformers_stack/x_layers"
            shapes |= {f"{stack}/{name}": (len(layers), *shape) for name, shape in of_layer.items()}
    return {prefix + name: torch.zeros(shape) for name, shape in shapes.items()}


def arrays_of_head(head: VideoPrismHead) -> dict[str, Tensor]:
    width, pool = head.in_channels, head.head
    inner = pool.q_proj.out_features
    shapes = {
        **attention("atten_pooler/pooling_attention", width, inner, pool.num_heads),
        "atten_pooler/pooling_attention/per_dim_scale/per_dim_scale": (inner // pool.num_heads,),
        "atten_pooler/pooling_attention_query": (1, width),
        **norm("atten_pooler/pooling_attention_layer_norm", width),
        **linear("projection", width, head.num_classes),
    }
    return {name: torch.zeros(shape) for name, shape in shapes.items()}


def norm(name: str, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/scale": (width,), f"{name}/bias": (width,)}


def linear(name: str, channels: int, width: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}/linear/kernel": (channels, width), f"{name}/linear/bias": (width,)}


def attention(name: str, width: int, inner: int, heads: int) -> dict[str, tuple[int, ...]]:
    shapes = {f"{name}/{part}/w": (width, heads, inner // heads) for part in ("query", "key", "value", "post")}
    biases = {f"{name}/{part}/b": (heads, inner // heads) for part in ("query", "key", "value")}
    return {**shapes, **biases, f"{name}/post/b": (width,)}
