"""TimeSformer's layers: attention over time and then over space, or over both together, and linear layers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.layers.attention import PackedAttention
from kinema.models.layers.bricks.attention import FFN
from kinema.models.layers.bricks.drop import DropPath
from kinema.models.layers.by_name import LayerCfg, build_norm_layer
from kinema.models.layers.cpu_convolution import is_plain_cpu, is_watched
from kinema.models.layers.linear import apply_linear, linear
from kinema.models.layers.recomputation import recomputed
from kinema.registry import MODELS

NORM: LayerCfg = {"type": "LN"}


class _Attention(nn.Module):
    """A norm, attention and stochastic depth, without residual connection, under OpenMMLab's names."""

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float, norm_cfg: LayerCfg | None = None) -> None:
        super().__init__()
        self.norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, embed_dims)[1]
        self.attn = PackedAttention(embed_dims, num_heads)
        self.dropout_layer = DropPath(drop_path)


class JointAttention(_Attention):
    """(B, L, E) -> (B, L, E): every token looks at every other; the norm in front is the layer's."""

    def forward(self, x: Tensor, identity: Tensor) -> Tensor:
        return identity + self.dropout_layer(self.attn(x))

    def of_class(self, x: Tensor, identity: Tensor) -> Tensor:
        """(B, 1, E): what `forward` gives for the first token."""
        return identity[:, :1] + self.dropout_layer(self.attn(x[:, :1], x))


class TemporalAttention(_Attention):
    """(B, T, 1 + N, E) -> the same: a patch looks at itself at all times; the class token stays as it is.

    Args:
        embed_dims: E.
        num_heads: heads.
        drop_path: probability that a place does without.
        norm_cfg: of the norm in front.
    """

    def __init__(self, embed_dims: int, num_heads: int, drop_path: float, norm_cfg: LayerCfg) -> None:
        super().__init__(embed_dims, num_heads, drop_path, norm_cfg)
        self.temporal_fc = nn.Linear(embed_dims, embed_dims)
        nn.init.zeros_(self.temporal_fc.weight)  # at its start the network is one over frames
        nn.init.zeros_(self.temporal_fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        change = self._mapped(self._mixed(self.norm(x)))
        change[:, :, 0] = 0
        return x + change

    def _mixed(self, x: Tensor) -> Tensor:
        """(B, T, 1 + N, E) -> the same: values of all times, as the attention of each place weighs them.

        Every head of every place is a head here, so that nothing is moved in memory.
        """
        batch, frames, places, channels = x.shape
        query, key, value = (
            part.view(batch, frames, places * self.attn.num_heads, -1).transpose(1, 2)
            for part in self.attn.project_apart(x)
        )
        mixed = F.scaled_dot_product_attention(query, key, value)  # (B, (1 + N) heads, T, E / heads)
        return mixed.transpose(1, 2).reshape(batch, frames, places, channels)

    def _mapped(self, x: Tensor) -> Tensor:
        """The two linear layers behind it: as their product, where that is less work."""
        first, last = self.attn.out_proj, self.temporal_fc
        rows = x.numel() // x.shape[-1]
        if rows <= x.shape[-1] or not is_plain_cpu(x) or any(map(is_watched, (first, last, self.dropout_layer))):
            return apply_linear(last, self._dropped(apply_linear(first, x)))
        weight = last.weight @ first.weight
        if not self.training:
            return linear(x, weight, torch.addmv(last.bias, last.weight, first.bias))
        return self._dropped(linear(x, weight, last.weight @ first.bias)) + last.bias

    def _dropped(self, x: Tensor) -> Tensor:
        """Each patch of a clip does without, or not, at all times."""
        if not self.training or not self.dropout_layer.drop_prob:
            return self.dropout_layer(x)
        places = x.transpose(1, 2)  # (B, 1 + N, T, E)
        of_class, patches = places[:, :1], places[:, 1:]
        patches = self.dropout_layer(patches.flatten(0, 1)).unflatten(0, (len(x), -1))
        return torch.cat([of_class, patches], 1).transpose(1, 2)


class SpatialAttention(_Attention):
    """(B, T, 1 + N, E) -> the same: the patches of a frame, and the class token, look at each other."""

    def forward(self, x: Tensor) -> Tensor:
        change = self.dropout_layer(self.attn(self.norm(x).flatten(0, 1))).view_as(x)
        of_class = change[:, :, :1].mean(1, keepdim=True).expand(-1, x.shape[1], -1, -1)
        return x + torch.cat([of_class, change[:, :, 1:]], 2)

    def of_class(self, x: Tensor) -> Tensor:
        """(B, 1, E): what `forward` gives for the class token."""
        rows = self.norm(x).flatten(0, 1)
        change = self.dropout_layer(self.attn(rows[:, :1], rows)).unflatten(0, x.shape[:2])
        return x[:, 0, :1] + change.mean(1)


@MODELS.register_module()
class FFNWithNorm(FFN):
    """`FFN` behind a norm: (B, N, E) -> (B, N, E).

    Args:
        *args: those of `FFN`, by position.
        norm_cfg: of the norm.
        **settings: those of `FFN`, by keyword.
    """

    def __init__(self, *args: Any, norm_cfg: LayerCfg = NORM, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.norm = build_norm_layer(norm_cfg, self.embed_dims)[1]

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """The layers, and `x` added, as without a norm; `residual` must not be given."""
        if residual is not None:
            raise ConfigError("FFNWithNorm adds its own input: leave residual out")
        return super().forward(self.norm(x), x)


class DividedLayer(nn.Module):
    """(B, T, 1 + N, E) -> the same: attention over time, attention over space, and two linear layers.

    Every frame has the class token, always the same.
    """

    def __init__(self, embed_dims: int, num_heads: int, hidden: int, drop_path: float, norm_cfg: LayerCfg) -> None:
        super().__init__()
        self.attentions = nn.ModuleList(
            kind(embed_dims, num_heads, drop_path, norm_cfg) for kind in (TemporalAttention, SpatialAttention)
        )
        drop = {"type": "DropPath", "drop_prob": drop_path}
        ffn = FFNWithNorm(embed_dims, hidden, act_cfg={"type": "GELU"}, dropout_layer=drop, norm_cfg=norm_cfg)
        self.ffns = nn.ModuleList([ffn])

    def forward(self, x: Tensor, only_class: bool = False) -> Tensor:
        """`only_class`: (B, 1, E), the class token alone."""
        over_space: SpatialAttention = self.attentions[1]  # type: ignore[assignment]
        x = self.attentions[0](x)
        return self.ffns[0](over_space.of_class(x) if only_class else over_space(x))


class JointLayer(nn.Module):
    """(B, L, E) -> (B, L, E): attention over all tokens, and two linear layers."""

    def __init__(self, embed_dims: int, num_heads: int, hidden: int, drop_path: float, norm_cfg: LayerCfg) -> None:
        super().__init__()
        self.attentions = nn.ModuleList([JointAttention(embed_dims, num_heads, drop_path)])
        drop = {"type": "DropPath", "drop_prob": drop_path}
        self.ffns = nn.ModuleList([FFN(embed_dims, hidden, act_cfg={"type": "GELU"}, dropout_layer=drop)])
        self.norms = nn.ModuleList(build_norm_layer(norm_cfg, embed_dims)[1] for _ in range(2))

    def forward(self, x: Tensor, only_class: bool = False) -> Tensor:
        """`only_class`: (B, 1, E), the first token alone."""
        attention: JointAttention = self.attentions[0]  # type: ignore[assignment]
        x = (attention.of_class if only_class else attention)(self.norms[0](x), x)
        return self.ffns[0](self.norms[1](x), x)


class Layers(nn.Module):
    """The layers, one after another, under the name that OpenMMLab gives them; `with_cp`: see `TimeSformer`."""

    def __init__(self, layers: list[nn.Module], *, with_cp: bool = False) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, only_class: bool) -> Tensor:
        """`only_class`: the last gives the class token alone, unless hooks see what is in it."""
        *layers, last = self.layers
        for layer in layers:
            x = recomputed(layer, layer, x) if self.with_cp and self.training else layer(x)
        only_class = only_class and (torch.compiler.is_compiling() or not any(map(is_watched, last.modules())))
        return last(x, only_class)
