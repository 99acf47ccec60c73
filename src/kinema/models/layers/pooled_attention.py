"""Attention over tokens of a clip that are pooled before they are compared.

Source: MViTv2, Li et al. 2022, arXiv:2112.01526.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.layers.attention import check_heads
from kinema.models.layers.by_name import LayerCfg, build_norm_layer
from kinema.models.layers.linear import apply_linear, linear
from kinema.models.layers.tables import kept_table

Size = tuple[int, int, int]  # frames, rows, columns


def pool_tokens(x: Tensor, pool: nn.Module, size: Size, has_class: bool) -> tuple[Tensor, Size]:
    """Pool the tokens of a clip; the class token stays.

    Args:
        x: (B, N, C), N tokens of `size`, behind the class token where there is one.
        pool: module over (B, C, frames, rows, columns).
        size: of the clip in tokens.
        has_class: the first token is that of the class.

    Returns:
        (B, N', C), and the size in which they are.
    """
    first, tokens = (x[:, :1], x[:, 1:]) if has_class else (None, x)
    pooled = pool(tokens.unflatten(1, size).permute(0, 4, 1, 2, 3))
    smaller: Size = tuple(pooled.shape[2:])
    tokens = pooled.flatten(2).transpose(1, 2)
    return tokens if first is None else torch.cat([first, tokens], 1), smaller


class HeadPool(nn.Conv3d):
    """A convolution of each channel by itself, over (B, heads * C, T, H, W): the same for every head."""

    def __init__(self, channels: int, kernel: Size, stride: Size) -> None:
        padding: Size = tuple(size // 2 for size in kernel)  # type: ignore[assignment]
        super().__init__(channels, channels, kernel, stride, padding, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.repeat(x.shape[1] // self.in_channels, 1, 1, 1, 1)
        return F.conv3d(x, weight, None, self.stride, self.padding, groups=x.shape[1])


def relative_rows(table: Tensor, num_queries: int, num_keys: int) -> Tensor:
    """Rows of a table of distances for each pair of a query and a key along one dimension.

    Args:
        table: (distances, C); another number of distances than is needed is interpolated.
        num_queries: places of queries along the dimension.
        num_keys: places of keys.

    Returns:
        (queries, keys, C).
    """
    distances = 2 * max(num_queries, num_keys) - 1
    if len(table) != distances:
        table = F.interpolate(table.T[None], distances, mode="linear")[0].T
    return table[distance_numbers(num_queries, num_keys, table.device)]


@kept_table
def distance_numbers(num_queries: int, num_keys: int, device: torch.device) -> Tensor:
    """(queries, keys) int64: which row of a table of distances belongs to each pair."""
    query_step, key_step = max(num_keys / num_queries, 1.0), max(num_queries / num_keys, 1.0)
    queries = torch.arange(num_queries, device=device)[:, None] * query_step
    keys = torch.arange(num_keys, device=device)[None] * key_step
    return (queries - keys + (num_keys - 1) * key_step).long()


class PooledAttention(nn.Module):
    """(B, N, in_dims) -> (B, N', out_dims): queries, keys and values are pooled before they are compared.

    Args:
        in_dims: channels of the tokens.
        out_dims: channels of the result, which the heads divide.
        num_heads: heads.
        qkv_bias: queries, keys and values have a bias.
        norm_cfg: of the pooled ones.
        pool_kernel: of the pooling convolutions.
        stride_q: steps of the pooling of queries.
        stride_kv: of that of keys and values.
        rel_pos_embed: distances in time, rows and columns count.
        residual_pooling: the pooled queries are added to the result.
        input_size: for which the tables of distances are made; other sizes are interpolated.
        rel_pos_zero_init: they start at 0.
        with_cls_token: the first token is that of the class.
    """

    def __init__(
        self,
        in_dims: int,
        out_dims: int,
        num_heads: int,
        qkv_bias: bool,
        norm_cfg: LayerCfg,
        pool_kernel: Sequence[int],
        stride_q: Size,
        stride_kv: Size,
        rel_pos_embed: bool,
        residual_pooling: bool,
        input_size: Size,
        rel_pos_zero_init: bool,
        with_cls_token: bool,
    ) -> None:
        super().__init__()
        check_heads(out_dims, num_heads, "MViT")
        self.num_heads = num_heads
        self.with_cls_token = with_cls_token
        self.rel_pos_embed = rel_pos_embed
        self.residual_pooling = residual_pooling
        head_dims = out_dims // num_heads
        self.scale = head_dims**-0.5
        self.qkv = nn.Linear(in_dims, out_dims * 3, bias=qkv_bias)
        self.proj = nn.Linear(out_dims, out_dims)
        for name, stride in (("q", stride_q), ("k", stride_kv), ("v", stride_kv)):
            kernel: Size = tuple(pool_kernel)  # type: ignore[assignment]
            self.add_module(f"pool_{name}", HeadPool(head_dims, kernel, stride))
            self.add_module(f"norm_{name}", build_norm_layer(norm_cfg, head_dims)[1])
        if rel_pos_embed:
            sizes = [  # the tables of columns have the size that the steps over rows give, as published
                2 * max(there // stride_q[axis], there // stride_kv[axis]) - 1
                for there, axis in zip(input_size, (0, 1, 1), strict=True)
            ]
            self.rel_pos_h = nn.Parameter(torch.zeros(sizes[1], head_dims))
            self.rel_pos_w = nn.Parameter(torch.zeros(sizes[2], head_dims))
            self.rel_pos_t = nn.Parameter(torch.zeros(sizes[0], head_dims))
            if not rel_pos_zero_init:
                for table in (self.rel_pos_h, self.rel_pos_w, self.rel_pos_t):
                    nn.init.trunc_normal_(table, std=0.02)

    def _pooled(self, x: Tensor, number: int, size: Size) -> tuple[Tensor, Size]:
        """(B, N, in_dims) -> (B, N', heads, C): pooled queries (0), keys (1) or values (2)."""
        rows = slice(number * self.proj.in_features, (number + 1) * self.proj.in_features)
        bias = None if self.qkv.bias is None else self.qkv.bias[rows]
        tokens = linear(x, self.qkv.weight[rows], bias)
        name = "qkv"[number]
        pooled, smaller = pool_tokens(tokens, self.get_submodule(f"pool_{name}"), size, self.with_cls_token)
        return self.get_submodule(f"norm_{name}")(pooled.unflatten(2, (self.num_heads, -1))), smaller

    def forward(self, x: Tensor, size: Size) -> tuple[Tensor, Size]:
        query, of_queries = self._pooled(x, 0, size)
        key, of_keys = self._pooled(x, 1, size)
        value, _ = self._pooled(x, 2, size)
        channels = query.shape[-1]
        compared, against = query * self.scale, key
        if self.rel_pos_embed:
            of_distances, at_places = self._distances(query, of_queries, of_keys)
            compared = torch.cat([compared, of_distances], -1)
            places = at_places.to(key.dtype)[:, None].expand(len(key), -1, self.num_heads, -1)
            against = torch.cat([key, places], -1)
            value = F.pad(value, (0, at_places.shape[-1]))  # the fused kernel takes equal numbers of channels alone
        compared, against, value = (part.transpose(1, 2) for part in (compared, against, value))
        out = F.scaled_dot_product_attention(compared, against, value, scale=1.0).transpose(1, 2)[..., :channels]
        if self.residual_pooling:
            of_class = out[:, :1]
            out = out + query
            if self.with_cls_token:
                out[:, :1] = of_class
        return apply_linear(self.proj, out.flatten(2)), of_queries

    def _distances(self, query: Tensor, of_queries: Size, of_keys: Size) -> tuple[Tensor, Tensor]:
        """Further channels of queries and keys whose product is what distances add to their comparison.

        Those of a query hold what each time, row and column of the keys adds; those of a key are 1 at
        its own time, row and column. So no matrix of all pairs is built.

        Args:
            query: (B, N, heads, C).
            of_queries: size of the queries.
            of_keys: size of the keys.

        Returns:
            (B, N, heads, times + rows + columns) of queries, (M, times + rows + columns) of keys.
        """
        start = 1 if self.with_cls_token else 0
        places = query[:, start:].unflatten(1, of_queries)  # (B, T, H, W, heads, C)
        tables = (self.rel_pos_t, self.rel_pos_h, self.rel_pos_w)
        rows = [relative_rows(*part) for part in zip(tables, of_queries, of_keys, strict=True)]
        added = [
            torch.einsum("bthwyc,tkc->bthwyk", places, rows[0]),
            torch.einsum("bthwyc,hkc->bthwyk", places, rows[1]),
            torch.einsum("bthwyc,wkc->bthwyk", places, rows[2]),
        ]
        of_distances = torch.cat(added, -1).flatten(1, 3)
        at_places = places_of_keys(of_keys, query.device)
        if start:  # the class token stands nowhere
            of_distances = F.pad(of_distances, (0, 0, 0, 0, 1, 0))
            at_places = F.pad(at_places, (0, 0, 1, 0))
        return of_distances, at_places


@kept_table
def places_of_keys(size: Size, device: torch.device) -> Tensor:
    """(T H W, T + H + W) float32: of each place its time, row and column, each as a 1 among zeros."""
    grid = torch.meshgrid(*(torch.arange(there, device=device) for there in size), indexing="ij")
    return torch.cat([F.one_hot(axis.flatten(), there) for axis, there in zip(grid, size, strict=True)], -1).float()
