"""Generalized attention: positions of a feature map compare contents, relative places, or both.

Source: An Empirical Study of Spatial Attention Mechanisms in Deep Networks, Zhu et al. 2019,
arXiv:1904.05873, equation 2. Parameters are those of MMCV's block.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.models.init import kaiming_init
from kinema.registry import MODELS


@MODELS.register_module()
class GeneralizedAttention(nn.Module):
    """(B, C, H, W) -> (B, C, H, W): the input plus `gamma`, at first 0, times what each position gathers.

    Args:
        in_channels: C.
        spatial_range: R; the position at row i of its grid sees rows (i - R) // kv_stride to
            (i + R + 1) // kv_stride of the grid that is looked at, and columns likewise, as in
            MMCV: a row more behind it than in front. Negative: everywhere.
        num_heads: heads; each has C // num_heads channels.
        position_embedding_dim: numbers that describe a distance; negative: C.
        position_magnitude: factor of distances.
        kv_stride: positions that are looked at are so far apart.
        q_stride: positions that look are so far apart; the result is enlarged again.
        attention_type: four digits, 1 for what is compared: query and key contents, query content
            and distance, key content alone, distance alone.

    Raises:
        ValueError: `attention_type` is not so.
    """

    _abbr_ = "gen_attention_block"

    def __init__(
        self,
        in_channels: int,
        spatial_range: int = -1,
        num_heads: int = 9,
        position_embedding_dim: int = -1,
        position_magnitude: int = 1,
        kv_stride: int = 2,
        q_stride: int = 1,
        attention_type: str = "1111",
    ) -> None:
        super().__init__()
        if len(attention_type) != 4 or not set(attention_type) <= set("01") or "1" not in attention_type:
            raise ValueError(f"attention_type is four digits of 0 and 1 such as '1111', got {attention_type!r}")
        self.attention_type = [digit == "1" for digit in attention_type]
        contents, content_place, key_alone, place_alone = self.attention_type
        self.in_channels = in_channels
        self.spatial_range = spatial_range
        self.num_heads = num_heads
        self.position_embedding_dim = position_embedding_dim if position_embedding_dim > 0 else in_channels
        self.position_magnitude = position_magnitude
        self.kv_stride = kv_stride
        self.q_stride = q_stride
        self.qk_embed_dim = self.v_dim = in_channels // num_heads
        width = self.qk_embed_dim * num_heads
        if contents or content_place:
            self.query_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        if contents or key_alone:
            self.key_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        self.value_conv = nn.Conv2d(in_channels, width, 1, bias=False)
        if content_place or place_alone:
            self.appr_geom_fc_x = nn.Linear(self.position_embedding_dim // 2, width, bias=False)
            self.appr_geom_fc_y = nn.Linear(self.position_embedding_dim // 2, width, bias=False)
        bound = 1 / math.sqrt(self.qk_embed_dim * 2)
        if key_alone:
            self.appr_bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        if place_alone:
            self.geom_bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.proj_conv = nn.Conv2d(width, in_channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))
        self.q_downsample = nn.AvgPool2d(1, q_stride) if q_stride > 1 else None
        self.kv_downsample = nn.AvgPool2d(1, kv_stride) if kv_stride > 1 else None
        self.register_load_state_dict_pre_hook(_without_map)
        self.init_weights()

    def init_weights(self) -> None:
        """Draw the convolutions by Kaiming's rule, each evenly from -b to b."""
        for layer in self.children():
            if isinstance(layer, nn.Conv2d):
                kaiming_init(layer, a=1, mode="fan_in", distribution="uniform", nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> Tensor:
        contents, content_place, key_alone, place_alone = self.attention_type
        from_ = x if self.q_downsample is None else self.q_downsample(x)
        to = x if self.kv_downsample is None else self.kv_downsample(x)
        height, width = from_.shape[2:]
        value = self._heads(self.value_conv(to))
        query = self._heads(self.query_conv(from_)) if contents or content_place else None  # (B, heads, L, D)
        energy = x.new_zeros(1, 1, height * width, value.shape[2])
        if content_place or place_alone:
            looks = self._looks(query if content_place else None, self.geom_bias if place_alone else None)
            energy = self._of_places(looks, (height, width), (to.shape[2], to.shape[3]))
        if self.spatial_range >= 0:
            energy = energy.masked_fill(self._is_far((height, width), to.shape[2:], x.device), -math.inf)
        if contents or key_alone:
            looks = self._looks(query if contents else None, self.appr_bias if key_alone else None)
            looks = looks.expand(len(x), -1, height * width, -1)
            mask = energy.expand(len(x), self.num_heads, -1, -1)
            key = self._heads(self.key_conv(to))
            out = F.scaled_dot_product_attention(looks, key, value, attn_mask=mask, scale=1.0)
        else:
            out = energy.softmax(dim=-1) @ value  # (B, heads, L, D)
        out = self.proj_conv(out.transpose(2, 3).reshape(len(x), -1, height, width))
        if self.q_downsample is not None:
            out = F.interpolate(out, size=x.shape[2:], mode="bilinear", align_corners=False)
        return x + self.gamma * out

    def _looks(self, query: Tensor | None, bias: Tensor | None) -> Tensor:
        """What keys are compared with, query, bias or their sum: (B or 1, heads, L or 1, D)."""
        if bias is None:
            assert query is not None
            return query
        each = bias.view(1, self.num_heads, 1, -1)
        return each if query is None else query + each

    def _heads(self, x: Tensor) -> Tensor:
        """(B, heads D, H, W) -> (B, heads, H W, D)."""
        return x.flatten(2).unflatten(1, (self.num_heads, -1)).transpose(2, 3)

    def _of_places(self, looks: Tensor, size: tuple[int, int], size_to: tuple[int, int]) -> Tensor:
        """How much each position looks at each place, by their distance: (B, heads, H W, H' W')."""
        (height, width), (height_to, width_to) = size, size_to
        looks = looks.expand(-1, -1, height * width, -1).unflatten(2, (height, width))
        down = self._distances(height, height_to, self.appr_geom_fc_y)  # (heads, H, H', D)
        right = self._distances(width, width_to, self.appr_geom_fc_x)
        rows = torch.einsum("nhyxd,hykd->nhyxk", looks, down)
        columns = torch.einsum("nhyxd,hxkd->nhyxk", looks, right)
        return (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)

    def _distances(self, length: int, length_to: int, layer: nn.Linear) -> Tensor:
        """Features of the distances along one side: (heads, length, length_to, D)."""
        weight = layer.weight
        kind: dict[str, torch.dtype | torch.device] = {"device": weight.device, "dtype": weight.dtype}
        places = torch.arange(length, **kind) * self.q_stride  # type: ignore[call-overload]
        places_to = torch.arange(length_to, **kind) * self.kv_stride  # type: ignore[call-overload]
        distances = (places[:, None] - places_to) * self.position_magnitude
        count = self.position_embedding_dim // 4
        waves = 1000 ** (torch.arange(count, **kind) * 4 / self.position_embedding_dim)  # type: ignore[call-overload]
        angles = distances[..., None] / waves
        features: Tensor = layer(torch.cat([angles.sin(), angles.cos()], dim=-1)) / math.sqrt(2)
        return features.unflatten(2, (self.num_heads, -1)).permute(2, 0, 1, 3)

    def _is_far(self, size: Sequence[int], size_to: Sequence[int], device: torch.device | None = None) -> Tensor:
        """(H W, H' W') bool: is the place outside of the window that a position sees?"""
        rows, columns = (self._is_outside(*lengths, device) for lengths in zip(size, size_to, strict=True))
        return (rows[:, None, :, None] | columns[None, :, None, :]).flatten(2).flatten(0, 1)

    def _is_outside(self, length: int, length_to: int, device: torch.device | None) -> Tensor:
        places = torch.arange(length, device=device)[:, None]
        places_to = torch.arange(length_to, device=device)
        first = (places - self.spatial_range) // self.kv_stride
        last = (places + self.spatial_range + 1) // self.kv_stride
        return (places_to < first) | (places_to > last)

    @property
    def local_constraint_map(self) -> Tensor:
        """(S, S, S', S') uint8: 1 where a position does not look; S is MMCV's 84 of 256 channels, else 42."""
        if self.spatial_range < 0:
            raise AttributeError("local_constraint_map: there is no spatial_range")
        side = 84 if self.in_channels == 256 else 42
        side_to = (side - 1) // self.kv_stride + 1
        return self._is_far((side, side), (side_to, side_to)).view(side, side, side_to, side_to).byte()


def _without_map(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Files of MMCV's block hold the map, which is computed here."""
    state.pop(f"{prefix}local_constraint_map", None)
