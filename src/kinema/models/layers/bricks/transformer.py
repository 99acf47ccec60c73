"""Transformer layers that a config puts together from attention, feed-forward blocks and norms, and stacks of them."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from kinema.errors import ConfigError
from kinema.models.base import BaseModule, ModuleList
from kinema.models.init import InitCfg
from kinema.models.layers.by_name import LayerCfg, build_norm_layer
from kinema.registry import MODELS

Cfg = Mapping[str, Any]
OPERATIONS = ("self_attn", "norm", "ffn", "cross_attn")
FFN_CFG = {
    "type": "FFN",
    "embed_dims": 256,
    "feedforward_channels": 1024,
    "num_fcs": 2,
    "ffn_drop": 0.0,
    "act_cfg": {"type": "ReLU", "inplace": True},
}


def _build(cfg: Cfg, default_args: Cfg | None = None) -> nn.Module:
    """Build a module from a config with `type`; `default_args` are arguments that it does not set."""
    module: nn.Module = MODELS.build(cfg, default_args=default_args)
    return module


build_attention = build_feedforward_network = build_positional_encoding = _build
build_transformer_layer = build_transformer_layer_sequence = _build


@MODELS.register_module()
class BaseTransformerLayer(BaseModule):
    """One layer, in any order of its operations.

    Args:
        attn_cfgs: the attention blocks in their order, or one config for all.
        ffn_cfgs: the feed-forward blocks likewise.
        operation_order: `"self_attn"`, `"cross_attn"`, `"ffn"` and `"norm"`, as often as each is
            applied. With `"norm"` first the residual connections go around the norms.
        norm_cfg: the norms.
        init_cfg: see `BaseModule`.
        batch_first: sequences are (B, L, E) instead of (L, B, E).
        feedforward_channels: older way to set the entry of `ffn_cfgs`.
        ffn_dropout: older way to set its `ffn_drop`.
        ffn_num_fcs: older way to set its `num_fcs`.

    Raises:
        ConfigError: operations and configs do not go together.
    """

    def __init__(
        self,
        attn_cfgs: Cfg | Sequence[Cfg] | None = None,
        ffn_cfgs: Cfg | Sequence[Cfg] = FFN_CFG,
        operation_order: Sequence[str] | None = None,
        norm_cfg: LayerCfg = {"type": "LN"},  # noqa: B006 - never changed
        init_cfg: InitCfg | None = None,
        batch_first: bool = False,
        *,
        feedforward_channels: int | None = None,
        ffn_dropout: float | None = None,
        ffn_num_fcs: int | None = None,
    ) -> None:
        super().__init__(init_cfg)
        order = tuple(operation_order or ())
        if not order or not set(order) <= set(OPERATIONS):
            raise ConfigError(f"operation_order holds {', '.join(OPERATIONS)}, got {operation_order!r}")
        self.operation_order = order
        self.batch_first = batch_first
        self.norm_cfg = norm_cfg
        self.pre_norm = order[0] == "norm"
        attentions = [name for name in order if name.endswith("_attn")]
        self.num_attn = len(attentions)
        self.attentions = ModuleList()
        for name, cfg in zip(attentions, _each(attn_cfgs or {}, len(attentions), "attn_cfgs"), strict=True):
            if cfg.setdefault("batch_first", batch_first) != batch_first:
                raise ConfigError(f"attn_cfgs says batch_first={cfg['batch_first']}, but the layer {batch_first}")
            attention: Any = _build(cfg)
            attention.operation_name = name
            self.attentions.append(attention)
        self.embed_dims: int = self.attentions[0].embed_dims  # type: ignore[assignment]
        older = {"feedforward_channels": feedforward_channels, "ffn_drop": ffn_dropout, "num_fcs": ffn_num_fcs}
        older = {name: value for name, value in older.items() if value is not None}
        if older:
            warnings.warn(f"BaseTransformerLayer: set {', '.join(older)} in ffn_cfgs", DeprecationWarning, stacklevel=2)
        self.ffns = ModuleList()
        for cfg in _each(ffn_cfgs, order.count("ffn"), "ffn_cfgs"):
            cfg.update(older)
            if cfg.setdefault("embed_dims", self.embed_dims) != self.embed_dims:
                raise ConfigError(f"ffn_cfgs says embed_dims={cfg['embed_dims']}, but attention {self.embed_dims}")
            self.ffns.append(_build(cfg, {"type": "FFN"}))
        self.norms = ModuleList(build_norm_layer(norm_cfg, self.embed_dims)[1] for _ in range(order.count("norm")))

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        query_pos: Tensor | None = None,
        key_pos: Tensor | None = None,
        attn_masks: Tensor | Sequence[Tensor | None] | None = None,
        query_key_padding_mask: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Apply the operations in their order.

        Args:
            query: (L, B, E), or (B, L, E) with `batch_first`.
            key: (S, B, E), of the cross attention.
            value: (S, B, E), of the cross attention.
            query_pos: positions of the queries.
            key_pos: positions of the keys of the cross attention.
            attn_masks: one a block of attention, or one for all.
            query_key_padding_mask: (B, L), of self attention.
            key_padding_mask: (B, S), of cross attention.
            **kwargs: are passed on to the attention.

        Raises:
            ValueError: there are more or fewer masks than blocks of attention.
        """
        masks = [attn_masks] * self.num_attn if attn_masks is None or isinstance(attn_masks, Tensor) else attn_masks
        if len(masks) != self.num_attn:
            raise ValueError(f"the layer has {self.num_attn} blocks of attention, got {len(masks)} attn_masks")
        attentions, ffns, norms = iter(self.attentions), iter(self.ffns), iter(self.norms)
        of_block = iter(masks)
        identity = query
        for operation in self.operation_order:
            kept = identity if self.pre_norm else None
            if operation == "norm":
                query = next(norms)(query)
                continue
            if operation == "ffn":
                query = next(ffns)(query, kept)
                continue
            if operation == "self_attn":
                inputs = (query, query, query, kept)
                positions, padding = (query_pos, query_pos), query_key_padding_mask
            else:
                inputs = (query, key, value, kept)  # type: ignore[assignment]
                positions, padding = (query_pos, key_pos), key_padding_mask
            query = next(attentions)(
                *inputs,
                query_pos=positions[0],
                key_pos=positions[1],
                attn_mask=next(of_block),
                key_padding_mask=padding,
                **kwargs,
            )
            identity = query
        return query


@MODELS.register_module()
class TransformerLayerSequence(BaseModule):
    """Transformer layers, one after the other.

    Args:
        transformerlayers: the layers in their order, or one config for all.
        num_layers: how many.
        init_cfg: see `BaseModule`.

    Raises:
        ConfigError: there are not so many configs.
    """

    def __init__(
        self,
        transformerlayers: Cfg | Sequence[Cfg],
        num_layers: int,
        init_cfg: InitCfg | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_layers = num_layers
        self.layers = ModuleList(_build(cfg) for cfg in _each(transformerlayers, num_layers, "transformerlayers"))
        first: Any = self.layers[0]
        self.embed_dims = first.embed_dims
        self.pre_norm = first.pre_norm

    def forward(self, query: Tensor, key: Tensor | None, value: Tensor | None, *args: Any, **kwargs: Any) -> Tensor:
        """Pass `query` through the layers; all other arguments, see `BaseTransformerLayer`, go to each."""
        for layer in self.layers:
            query = layer(query, key, value, *args, **kwargs)
        return query


def _each(cfgs: Cfg | Sequence[Cfg], count: int, what: str) -> list[dict[str, Any]]:
    """One config a block, as copies."""
    if isinstance(cfgs, Mapping):
        return [dict(copy.deepcopy(cfgs)) for _ in range(count)]
    if len(cfgs) != count:
        raise ConfigError(f"{what} has {len(cfgs)} configs for {count} blocks")
    return [dict(copy.deepcopy(cfg)) for cfg in cfgs]
