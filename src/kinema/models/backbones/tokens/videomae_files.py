"""Files of `VisionTransformer`: of the authors of VideoMAE, VideoMAE V2 and Unmasked Teacher, and of transformers.

All three authors took the same class on, so that their files have the same names. Files of masked
pretraining hold a decoder too, and a norm where the fine-tuned network has another.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from torch import Tensor, nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.reading import State
from kinema.models.layers.positions import POSITIONS_ADVICE

# Our names -> those of the authors; OpenMMLab's are ours.
_AUTHORS = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"\.mlp\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.mlp\.layers\.1\.", ".mlp.fc2."),
)
_TRANSFORMERS = (
    (r"^patch_embed\.projection\.", "embeddings.patch_embeddings.projection."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.([qv])_bias$", r".attention.attention.\1_bias"),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.mlp\.layers\.0\.0\.", ".intermediate.dense."),
    (r"\.mlp\.layers\.1\.", ".output.dense."),
    (r"^norm\.", "layernorm."),
)
# transformers 5 has query.bias where the files that were published before have q_bias.
_BIASES = ((r"\.attention\.q_bias$", ".attention.query.bias"), (r"\.attention\.v_bias$", ".attention.value.bias"))


def authors_names(backbone: nn.Module) -> Views:
    """The tensors of a `VisionTransformer` under the names of its authors' files."""
    return {_renamed(name, _AUTHORS): tensor for name, tensor in _own(backbone)}


def transformers_names(backbone: nn.Module) -> Views:
    """The same under the names of `transformers.VideoMAEModel`: queries, keys and values apart."""
    views: Views = {}
    for name, tensor in _own(backbone):
        if name.endswith(".attn.qkv.weight"):
            start = _renamed(name, _TRANSFORMERS).removesuffix("attn.qkv.weight") + "attention.attention."
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                views[f"{start}{part}.weight"] = rows
        elif name != "pos_embed" or isinstance(tensor, nn.Parameter):
            views[_renamed(_renamed(name, _TRANSFORMERS), _BIASES)] = tensor
    return views


def _own(backbone: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from backbone.named_buffers()
    yield from backbone.named_parameters()


def _renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _classifier(name: str) -> Callable[[nn.Module], Views]:
    def views(head: nn.Module) -> Views:
        layer = getattr(head, "fc_cls", None)
        return {f"{name}.{key}": tensor for key, tensor in layer.named_parameters()} if layer is not None else {}

    return views


def _with_positions(weights: State, views: Mapping[str, Tensor]) -> State:
    """Files lack positions that are computed, except those of clips longer or larger than the first training's."""
    table = views.get("pos_embed")
    if table is None or isinstance(table, nn.Parameter):
        return weights
    return {"pos_embed": table, **weights}


def _with_new_biases(weights: State, views: Mapping[str, Tensor]) -> State:
    return {_renamed(name, _BIASES): tensor for name, tensor in weights.items()}


_FINE_TUNED = FileFormat(
    "VideoMAE and Unmasked Teacher",
    authors_names,
    _classifier("head"),
    prefixes=(*WRAPPERS, "backbone.", "encoder."),
    convert=_with_positions,
    advice=POSITIONS_ADVICE,
)
_FINE_TUNED_TRANSFORMERS = FileFormat(
    "VideoMAE of transformers",
    transformers_names,
    _classifier("classifier"),
    of_head=r"^classifier\.",
    prefixes=(*WRAPPERS, "videomae."),
    # A bias of the keys shifts all products of a query alike, which changes nothing.
    spare=r"\.attention\.key\.bias$",
    convert=_with_new_biases,
)
# Its `VideoMAEModel` alone: the norm behind the mean belongs to the classifier there.
_ENCODER_OF_TRANSFORMERS = replace(
    _FINE_TUNED_TRANSFORMERS,
    name="VideoMAE of transformers, the encoder alone",
    of_head="^$",
    optional=r"^fc_norm\.",
)
_PRETRAINED = r"(clip_)?decoder\.|mask_token$|encoder_to_decoder\."


def _of_pretraining(kind: FileFormat, norm: str) -> FileFormat:
    """The format of a network that restores masked clips: its norm is not that behind the mean, which starts anew."""
    return replace(
        kind,
        name=f"masked pretraining, {kind.name}",
        sign=rf"^({_PRETRAINED})",
        spare=rf"^({_PRETRAINED}|{norm}\.)|{kind.spare or '^$'}",
        optional=r"^fc_norm\.",
    )


FORMATS = (
    _FINE_TUNED,
    _FINE_TUNED_TRANSFORMERS,
    _ENCODER_OF_TRANSFORMERS,
    _of_pretraining(_FINE_TUNED, "norm"),
    _of_pretraining(_FINE_TUNED_TRANSFORMERS, "layernorm"),
)
