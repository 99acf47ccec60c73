"""Attention and feed-forward blocks with their residual connections, over sequences.

Source: Attention Is All You Need, Vaswani et al. 2017, arXiv:1706.03762.
"""

import itertools
import warnings
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kinema.models.base import BaseModule
from kinema.models.init import InitCfg
from kinema.models.layers.bricks.drop import build_dropout
from kinema.models.layers.bricks.scale import LayerScale
from kinema.models.layers.by_name import LayerCfg, build_activation_layer
from kinema.models.layers.cpu_convolution import is_watched
from kinema.models.layers.gelu_linear import map_twice
from kinema.registry import MODELS


@MODELS.register_module()
class MultiheadAttention(BaseModule):
    """`identity + dropout_layer(proj_drop(attention(query, key, value)))`; torch's fused kernel computes it.

    Args:
        embed_dims: E, channels of queries and of the result.
        num_heads: heads, which divide E.
        attn_drop: dropout of the attention.
        proj_drop: dropout of the result.
        dropout_layer: last dropout, see `build_dropout`; None: none.
        init_cfg: see `BaseModule`.
        batch_first: sequences are (B, L, E) instead of (L, B, E).
        dropout: older name that sets `attn_drop` and the probability of `dropout_layer`.
        **kwargs: further arguments of `torch.nn.MultiheadAttention`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        dropout_layer: LayerCfg | None = {"type": "Dropout", "drop_prob": 0.0},  # noqa: B006 - never changed
        init_cfg: InitCfg | None = None,
        batch_first: bool = False,
        *,
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if dropout is not None:
            attn_drop = dropout
            dropout_layer = {**(dropout_layer or {"type": "Dropout"}), "drop_prob": dropout}
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.batch_first = batch_first
        self.attn = nn.MultiheadAttention(embed_dims, num_heads, attn_drop, **kwargs)
        self.proj_drop = nn.Dropout(proj_drop)
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        identity: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        *,
        residual: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Attend.

        Args:
            query: (L, B, E), or (B, L, E) with `batch_first`.
            key: (S, B, E); None: `query`.
            value: (S, B, E); None: `key`.
            identity: what the result is added to; None: `query`.
            query_pos: is added to `query` for the comparison.
            key_pos: is added to `key`; None: `query_pos`, where it has the shape of `key`.
            attn_mask: (L, S) or (B heads, L, S): True, or minus infinity, where not to look.
            key_padding_mask: (B, S), True where there is no key.
            residual: older name of `identity`.
            **kwargs: of layers that call different kinds of attention alike; no effect.
        """
        key = query if key is None else key
        value = key if value is None else value
        identity = identity_of(query, identity, residual)
        if key_pos is None and query_pos is not None:
            if query_pos.shape == key.shape:
                key_pos = query_pos
            else:
                warnings.warn(f"position encoding of key is missing in {type(self).__name__}", stacklevel=2)
        query = query if query_pos is None else query + query_pos
        key = key if key_pos is None else key + key_pos
        if self.batch_first:
            query, key, value = (sequence.transpose(0, 1) for sequence in (query, key, value))
        out = self.attn(query, key, value, attn_mask=attn_mask, key_padding_mask=key_padding_mask, need_weights=False)[
            0
        ]
        if self.batch_first:
            out = out.transpose(0, 1)
        return identity + self.dropout_layer(self.proj_drop(out))


@MODELS.register_module()
class FFN(BaseModule):
    """Linear layers with activations between them, over the last dimension, and their residual connection.

    Args:
        embed_dims: E, channels of input and output.
        feedforward_channels: channels between the layers.
        num_fcs: linear layers, at least 2.
        act_cfg: the activation.
        ffn_drop: dropout after each layer.
        dropout_layer: dropout of the whole branch, see `build_dropout`; None: none.
        add_identity: add the input, or what the call gives as `identity`.
        init_cfg: see `BaseModule`.
        layer_scale_init_value: a `LayerScale` of the branch that starts so; 0: none.
        dropout: older name of `ffn_drop`.
        add_residual: older name of `add_identity`.

    Raises:
        ValueError: there are fewer than 2 layers.
    """

    def __init__(
        self,
        embed_dims: int = 256,
        feedforward_channels: int = 1024,
        num_fcs: int = 2,
        act_cfg: LayerCfg = {"type": "ReLU", "inplace": True},  # noqa: B006 - never changed
        ffn_drop: float = 0.0,
        dropout_layer: Mapping[str, Any] | None = None,
        add_identity: bool = True,
        init_cfg: InitCfg | None = None,
        layer_scale_init_value: float = 0.0,
        *,
        dropout: float | None = None,
        add_residual: bool | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if num_fcs < 2:
            raise ValueError(f"FFN has at least 2 linear layers, got num_fcs={num_fcs}")
        ffn_drop = ffn_drop if dropout is None else dropout
        self.embed_dims = embed_dims
        self.feedforward_channels = feedforward_channels
        self.num_fcs = num_fcs
        self.add_identity = add_identity if add_residual is None else add_residual
        widths = [embed_dims] + [feedforward_channels] * (num_fcs - 1)
        hidden = [
            nn.Sequential(nn.Linear(before, after), build_activation_layer(act_cfg), nn.Dropout(ffn_drop))
            for before, after in itertools.pairwise(widths)
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(feedforward_channels, embed_dims), nn.Dropout(ffn_drop))
        self.dropout_layer = build_dropout(dropout_layer) if dropout_layer else nn.Identity()
        has_scale = layer_scale_init_value > 0
        self.gamma2 = LayerScale(embed_dims, scale=layer_scale_init_value) if has_scale else nn.Identity()

    def forward(self, x: Tensor, identity: Tensor | None = None, *, residual: Tensor | None = None) -> Tensor:
        out: Tensor = self.dropout_layer(self.gamma2(self._mapped(x)))
        return out + identity_of(x, identity, residual) if self.add_identity else out

    def _mapped(self, x: Tensor) -> Tensor:
        """The layers, in less memory where they are two."""
        out: Tensor
        if self.num_fcs > 2 or is_watched(self.layers) or is_watched(self.layers[0]):
            out = self.layers(x)
        else:
            before, last, behind = self.layers.children()
            linear, act, between = before.children()
            out = behind(map_twice(x, linear, act, between, last))
        return out


def identity_of(x: Tensor, identity: Tensor | None, residual: Tensor | None) -> Tensor:
    """What a branch over `x` is added to; `residual` is the older name of `identity`."""
    given = residual if identity is None else identity
    return x if given is None else given
