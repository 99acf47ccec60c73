"""Names of image transformers in the files of timm and of transformers (CLIP, SigLIP)."""

from torch import nn

from kinema.checkpoints.file_formats import WRAPPERS, FileFormat, Views
from kinema.checkpoints.file_names import Renames, cut, own_tensors, renamed

_POOL = r"attn_pool\.attn\."
_TRANSFORMERS: Renames = (
    (r"^patch_embed\.proj\.", "embeddings.patch_embedding."),
    (r"^pos_embed$", "embeddings.position_embedding.weight"),
    (r"^blocks\.", "encoder.layers."),
    (r"\.norm(\d)\.", r".layer_norm\1."),
    (r"\.attn\.proj\.", ".self_attn.out_proj."),
    (r"^norm\.", "post_layernorm."),
)
# Their files hold the encoder of texts, too.
_OF_TEXTS = r"^(text_model\.|text_projection|logit_scale|logit_bias|.*position_ids$)"


def names_of_timm(backbone: nn.Module) -> Views:
    """Tensors of a `FrameTransformer` under the names of timm, which keeps queries of a pooling apart."""
    views = cut(
        own_tensors(backbone), rf"{_POOL}in_proj_(weight|bias)", [r"attn_pool.q.\1", r"attn_pool.kv.\1"], [1, 2]
    )
    return renamed(views, [(rf"^{_POOL}out_proj\.", "attn_pool.proj.")])


def names_of_siglip(backbone: nn.Module) -> Views:
    """Those under the names of transformers' `SiglipVisionModel`; positions are (N, E) there."""
    views = own_tensors(backbone)
    views["pos_embed"] = views["pos_embed"][0]
    parts = [rf"\1self_attn.{part}_proj.\2" for part in "qkv"]
    of_pool: Renames = (
        (r"^attn_pool\.latent$", "head.probe"),
        (rf"^{_POOL}", "head.attention."),
        (r"^attn_pool\.norm\.", "head.layernorm."),
        (r"^attn_pool\.mlp\.", "head.mlp."),
    )
    return renamed(cut(views, r"(.*\.)attn\.qkv\.(weight|bias)", parts), (*of_pool, *_TRANSFORMERS))


def names_of_clip(backbone: nn.Module) -> Views:
    """Those under the names of transformers' CLIP models, behind `vision_model.`; the class token is (E,) there."""
    views = names_of_siglip(backbone)
    if "cls_token" in views:
        views["cls_token"] = views["cls_token"][0, 0]
    return renamed(
        views,
        [
            (r"^cls_token$", "embeddings.class_embedding"),
            (r"^norm_pre\.", "pre_layrnorm."),
            (r"^head\.", "visual_projection."),
        ],
    )


FORMATS = (
    FileFormat("an image transformer of timm", names_of_timm, of_head=r"^classifier\.", spare=r"^(head|fc_norm)\."),
    FileFormat(
        "SigLIP of transformers",
        names_of_siglip,
        of_head=r"^classifier\.",
        prefixes=("vision_model.", *WRAPPERS),
        spare=rf"{_OF_TEXTS}|^head\.",
    ),
    FileFormat(
        "CLIP of transformers",
        names_of_clip,
        of_head=r"^classifier\.",
        prefixes=("vision_model.", *WRAPPERS),
        spare=rf"{_OF_TEXTS}|^visual_projection\.",
    ),
)
