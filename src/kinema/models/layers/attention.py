"""Attention of a sequence to itself, by torch's fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.cpu_convolution import is_plain_cpu
from kinema.models.layers.linear import apply_linear, linear

_MANY_TOKENS = 768  # from here on the kernel takes 256 queries at once


def attend(qkv: Tensor, num_heads: int, *, scale: float | None = None, dropout: float = 0.0) -> Tensor:
    """Attention of tokens to each other, for each head by itself.

    Args:
        qkv: (B, N, 3 E): queries, keys and values side by side, each of all heads side by side.
        num_heads: heads, which divide E.
        scale: of the products of queries and keys; None: one over the root of E / `num_heads`.
        dropout: probability that a weight is set to 0.

    Returns:
        (B, N, E).
    """
    batch, tokens, width = qkv.shape
    heads = qkv.view(batch, tokens, 3, num_heads, width // 3 // num_heads).permute(2, 0, 3, 1, 4)
    query, key, value = in_rows(heads)
    out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    return out.transpose(1, 2).reshape(batch, tokens, width // 3)


def in_rows(heads: Tensor) -> Tensor:
    """(..., N, D) with the tokens of each head side by side in memory, where the kernel is faster so.

    Without gradients on a CPU it reads keys and values once for every 256 queries.
    """
    many = is_plain_cpu(heads) and not torch.is_grad_enabled() and heads.shape[-2] >= _MANY_TOKENS
    return heads.contiguous() if many else heads


def attend_across(query: Tensor, key: Tensor, value: Tensor, num_heads: int) -> Tensor:
    """Attention of some tokens to others, for each head by itself.

    Args:
        query: (B, N, E), of all heads side by side.
        key: (B, M, E).
        value: (B, M, E).
        num_heads: heads, which divide E.

    Returns:
        (B, N, E).
    """
    query, key, value = (part.unflatten(-1, (num_heads, -1)).transpose(1, 2) for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)


def check_heads(
    embed_dims: int, num_heads: int, what: str, names: tuple[str, str] = ("embed_dims", "num_heads")
) -> None:
    """Raise `ConfigError` where the heads do not divide the channels; `names` are those of both arguments."""
    if num_heads < 1 or embed_dims % num_heads:
        channels, heads = names
        raise ConfigError(
            f"{what}: {heads}={num_heads} does not divide {channels}={embed_dims}: each head has the same channels"
        )


class SelfAttention(nn.Module):
    """(B, N, E) -> (B, N, E); keys have no bias, which would change nothing.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
        qkv_bias: queries and values have a bias.
        qk_scale: see `attend`.
        attn_drop_rate: dropout of the attention.
        drop_rate: dropout of the result.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int = 8,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop_rate: float = 0.0,
        drop_rate: float = 0.0,
    ) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "attention")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.scale = qk_scale
        self.attn_drop_rate = attn_drop_rate
        self.q_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.v_bias: nn.Parameter | None = nn.Parameter(torch.zeros(embed_dims)) if qkv_bias else None
        self.qkv = nn.Linear(embed_dims, embed_dims * 3, bias=False)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.proj_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        bias = None
        if self.q_bias is not None and self.v_bias is not None:
            bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = linear(x, self.qkv.weight, bias)
        dropout = self.attn_drop_rate if self.training else 0.0
        out: Tensor = self.proj_drop(
            apply_linear(self.proj, attend(qkv, self.num_heads, scale=self.scale, dropout=dropout))
        )
        return out


class PackedAttention(nn.Module):
    """`torch.nn.MultiheadAttention` with its names of weights and its start, always by the fused kernel.

    Torch's own builds the matrices of all pairs of tokens in evaluation.

    Args:
        embed_dims: E.
        num_heads: heads, which divide E.
    """

    def __init__(self, embed_dims: int, num_heads: int) -> None:
        super().__init__()
        check_heads(embed_dims, num_heads, "attention")
        self.embed_dims = embed_dims
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * embed_dims, embed_dims))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * embed_dims))
        self.out_proj = nn.Linear(embed_dims, embed_dims)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def project(self, x: Tensor, first: int, last: int) -> Tensor:
        """(..., E) -> (..., E * (last - first)): of queries (0), keys (1), values (2) those up to `last`."""
        if last - first == 3:
            return linear(x, self.in_proj_weight, self.in_proj_bias)
        rows = slice(first * self.embed_dims, last * self.embed_dims)
        return linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])

    def project_apart(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of (..., E), each (..., E) and contiguous."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)  # one gradient, unlike slices
        return tuple(linear(x, weight, bias) for weight, bias in zip(weights, biases, strict=True))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, N, E) tokens that look at `context`, (B, M, E), or at each other -> (B, N, E)."""
        if context is None:
            mixed = attend(self.project(x, 0, 3), self.num_heads)
        elif x.shape[1] * self.num_heads < self.embed_dims:
            mixed = self._look_from_few(x, context)
        else:
            key, value = self.project(context, 1, 3).chunk(2, -1)
            mixed = attend_across(self.project(x, 0, 1), key, value, self.num_heads)
        out: Tensor = apply_linear(self.out_proj, mixed)
        return out

    def _look_from_few(self, x: Tensor, context: Tensor) -> Tensor:
        """The same for few queries, without keys and values of the context, which would be most of the work.

        A query times the keys' weights is compared with the context itself, whose weighted mean times
        the values' weights is the result. The bias of keys is the same for all of a query's weights and
        changes nothing.
        """
        of_keys, of_values = self.in_proj_weight[self.embed_dims :].unflatten(0, (2, self.num_heads, -1))
        query = self.project(x, 0, 1).unflatten(-1, (self.num_heads, -1))  # (B, N, heads, D)
        scale = query.shape[-1] ** -0.5
        looks = torch.einsum("bnhd,hde->bnhe", query * scale, of_keys).flatten(1, 2)
        weights = (looks @ context.transpose(1, 2)).softmax(-1)  # (B, N heads, M)
        mean = (weights @ context).unflatten(1, (-1, self.num_heads))  # (B, N, heads, E)
        mixed = torch.einsum("bnhe,hde->bnhd", mean, of_values).flatten(2)
        return mixed + self.in_proj_bias[2 * self.embed_dims :]
