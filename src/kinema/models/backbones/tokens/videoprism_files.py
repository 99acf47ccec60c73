"""Files of VideoPrism: Google's arrays of flax, and those of transformers, whose names are the network's own."""

import re
from collections.abc import Callable
from contextlib import suppress

from torch import Tensor, nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.reading import State

PATCHES = "spatial_embeddings.patch_embeddings.projection"
_STACK = r"^(spatial|temporal|auxiliary)_encoder/transformers_stack/x_layers/"
_POOL = r"^(atten_pooler|contrastive_vision_pooler)/pooling_attention"
# Regular expressions of paths in flax -> names here, applied in this order.
NAMES = (
    (r"^params/", ""),
    (r"^(vision_)?encoder/", ""),
    (r"^patch_projection/linear/", PATCHES.replace(".", "/") + "/"),
    (r"^(spatial|temporal)_pos_emb/emb_var$", r"\1_embeddings/position_embeddings"),
    (r"^spatial_ln/", "layernorm1/"),
    (r"^temporal_ln/", "layernorm2/"),
    (_STACK + "layer_norm/", r"\1_layers/*/layernorm_before/"),
    (_STACK + "ff_layer/layer_norm/", r"\1_layers/*/layernorm_after/"),
    (_STACK + r"ff_layer/ffn_layer([12])/linear/", r"\1_layers/*/mlp/fc\2/"),
    (_STACK + "self_attention/", r"\1_layers/*/attention/"),
    (_POOL + "_layer_norm/", "head_layernorm/"),
    (_POOL + "_query$", "head/pooling_attention_query"),
    (_POOL + "/per_dim_scale/", "head/"),
    (_POOL + "/", "head/"),
    (r"^projection/linear/", "classifier/"),
    *((rf"/{flax}/(w|b)$", rf"/{own}_proj/\1") for flax, own in {"query": "q", "key": "k", "value": "v"}.items()),
    (r"/post/(w|b)$", r"/o_proj/\1"),
    (r"/(w|kernel|scale)$", "/weight"),
    (r"/b$", "/bias"),
)
# Ends of names here -> an array of flax as it lies here: linear layers are (in, out) there, and
# attention has an axis for its heads, (C, H, D).
LAYOUTS: tuple[tuple[str, Callable[[Tensor], Tensor]], ...] = (
    (r"(position_embeddings|pooling_attention_query)$", lambda array: array[None]),
    (r"[qkv]_proj\.weight$", lambda array: array.flatten(1).transpose(0, 1)),
    (r"[qkv]_proj\.bias$", lambda array: array.flatten()),
    (r"o_proj\.weight$", lambda array: array.flatten(1)),
    (r"(fc[12]|classifier)\.weight$", lambda array: array.transpose(0, 1)),
)


def from_flax(weights: State, views: Views) -> State:
    """Arrays of flax, by their paths joined by `/`, under the names of the network.

    Args:
        weights: the arrays; the layers of a stack lie along their first axis. A name that is not one of
            VideoPrism's stays.
        views: tensors of the network, for the size of its patches.

    Returns:
        Views of the arrays.
    """
    state: State = {}
    for path, array in weights.items():
        name = path
        for pattern, replacement in NAMES:
            name = re.sub(pattern, replacement, name)
        name = name.replace("/", ".") if name != path else path
        if ".*." in name and array.dim():
            state |= {name.replace("*", str(layer)): part for layer, part in enumerate(array.unbind())}
        else:
            state[name] = array
    return {name: _laid_out(name, array, views) for name, array in state.items()}


def _laid_out(name: str, array: Tensor, views: Views) -> Tensor:
    """An array of flax as the tensor of that name lies; as it is where it has other axes, which shapes then show."""
    with suppress(IndexError, RuntimeError):
        if name == f"{PATCHES}.weight" and name in views:
            _, channels, _, rows, columns = views[name].shape
            return array.unflatten(0, (rows, columns, channels)).permute(3, 2, 0, 1)[:, :, None]
        for pattern, lay_out in LAYOUTS:
            if re.search(pattern, name):
                return lay_out(array)
    return array


def _own(part: nn.Module) -> Views:
    return part.state_dict()


TRANSFORMERS = FileFormat(
    "VideoPrism of transformers",
    _own,
    _own,
    of_head=r"^(head|head_layernorm|classifier)\.",
    prefixes=(*WRAPPERS, "video_model.", "vision_model."),
    spare=r"^(text_model\.|logit_(scale|bias)$)",
    optional=r"^classifier\.",
)
FLAX = FileFormat(
    "VideoPrism of Google",
    _own,
    _own,
    of_head=TRANSFORMERS.of_head,
    spare=r"^(params/)?text_encoder/",
    optional=r"^classifier\.",
    convert=from_flax,
)
FORMATS = (TRANSFORMERS, FLAX)
