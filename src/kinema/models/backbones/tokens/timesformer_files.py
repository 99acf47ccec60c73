"""Names of TimeSformer in the files of transformers and of its authors."""

from torch import nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.file_names import Renames, own_tensors, renamed

# Attentions of a layer, as kept here -> under one name each.
_DIVIDED: Renames = (
    (r"\.attentions\.0\.temporal_fc\.", ".temporal_dense."),
    (r"\.attentions\.0\.norm\.", ".temporal_layernorm."),
    (r"\.attentions\.0\.", ".temporal_attention."),
    (r"\.attentions\.1\.norm\.", ".layernorm_before."),
    (r"\.attentions\.1\.", ".attention."),
    (r"\.ffns\.0\.norm\.", ".layernorm_after."),
)
_JOINT: Renames = (
    (r"\.attentions\.0\.", ".attention."),
    (r"\.norms\.0\.", ".layernorm_before."),
    (r"\.norms\.1\.", ".layernorm_after."),
)
_SHARED: Renames = (
    (r"^cls_token$", "embeddings.cls_token"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^time_embed$", "embeddings.time_embeddings"),
    (r"^patch_embed\.", "embeddings.patch_embeddings."),
    (r"^transformer_layers\.layers\.", "encoder.layer."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attention.qkv.\1"),
    (r"\.attn\.out_proj\.", ".output.dense."),
    (r"\.ffns\.0\.layers\.0\.0\.", ".intermediate.dense."),
    (r"\.ffns\.0\.layers\.1\.", ".output.dense."),
    (r"^norm\.", "layernorm."),
)
_OF_AUTHORS: Renames = (
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.time_embeddings$", "time_embed"),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.temporal_layernorm\.", ".temporal_norm1."),
    (r"\.temporal_dense\.", ".temporal_fc."),
    (r"\.temporal_attention\.attention\.", ".temporal_attn."),
    (r"\.temporal_attention\.output\.dense\.", ".temporal_attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^layernorm\.", "norm."),
)


def names_of_transformers(backbone: nn.Module) -> Views:
    """Tensors of a `TimeSformer` under the names that `TimesformerModel` gives them."""
    views = own_tensors(backbone)
    is_divided = any(".attentions.1." in name for name in views)
    return renamed(views, (*(_DIVIDED if is_divided else _JOINT), *_SHARED))


def names_of_authors(backbone: nn.Module) -> Views:
    """Those under the names of the code of Facebook Research."""
    return renamed(names_of_transformers(backbone), _OF_AUTHORS)


FORMATS = (
    FileFormat(
        "TimeSformer of transformers",
        names_of_transformers,
        head=lambda head: renamed(own_tensors(head), [(r"^fc_cls\.", "classifier.")]),
        of_head=r"^classifier\.",
        prefixes=("timesformer.", *WRAPPERS),
    ),
    FileFormat(
        "TimeSformer of its authors",
        names_of_authors,
        head=lambda head: renamed(own_tensors(head), [(r"^fc_cls\.", "head.")]),
        prefixes=("model.", *WRAPPERS),
    ),
)
