"""The files of V-JEPA 2 and 2.1: Meta's, and those of `transformers`.

Our modules have the names of Meta's files. `transformers` keeps queries, keys and values apart.
"""

import re
from typing import Any

from torch import Tensor, nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views

# The probe has its own number of heads and eps at any width; `transformers` takes the encoder's.
PROBE_HEADS = 16
PROBE_EPS = 1e-5

_ENCODER_NAMES = (
    (r"^patch_embed\.", "encoder.embeddings.patch_embeddings."),
    (r"^blocks\.(\d+)\.attn\.", r"encoder.layer.\1.attention."),
    (r"^blocks\.", "encoder.layer."),
    (r"^norm\.", "encoder.layernorm."),
)
_PREDICTOR_NAMES = (
    (r"^predictor_embed\.", "predictor.embeddings.predictor_embeddings."),
    (r"^mask_tokens$", "predictor.embeddings.mask_tokens"),
    (r"^predictor_blocks\.(\d+)\.attn\.", r"predictor.layer.\1.attention."),
    (r"^predictor_blocks\.", "predictor.layer."),
    (r"^predictor_norm\.", "predictor.layernorm."),
    (r"^predictor_proj\.", "predictor.proj."),
)
_HEAD_NAMES = (
    (r"^pooler\.cross_attention_block\.norm(\d)\.", r"pooler.cross_attention_layer.layer_norm\1."),
    (r"^pooler\.cross_attention_block\.xattn\.(q|kv)\.", r"pooler.cross_attention_layer.cross_attn.\1_proj."),
    (r"^pooler\.cross_attention_block\.", "pooler.cross_attention_layer."),
    (r"^pooler\.blocks\.(\d+)\.norm(\d)\.", r"pooler.self_attention_layers.\1.layer_norm\2."),
    (r"^pooler\.blocks\.(\d+)\.attn\.qkv\.", r"pooler.self_attention_layers.\1.self_attn.qkv_proj."),
    (r"^pooler\.blocks\.(\d+)\.attn\.proj\.", r"pooler.self_attention_layers.\1.self_attn.out_proj."),
    (r"^pooler\.blocks\.", "pooler.self_attention_layers."),
    (r"^linear\.", "classifier."),
)


def own_tensors(network: nn.Module) -> Views:
    """A network under its own names, which are Meta's."""
    return dict(network.state_dict())


def _renamed(network: nn.Module, names: tuple[tuple[str, str], ...]) -> Views:
    renamed = {}
    for name, tensor in network.state_dict().items():
        pattern, replacement = next((entry for entry in names if re.search(entry[0], name)), ("^", ""))
        renamed[re.sub(pattern, replacement, name)] = tensor
    return renamed


def _apart(views: Views) -> Views:
    """Queries, keys and values as parts of the tensors that hold them one after the other."""
    parts: Views = {}
    for name, tensor in views.items():
        fused = re.search(r"(?<=\.)(qkv|kv)(?=[._])", name)
        if fused is None:
            parts[name] = tensor
            continue
        for letter, part in zip(fused[0], tensor.chunk(len(fused[0])), strict=True):
            word = letter if "_proj." in name else {"q": "query", "k": "key", "v": "value"}[letter]
            parts[name[: fused.start()] + word + name[fused.end() :]] = part
    return parts


def transformers_encoder(encoder: nn.Module) -> Views:
    """An encoder under the names of a bare `VJEPA2Model`."""
    return _apart(_renamed(encoder, _ENCODER_NAMES)) if hasattr(encoder, "norm") else {}


def transformers_predictor(predictor: nn.Module) -> Views:
    """A predictor under the names of a bare `VJEPA2Model`."""
    return _apart(_renamed(predictor, _PREDICTOR_NAMES))


def transformers_head(head: nn.Module) -> Views:
    """An attentive head under the names of `VJEPA2ForVideoClassification`."""
    return _apart(_renamed(head, _HEAD_NAMES)) if hasattr(head, "pooler") else {}


def probe(head: nn.Module) -> Views:
    """An attentive head under Meta's names, which are its own."""
    return own_tensors(head) if hasattr(head, "pooler") else {}


def meta_predictor(predictor: nn.Module) -> Views:
    """A predictor under Meta's names, which count the mask tokens."""
    views = own_tensors(predictor)
    mask_tokens: Tensor = views.pop("mask_tokens")
    return views | {f"mask_tokens.{index}": token for index, token in enumerate(mask_tokens)}


def _meta_settings(encoder: nn.Module) -> dict[str, Any]:
    return {"num_heads": PROBE_HEADS, "norm_eps": PROBE_EPS}


def _transformers_settings(encoder: nn.Module) -> dict[str, Any]:
    return {"num_heads": encoder.num_heads, "norm_eps": encoder.norm_eps}


FORMATS = (
    FileFormat(
        "V-JEPA 2 by Meta",
        own_tensors,
        prefixes=(*WRAPPERS, "backbone.", "encoder."),
        # The moving average is in the first one for 2.1 B and L, in the second one else.
        branches=("ema_encoder", "target_encoder", "encoder"),
        spare=r"^pos_embed$",  # of an older encoder; rotary positions have no table
    ),
    FileFormat(
        "V-JEPA 2 of transformers",
        transformers_encoder,
        transformers_head,
        of_head=r"^(pooler|classifier)\.",
        classes=r"^classifier\.",
        prefixes=(*WRAPPERS, "vjepa2."),
        spare=r"^predictor\.",
        head_settings=_transformers_settings,
    ),
    FileFormat(
        "the attentive probe of V-JEPA 2 by Meta",
        lambda encoder: {},
        probe,
        of_head=r"^(pooler|linear)\.",
        classes=r"^linear\.",
        branches=("classifiers",),
        head_settings=_meta_settings,
    ),
)
