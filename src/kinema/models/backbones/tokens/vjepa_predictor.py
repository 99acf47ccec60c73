"""The predictor of V-JEPA 2: what the tokens of hidden places are, from those of visible ones.

Recognition does not need it. Files of `transformers` hold it beside the encoder.

Source: V-JEPA 2, Assran et al. 2025, arXiv:2506.09985.
"""

import torch
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.backbones.tokens.vjepa import keep_tokens
from kinema.models.layers.attention import check_heads
from kinema.models.layers.prenorm import PreNormBlock
from kinema.models.layers.rotary import Frequencies, grid_places, rotation
from kinema.registry import MODELS


@MODELS.register_module()
class VJEPA2Predictor(nn.Module):
    """Tokens of `VJEPA2` (B, N, E) -> predicted tokens (B, K, E).

    Args:
        embed_dims: E of the encoder.
        channels: width of the predictor.
        depth: number of blocks.
        num_heads: of each attention, which divide `channels`.
        mlp_ratio: hidden channels of a block, as a multiple of `channels`.
        num_mask_tokens: learned tokens, of which one stands for all hidden places.
        qkv_bias: queries, keys and values have a bias.
        norm_eps: of all norms.
        rotary: how channels turn, see `rotation`.

    Raises:
        ConfigError: heads do not divide the channels, or there is no mask token.
    """

    def __init__(
        self,
        embed_dims: int = 1024,
        channels: int = 384,
        *,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        num_mask_tokens: int = 10,
        qkv_bias: bool = True,
        norm_eps: float = 1e-6,
        rotary: Frequencies = "tiled",
    ) -> None:
        super().__init__()
        check_heads(channels, num_heads, "VJEPA2Predictor")
        if num_mask_tokens < 1:
            raise ConfigError(f"VJEPA2Predictor needs at least 1 mask token, got num_mask_tokens={num_mask_tokens}")
        self.rotary = rotary
        self.head_width = channels // num_heads
        self.predictor_embed = nn.Linear(embed_dims, channels)
        self.mask_tokens = nn.Parameter(torch.zeros(num_mask_tokens, 1, 1, channels))
        self.predictor_blocks = nn.ModuleList(
            PreNormBlock(channels, num_heads, mlp_ratio, qkv_bias=qkv_bias, norm_eps=norm_eps) for _ in range(depth)
        )
        self.predictor_norm = nn.LayerNorm(channels, eps=norm_eps)
        self.predictor_proj = nn.Linear(channels, embed_dims)

    def forward(
        self, x: Tensor, grid: tuple[int, int, int], visible: Tensor, hidden: Tensor, *, mask_token: int = 1
    ) -> Tensor:
        """Predict.

        Args:
            x: tokens of all places, (B, N, E).
            grid: frames, rows and columns of the N places.
            visible: (B, L) indices of the tokens that the predictor sees.
            hidden: (B, K) indices of those that it predicts; they may be visible too.
            mask_token: which one stands for hidden places, from 0; counted anew past the last one.
        """
        places = grid_places(*grid).to(x.device)
        seen, seen_places = keep_tokens(x, places, visible)
        token = self.mask_tokens[mask_token % len(self.mask_tokens)]
        tokens = torch.cat([self.predictor_embed(seen), token.expand(*hidden.shape, -1)], 1)
        by = rotation(torch.cat([seen_places, places[hidden]], 1), self.head_width, self.rotary)
        for block in self.predictor_blocks:
            tokens = block(tokens, by)
        return self.predictor_proj(self.predictor_norm(tokens[:, seen.shape[1] :]))
