"""Files of VideoMAE's authors that hold a pretraining: encoder, decoder, and the token of what is hidden."""

from typing import Any

from torch import nn

from kinema.checkpoints.file_formats import FileFormat, Views
from kinema.models.backbones.tokens.videomae_files import authors_names


def _views(autoencoder: Any) -> Views:
    """The tensors of a `MaskedAutoencoder` under the authors' names."""
    encoder, decoder = autoencoder.backbone, autoencoder.decoder
    views = {f"encoder.{name}": tensor for name, tensor in authors_names(encoder).items()}
    if not isinstance(encoder.pos_embed, nn.Parameter):
        del views["encoder.pos_embed"]  # no file has a table that is computed
    views |= {f"decoder.{name}": tensor for name, tensor in authors_names(decoder).items()}
    return {
        **views,
        "encoder_to_decoder.weight": autoencoder.encoder_to_decoder.weight,
        "mask_token": autoencoder.mask_token,
    }


PRETRAINING_FILES = (FileFormat("a pretraining of VideoMAE's authors", backbone=_views, of_head=r"(?!)"),)
