"""TimeSformer's layers for networks that order their tokens as OpenMMLab's."""

from typing import Any

import pytest
import torch

from kinema.errors import ConfigError
from kinema.models.backbones.tokens.divided_attention import (
    DividedSpatialAttentionWithNorm,
    DividedTemporalAttentionWithNorm,
)
from kinema.models.backbones.tokens.timesformer_layers import DividedLayer, FFNWithNorm
from kinema.registry import MODELS


def values_of(*shape: int) -> torch.Tensor:
    return torch.cos(torch.arange(torch.Size(shape).numel()) * 0.11).view(shape)


@pytest.mark.parametrize(
    ("kind", "total"),
    [(DividedTemporalAttentionWithNorm, 69.684245), (DividedSpatialAttentionWithNorm, -17.193964)],
)
def test_both_have_the_originals_values(kind: type, total: float) -> None:
    layer = kind(24, 3, 4, dropout_layer={"type": "DropPath", "drop_prob": 0.0}).eval()
    for number, parameter in enumerate(layer.parameters()):
        places = torch.arange(parameter.numel(), dtype=torch.float32).view(parameter.shape)
        parameter.data = torch.sin(places * 0.37 + number) * 0.2
    assert layer(values_of(2, 37, 24)).double().sum().item() == pytest.approx(total, rel=1e-6)


def test_together_they_are_a_layer_of_timesformer() -> None:
    drop = {"type": "DropPath", "drop_prob": 0.0}
    layer = DividedLayer(24, 3, 48, 0.0, {"type": "LN"})
    torch.nn.init.normal_(layer.attentions[0].temporal_fc.weight)
    parts = torch.nn.Sequential(
        DividedTemporalAttentionWithNorm(24, 3, 4, dropout_layer=drop),
        DividedSpatialAttentionWithNorm(24, 3, 4, dropout_layer=drop),
        FFNWithNorm(24, 48, act_cfg={"type": "GELU"}),
    )
    parts.load_state_dict(dict(zip(parts.state_dict(), layer.state_dict().values(), strict=True)))
    tokens = torch.randn(2, 4, 1 + 9, 24)
    tokens[:, :, 0] = tokens[:, :1, 0]
    flat = torch.cat([tokens[:, 0, :1], tokens[:, :, 1:].transpose(1, 2).flatten(1, 2)], 1)
    given, expected = parts(flat), layer(tokens)
    assert torch.allclose(given[:, 0], expected[:, 0, 0], atol=1e-5)
    assert torch.allclose(given[:, 1:].unflatten(1, (9, 4)).transpose(1, 2), expected[:, :, 1:], atol=1e-5)


def test_what_they_cannot_do_is_said() -> None:
    layer = DividedTemporalAttentionWithNorm(24, 3, 4)
    layer.init_weights()
    assert not layer.temporal_fc.weight.any()
    with pytest.raises(ConfigError, match=r"DividedTemporalAttentionWithNorm: attn_drop=0\.1 is not supported"):
        DividedTemporalAttentionWithNorm(24, 3, 4, attn_drop=0.1)
    with pytest.raises(ConfigError, match="36 tokens are not one of the class and patches of num_frames=4 frames"):
        layer(values_of(1, 36, 24))
    with pytest.raises(ConfigError, match="attends to its queries and adds them: give query alone"):
        layer(values_of(1, 37, 24), residual=values_of(1, 37, 24))
    with pytest.raises(ConfigError, match="FFNWithNorm adds its own input"):
        FFNWithNorm(24, 48)(values_of(1, 2, 24), values_of(1, 2, 24))


NORM = {"type": "LN", "eps": 1e-6}
KEPT = {"type": "DropPath", "drop_prob": 0.0}
DIVIDED = {
    "type": "BaseTransformerLayer",
    "attn_cfgs": [
        {"type": kind, "embed_dims": 48, "num_heads": 3, "num_frames": 4, "norm_cfg": NORM, "dropout_layer": KEPT}
        for kind in ("DividedTemporalAttentionWithNorm", "DividedSpatialAttentionWithNorm")
    ],
    "ffn_cfgs": {"type": "FFNWithNorm", "embed_dims": 48, "feedforward_channels": 96, "norm_cfg": NORM},
    "operation_order": ("self_attn", "self_attn", "ffn"),
}
DIVIDED["ffn_cfgs"]["act_cfg"] = {"type": "GELU"}
PLAIN = {
    "type": "BaseTransformerLayer",
    "attn_cfgs": {"type": "MultiheadAttention", "embed_dims": 48, "num_heads": 3},
    "ffn_cfgs": {"type": "FFN", "embed_dims": 48, "feedforward_channels": 96, "act_cfg": {"type": "GELU"}},
    "operation_order": ("norm", "self_attn", "norm", "ffn"),
    "norm_cfg": NORM,
    "batch_first": True,
}


@pytest.mark.parametrize(
    ("attention_type", "layer", "total", "size"),
    [("divided_space_time", DIVIDED, -2.766393, 4.286500), ("space_only", PLAIN, -1.281470, 4.134914)],
)
def test_timesformer_of_layers_from_a_config_has_the_originals_values(
    attention_type: str, layer: dict[str, Any], total: float, size: float
) -> None:
    layers = {"type": "TransformerLayerSequence", "transformerlayers": layer, "num_layers": 2}
    network = MODELS.build(
        {
            "type": "TimeSformer",
            "num_frames": 4,
            "img_size": 32,
            "patch_size": 16,
            "embed_dims": 48,
            "attention_type": attention_type,
            "transformer_layers": layers,
        }
    ).eval()
    for number, (_, values) in enumerate(sorted(network.state_dict().items())):
        places = torch.arange(values.numel(), dtype=torch.float32)
        values.copy_((torch.sin(places * 0.37 + number) * 0.05).view(values.shape))
    clips = torch.cos(torch.arange(2 * 3 * 4 * 32 * 32) * 0.011).view(2, 3, 4, 32, 32)
    with torch.no_grad():
        features = network(clips).double()
    assert features.sum().item() == pytest.approx(total, abs=2e-6)
    assert features.abs().sum().item() == pytest.approx(size, abs=2e-6)
